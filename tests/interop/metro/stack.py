"""Eclipse Metro on Jetty: @Stateful endpoint references, HTTP session, WS-ReliableMessaging with Fast Infoset on offer."""

from pathlib import Path

from harness.model import Case, Nodes, Stack, killed

HERE = Path(__file__).parent


def install(installer):
    def make(home):
        installer.maven(HERE / "pom.xml", home / "lib")
        installer.javac(home / "classes", home / "lib", sorted(HERE.glob("*.java")))
    return installer.folder("metro", [*sorted(HERE.glob("*.java")), HERE / "pom.xml"], make)


def java(home, *words):
    return ["java", "-Xmx160m", "-XX:TieredStopAtLevel=1", "-cp", f"{home}/classes:{home}/lib/*", *words]


# Metro writes every message it sends or gets, with its head.
DUMP = "-Dcom.sun.xml.ws.transport.http."
NODES = {
    "Jetty": Nodes(lambda home, port, name: java(home, "Node", port, name, HERE), ready="(?m)^ready"),
    "Jetty, dump": Nodes(lambda home, port, name: java(home, DUMP + "HttpAdapter.dump=true", "Node", port, name, HERE), ready="(?m)^ready"),
}


def case(name, mode, expect, nodes="Jetty", options=(), **more):
    return Case(name, nodes, lambda home, url: java(home, *options, "Run", mode, url, 4), expect, **more)


# The factory's answer brings the reference; the calls carry its objectId.
stateful = case("@Stateful by endpoint reference", "stateful", r"bal( pin){4}", fast=True)
rm11 = case("WS-ReliableMessaging 1.1, Fast Infoset on offer", "rm11", r"new( pin){5,9}", fast=True)
session = case("HTTP session", "session", r"bal( pin){3}")

STACKS = [Stack("metro", "Eclipse Metro", "4.0.4", HERE, install, NODES, [
    stateful,
    case("@Stateful at the address of its endpoint reference", "stateful-follow", r"bal( pin){4}"),
    rm11,
    case("WS-ReliableMessaging 1.0, Fast Infoset on offer", "rm10", r"new( pin){5,9}"),
    session,
    killed(session, "bal pin lost"),
    # The client offers Fast Infoset, the node never hears of it: so its answers can be read.
    case("Fast Infoset taken out of Accept", "rm11", r"new( pin){5,9}", nodes="Jetty, dump", options=(DUMP + "client.HttpTransportPipe.dump=true",),
         says=r"(?i)accept: [^\n]*fastinfoset", node_says="(?i)accept: ", node_never_says="(?i)accept: [^\n]*fastinfoset", control=False),
    case("@Stateful by endpoint reference, a connection for each client", "stateful", r"bal( pin){4}", settings={"CONNECTION": "per_client"}),
    killed(rm11, "new pin pin lost"),
    killed(stateful, "bal pin pin lost"),
])]
