"""gSOAP: WS-ReliableMessaging in SOAP 1.1 and 1.2, and RFC 2109 cookies. Its node serves one connection at a time."""

import shutil
from functools import partial
from pathlib import Path

from harness.install import run, said
from harness.model import Case, Nodes, Stack, killed

HERE = Path(__file__).parent


def install(installer):
    installer.debian("gsoap", "libgsoap-dev", "gcc", "make", "libc6-dev")

    def make(home):
        for part in ("rm", "cookie"):
            shutil.copytree(HERE / part, home / part)
            run("make", "-s", "-C", home / part)
    return installer.folder("gsoap", [HERE / "rm", HERE / "cookie"], make)


NODES = {
    "rm": Nodes(lambda home, port, name: [home / "rm/rm", "srv", port]),
    "cookie": Nodes(lambda home, port, name: [home / "cookie/ck", "srv", port]),
}


def rm(name, soap, **more):
    # CreateSequence with an offer, the calls, CloseSequence, TerminateSequence.
    return Case(name, "rm", lambda home, url: [home / "rm/rm", "cli", url + "/", 4, soap], r"new( pin){5}( pin| linger)?", **more)


cookie = Case("RFC 2109 cookie", "cookie", lambda home, url: [home / "cookie/ck", "cli", url + "/", 4], r"bal( pin){3}", config="cookie.yaml")
rm11 = rm("WS-ReliableMessaging 1.1, SOAP 1.1", 11, fast=True)

STACKS = [Stack("gsoap", "gSOAP", partial(said, r"(\d[\d.]*)", "dpkg-query", "-W", "-f", "${Version}", "libgsoap-dev"), HERE, install, NODES, [
    rm11,
    rm("WS-ReliableMessaging 1.1, SOAP 1.2", 12),
    rm("WS-ReliableMessaging 1.1, a connection for each client", 11, settings={"CONNECTION": "per_client"}),
    killed(rm11, "new pin pin lost"),
    cookie,
    killed(cookie, "bal pin lost"),
])]
