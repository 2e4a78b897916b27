"""PHP: SoapServer with SOAP_PERSISTENCE_SESSION, SoapClient."""

from functools import partial
from pathlib import Path

from harness.install import said
from harness.model import Case, Nodes, Stack, killed

HERE = Path(__file__).parent


def install(installer):
    installer.debian("php-cli", "php-soap")
    return installer.folder("php", [], lambda home: None)


def node(home, port, name):
    sessions = home / f"sessions-{port}"
    sessions.mkdir(exist_ok=True)
    return ["php", "-S", f"127.0.0.1:{port}", "-d", f"session.save_path={sessions}", HERE / "srv.php"]


def case(name, soap="11", **more):
    return Case(name, "php -S", lambda home, url: ["php", HERE / "cli.php", url + "/", 4, soap], r"bal( pin){4}", **more)


session = case("session cookie, SOAP 1.1", fast=True)

STACKS = [Stack("php", "PHP SoapServer, SoapClient", partial(said, r"^PHP (\d[\d.]*)", "php", "-v"), HERE, install, {"php -S": Nodes(node)}, [
    session,
    case("session cookie, SOAP 1.2", "12"),
    case("session cookie, a connection for each client", settings={"CONNECTION": "per_client"}),
    killed(session, "bal pin lost", fast=True),
])]
