"""ASP.NET ASMX on Mono under lighttpd: session by cookie and in the URL."""

import shutil
from functools import partial
from pathlib import Path

from harness.install import run, said
from harness.model import Case, Nodes, Stack, killed

HERE = Path(__file__).parent


def install(installer):
    installer.debian("mono-fastcgi-server4", "mono-mcs", "lighttpd")

    def make(home):
        run("mcs", "-nologo", f"-out:{home}/asmx.exe", "-r:System.Web.Services.dll", HERE / "cli.cs")
    return installer.folder("asmx", [HERE / "cli.cs"], make)


def nodes(cookieless):
    def root(home, port):
        return home / f"site-{port}"

    def command(home, port, name):
        site = root(home, port)
        shutil.rmtree(site, ignore_errors=True)
        site.mkdir()
        shutil.copy(HERE / "Counter.asmx", site)
        config = (HERE / "web.config").read_text()
        (site / "web.config").write_text(config.replace('cookieless="false"', 'cookieless="true"') if cookieless else config)
        return ["lighttpd", "-D", "-f", HERE / "lighttpd.conf"]
    return Nodes(command, environment=lambda home, port, name: {"PORT": str(port), "ROOT": str(root(home, port))})


def case(name, nodes, expect, *options, **more):
    return Case(name, nodes, lambda home, url: ["mono", home / "asmx.exe", url + "/Counter.asmx", 4, *options], expect, **more)


# The client ends its session with a call of its own.
in_url = case("session in the URL", "cookieless", r"bal( pin)+", "url")
cookie = case("session cookie, SOAP 1.1", "cookie", r"bal( pin){4}")
STACKS = [Stack("asmx", "ASP.NET ASMX on Mono", partial(said, r"version (\d[\d.]*)", "mono", "--version"), HERE, install, {"cookie": nodes(False), "cookieless": nodes(True)}, [
    cookie,
    case("session cookie, SOAP 1.2", "cookie", r"bal( pin){4}", "12"),
    case("session cookie, a connection for each client", "cookie", r"bal( pin){4}", settings={"CONNECTION": "per_client"}),
    killed(cookie, "bal pin lost"),
    # The first call is answered with 302; the client repeats it where Location says.
    in_url,
    killed(in_url, "bal pin pin lost"),
])]
