"""SOAP::Lite, objects by reference: the object's id travels in the body. Its node serves one connection at a time."""

from functools import partial
from pathlib import Path

from harness.install import said
from harness.model import Case, Nodes, Stack, killed

HERE = Path(__file__).parent


def install(installer):
    installer.debian("libsoap-lite-perl")
    return installer.folder("soaplite", [], lambda home: None)


# The first call makes the object, the others name it.
def case(name, **more):
    return Case(name, "Daemon", lambda home, url: ["perl", HERE / "cli.pl", url + "/", 4], r"bal( pin){4}", **more)


by_reference = case("object reference in the body", fast=True)

STACKS = [Stack("soaplite", "SOAP::Lite", partial(said, "([0-9.]+)", "perl", "-MSOAP::Lite", "-e", "print SOAP::Lite->VERSION"), HERE, install, {"Daemon": Nodes(lambda home, port, name: ["perl", HERE / "srv.pl", port])}, [
    by_reference,
    case("object reference in the body, a connection for each client", settings={"CONNECTION": "per_client"}),
    killed(by_reference, "bal pin pin lost"),
])]
