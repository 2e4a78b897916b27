"""strong-soap: an id issued in the body of the first answer and returned in a header, by rules of one's own; its own client, from the WSDL."""

import shutil
from pathlib import Path

from harness.model import Case, Nodes, Stack, killed

HERE = Path(__file__).parent
FILES = [HERE / name for name in ("srv.js", "cli.js", "counter.wsdl", "package.json")]


def install(installer):
    def make(home):
        for file in FILES:
            shutil.copy(file, home)
        installer.npm(home)
    return installer.folder("strongsoap", FILES, make)


def case(name, **more):
    return Case(name, "node", lambda home, url: ["node", home / "cli.js", url + "/counter?wsdl", 5], r"bal( pin){4}", **more)


own = case("id from the body returned in a header")
STACKS = [Stack("strongsoap", "strong-soap", "6.0.1", HERE, install, {"node": Nodes(lambda home, port, name: ["node", home / "srv.js", port])}, [
    own,
    case("id from the body returned in a header, a connection for each client", settings={"CONNECTION": "per_client"}),
    killed(own, "bal pin lost"),
])]
