"""A session in a SOAP header of its own, by rules of its own: a node-soap service; zeep and node-soap as clients."""

import shutil
from pathlib import Path

from harness import clients
from harness.model import Case, Nodes, Stack, killed

HERE = Path(__file__).parent
FILES = ("srv.js", "cli.js", "counter.wsdl")


def install(installer):
    def make(home):
        for name in FILES:
            shutil.copy(HERE / name, home)
        clients.link(installer, home)
    return installer.folder("header", [*(HERE / name for name in FILES), *clients.INPUTS], make)


NODES = {"node-soap": Nodes(lambda home, port, name: ["node", home / "srv.js", port])}


def zeep(home, url):
    return [home / "zeep/bin/python", HERE / "cli.py", url + "/counter", home / "counter.wsdl", 5]


def node_soap(home, url):
    return ["node", home / "cli.js", url + "/counter", 5]


EXPECT = r"bal( pin){4}"
by_zeep = Case("header of its own, by zeep", "node-soap", zeep, EXPECT, fast=True)
by_node = Case("header of its own, by node-soap", "node-soap", node_soap, EXPECT, fast=True)

STACKS = [Stack("header", "node-soap, zeep", "1.13.0, 4.3.3", HERE, install, NODES, [
    by_zeep, by_node,
    Case("header of its own, by zeep, a connection for each client", "node-soap", zeep, EXPECT, settings={"CONNECTION": "per_client"}),
    killed(by_zeep, "bal pin lost", fast=True),
    killed(by_node, "bal pin lost"),
])]
