"""spyne: a Python service with a session cookie of its own, by a rule of its own; zeep and suds as clients, from its WSDL."""

from pathlib import Path

from harness import clients
from harness.model import Case, Nodes, Stack, killed

HERE = Path(__file__).parent
FILES = [HERE / "requirements.txt", *clients.INPUTS]


def install(installer):
    def make(home):
        installer.pip(home, HERE / "requirements.txt")
        (home / "zeep").symlink_to(clients.zeep(installer))
    return installer.folder("spyne", FILES, make)


def case(name, script, **more):
    def client(home, url):
        return [home / "zeep/bin/python", clients.FOLDER / f"session_{script}.py", f"{url}/?wsdl", 5]
    return Case(name, "wsgiref", client, r"bal( pin){4}", **more)


by_zeep = case("cookie of its own, by zeep from the WSDL, address rewritten", "zeep", leaves=True)
STACKS = [Stack("spyne", "spyne", "2.14.0", HERE, install, {"wsgiref": Nodes(lambda home, port, name: [home / "bin/python", HERE / "srv.py", port])}, [
    by_zeep,
    case("cookie of its own, by suds from the WSDL", "suds"),
    case("cookie of its own, a connection for each client", "zeep", settings={"CONNECTION": "per_client"}),
    killed(by_zeep, "bal pin lost", leaves=False),
])]
