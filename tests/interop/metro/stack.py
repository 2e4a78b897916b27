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


NODES = {"Jetty": Nodes(lambda home, port, name: java(home, "Node", port, name, HERE), ready="(?m)^ready")}


def case(name, mode, expect, **more):
    return Case(name, "Jetty", lambda home, url: java(home, "Run", mode, url, 4), expect, **more)


# The factory's answer brings the reference; the calls carry its objectId.
stateful = case("@Stateful by endpoint reference", "stateful", r"bal( pin){4}", fast=True)
rm11 = case("WS-ReliableMessaging 1.1, Fast Infoset on offer", "rm11", r"new( pin){5,9}", fast=True)

STACKS = [Stack("metro", "Eclipse Metro", "4.0.4", HERE, install, NODES, [
    stateful,
    case("@Stateful at the address of its endpoint reference", "stateful-follow", r"bal( pin){4}"),
    rm11,
    case("WS-ReliableMessaging 1.0, Fast Infoset on offer", "rm10", r"new( pin){5,9}"),
    case("HTTP session", "session", r"bal( pin){3}"),
    case("@Stateful by endpoint reference, a connection for each client", "stateful", r"bal( pin){4}", settings={"CONNECTION": "per_client"}),
    killed(rm11, "new pin pin lost", fast=False),
    killed(stateful, "bal pin pin lost", fast=False),
])]
