"""Apache CXF on Jetty: HTTP session, WS-ReliableMessaging, WS-SecureConversation; clients CXF, zeep, suds and node-soap."""

import shutil
from pathlib import Path

from harness import clients
from harness.install import run
from harness.model import Case, Nodes, Stack, killed
from harness.processes import free_port

HERE = Path(__file__).parent
VERSION = "4.0.6"


def install(installer):
    def make(home):
        installer.maven(HERE / "pom.xml", home / "lib", f"-Dcxf.version={VERSION}")
        classes = home / "classes"
        installer.javac(classes, home / "lib", sorted(HERE.glob("*.java")))
        clients.link(installer, home)
        shutil.copy(HERE / "sc-policy.xml", classes)
        for alias in ("client", "server"):      # both nodes and the client need the same keys
            run("keytool", "-genkeypair", "-alias", alias, "-dname", f"CN={alias}", "-keyalg", "RSA", "-keysize", "2048", "-validity", "3650",
                "-keystore", classes / "lab.jks", "-storetype", "jks", "-storepass", "secret", "-keypass", "secret")
    return installer.folder("cxf", [*sorted(HERE.glob("*.java")), HERE / "pom.xml", HERE / "sc-policy.xml", VERSION, *clients.INPUTS], make)


def java(home, *words):
    return ["java", "-Xmx160m", "-XX:TieredStopAtLevel=1", "-cp", f"{home}/classes:{home}/lib/*", *words]


NODES = {"Jetty": Nodes(lambda home, port, name: java(home, "Server", port, name), ready="(?m)^ready")}


def case(name, mode, expect, calls=4, callback=False, **more):
    def client(home, url):
        return java(home, "Run", mode, url, calls, *([f"http://127.0.0.1:{free_port()}/callback"] if callback else []))
    return Case(name, "Jetty", client, expect, **more)


def by_zeep(home, url):
    return [home / "zeep/bin/python", clients.FOLDER / "session_zeep.py", url]


def by_suds(home, url):
    return [home / "zeep/bin/python", clients.FOLDER / "session_suds.py", url]


def by_node_soap(home, url):
    return ["node", home / "node-soap/session_soap.mjs", url]


session = case("HTTP session", "session", r"bal( pin){3}", fast=True)
# CreateSequence, the calls, the end of the sequence where the client tells it, and acknowledgements of their own.
rm11 = case("WS-ReliableMessaging 1.1", "rm11", r"new( pin){4,6}", fast=True)
secure = case("WS-SecureConversation, signed", "sc-sign", r"bal( (pin|weak)){4,6}", fast=True)

STACKS = [Stack("cxf", "Apache CXF", VERSION, HERE, install, NODES, [
    session, rm11, secure,
    # The last acknowledgement, after the end of the sequence, names none: any node may have it.
    case("WS-ReliableMessaging 1.0", "rm10", r"new( pin){4,6}( bal)?"),
    case("WS-ReliableMessaging 1.1, answers to the client's own listener", "rm11", r"new( (pin|weak)){4,8}", callback=True),
    # From nothing but the WSDL that the gateway hands out.
    Case("HTTP session, by zeep from the WSDL", "Jetty", by_zeep, r"bal( pin){4}"),
    Case("HTTP session, by suds from the WSDL", "Jetty", by_suds, r"bal( pin){4}"),
    Case("HTTP session, by node-soap from the WSDL", "Jetty", by_node_soap, r"bal( pin){4}"),
    case("WS-SecureConversation, encrypted", "sc-encrypt", r"bal( (pin|weak)){4,6}"),
    case("HTTP session, a connection for each client", "session", r"bal( pin){3}", settings={"CONNECTION": "per_client"}),
    killed(session, "bal pin lost", fast=False),
    killed(rm11, "new pin pin lost", fast=False),
    killed(secure, "bal (pin|weak) (pin|weak) lost", fast=False),
])]
