"""Apache CXF on Jetty: HTTP session, WS-ReliableMessaging, WS-SecureConversation; clients CXF, zeep, suds and node-soap."""

import shutil
from pathlib import Path

from harness import clients
from harness.install import certificates, run
from harness.model import Case, Nodes, Stack, killed
from harness.processes import free_port

HERE = Path(__file__).parent
VERSION = "4.0.6"
POLICIES = sorted(HERE.glob("sc-*policy.xml"))


def install(installer):
    def make(home):
        installer.maven(HERE / "pom.xml", home / "lib", f"-Dcxf.version={VERSION}")
        classes = home / "classes"
        installer.javac(classes, home / "lib", sorted(HERE.glob("*.java")))
        clients.link(installer, home)
        (home / "certificates").symlink_to(certificates(installer))
        for policy in POLICIES:
            shutil.copy(policy, classes)
        for alias in ("client", "server"):      # both nodes and the client need the same keys
            run("keytool", "-genkeypair", "-alias", alias, "-dname", f"CN={alias}", "-keyalg", "RSA", "-keysize", "2048", "-validity", "3650",
                "-keystore", classes / "lab.jks", "-storetype", "jks", "-storepass", "secret", "-keypass", "secret")
    return installer.folder("cxf", [*sorted(HERE.glob("*.java")), HERE / "pom.xml", *POLICIES, VERSION, *clients.INPUTS], make)


def java(home, *words):
    return ["java", "-Xmx160m", "-XX:TieredStopAtLevel=1", "-cp", f"{home}/classes:{home}/lib/*", *words]


NODES = {
    "Jetty": Nodes(lambda home, port, name: java(home, "Server", port, name), ready="(?m)^ready"),
    "Jetty, TLS": Nodes(lambda home, port, name: java(home, "Server", port, name, home / "certificates/node.p12"), ready="(?m)^ready"),
    "Jetty, late answers": Nodes(lambda home, port, name: java(home, "-Dlate=1000", "Server", port, name), ready="(?m)^ready"),
    "Jetty, short tokens": Nodes(lambda home, port, name: java(home, "-Dlifetime=5000", "Server", port, name), ready="(?m)^ready"),
}


def case(name, mode, expect, calls=4, callback=False, nodes="Jetty", options=(), **more):
    def client(home, url):
        return java(home, *options, "Run", mode, url, calls, *([f"http://127.0.0.1:{free_port()}/callback"] if callback else []))
    return Case(name, nodes, client, expect, **more)


def by_zeep(path):
    return lambda home, url: [home / "zeep/bin/python", clients.FOLDER / "session_zeep.py", f"{url}{path}?wsdl"]


def by_suds(path):
    return lambda home, url: [home / "zeep/bin/python", clients.FOLDER / "session_suds.py", f"{url}{path}?wsdl"]


def by_node_soap(path):
    return lambda home, url: ["node", home / "node-soap/session_soap.mjs", f"{url}{path}?wsdl"]


def by_cxf(path):
    return lambda home, url: java(home, "Run", "wsdl", f"{url}{path}?wsdl", 5)


CLIENTS = {"zeep": by_zeep, "suds": by_suds, "node-soap": by_node_soap, "CXF": by_cxf}


def from_wsdl(name, path="/session", **more):
    """From nothing but the WSDL that the gateway hands out."""
    return Case(f"HTTP session, by {name} from the WSDL", "Jetty", CLIENTS[name](path), r"bal( pin){4}", **more)


def rewritten(name, scheme, fast=False):
    """The nodes publish their own addresses, in a WSDL that imports another; clients see another host, port and path."""
    port = "TLS_PORT" if scheme == "https" else "PORT"
    return Case(f"addresses rewritten over {scheme}, by {name} from the WSDL", "Jetty", CLIENTS[name]("/split"), r"bal( pin){4}", config="rewrite.yaml",
                address=f"{scheme}://localhost:{port}/soap", leaves=True, fast=fast)


session = case("HTTP session", "session", r"bal( pin){3}", fast=True)
# CreateSequence, the calls, the end of the sequence where the client tells it, and acknowledgements of their own.
rm11 = case("WS-ReliableMessaging 1.1", "rm11", r"new( pin){4,6}", fast=True)
secure = case("WS-SecureConversation, signed", "sc-sign", r"bal( (pin|weak)){4,6}", fast=True)
encrypted = case("WS-SecureConversation, encrypted", "sc-encrypt", r"bal( (pin|weak)){4,6}")
over_tls = case("WS-SecureConversation over TLS", "sc-tls", r"bal( (pin|weak)){4,6}", nodes="Jetty, TLS", config="tls.yaml", address="https://127.0.0.1:TLS_PORT")
CONNECTION = {"settings": {"CONNECTION": "per_client"}}

STACKS = [Stack("cxf", "Apache CXF", VERSION, HERE, install, NODES, [
    session, rm11, secure,
    rewritten("zeep", "https", fast=True),
    # The last acknowledgement, after the end of the sequence, names none: any node may have it.
    case("WS-ReliableMessaging 1.0", "rm10", r"new( pin){4,6}( bal)?"),
    case("WS-ReliableMessaging 1.1, answers to the client's own listener", "rm11", r"new( (pin|weak)){4,8}", callback=True, nodes="Jetty, late answers"),
    *(from_wsdl(name) for name in CLIENTS),
    *(rewritten(name, scheme) for name in CLIENTS for scheme in ("http", "https") if (name, scheme) != ("zeep", "https")),
    encrypted,
    case("HTTP session, a connection for each client", "session", r"bal( pin){3}", **CONNECTION),
    case("WS-SecureConversation, signed, a connection for each client", "sc-sign", r"bal( (pin|weak)){4,6}", **CONNECTION),
    # CXF renews a token that has expired, in a request that names it in RenewTarget.
    case("WS-SecureConversation, signed, token renewed", "sc-sign", r"bal( (pin|weak)){6,12}", nodes="Jetty, short tokens", calls=5, options=("-Dgap=3000",)),
    killed(session, "bal pin lost"),
    killed(rm11, "new pin pin lost"),
    killed(secure, "bal (pin|weak) (pin|weak) lost"),
    killed(encrypted, "bal (pin|weak) (pin|weak) lost"),
    *(killed(from_wsdl(name), "bal pin lost") for name in ("suds", "CXF")),
    over_tls,
    killed(over_tls, "bal (pin|weak) (pin|weak) lost"),
])]
