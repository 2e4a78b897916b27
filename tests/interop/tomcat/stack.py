"""Tomcat 9 and 10: JSESSIONID with jvmRoute, the id changed at login, URL rewriting, two webapps with one cookie name."""

from functools import partial
from pathlib import Path

from harness.model import Case, Nodes, Stack, killed

HERE = Path(__file__).parent


def install(version, installer):
    def make(home):
        installer.maven(HERE / "pom.xml", home / "lib", f"-Dtomcat.version={version}")
        source = (HERE / "Node.java").read_text()
        if not version.startswith("9."):
            source = source.replace("javax.servlet", "jakarta.servlet")
        (home / "Node.java").write_text(source)
        installer.javac(home / "classes", home / "lib", [home / "Node.java"])
    return installer.folder(f"tomcat-{version}", [HERE / "Node.java", HERE / "pom.xml"], make)


NODES = {"Tomcat": Nodes(lambda home, port, name: ["java", "-Xmx96m", "-XX:TieredStopAtLevel=1", "-cp", f"{home}/classes:{home}/lib/*",
                                                   "Node", port, name, home / f"work-{port}"], ready="READY")}


def case(name, ops, expect, **more):
    return Case(name, "Tomcat", lambda home, url: ["python3", HERE / "client.py", url, *ops.split()], expect, **more)


def cases(fast):
    cookie = case("cookie with jvmRoute", "next next next next", r"bal( pin){3}")
    return [
        cookie,
        case("id changed at login, logout", "next next login next next logout", r"bal( pin){5}", fast=fast),
        case("URL rewriting without cookies", "url follow follow follow", r"bal( pin){3}"),
        case("two webapps with one cookie name", "next other other next next other", r"bal bal( pin){4}"),
        case("cookie, a connection for each client", "next next next next", r"bal( pin){3}", settings={"CONNECTION": "per_client"}),
        killed(cookie, "bal pin lost", fast=fast),
    ]


def stack(version, fast):
    return Stack(f"tomcat{version.split('.')[0]}", "Apache Tomcat", version, HERE, partial(install, version), NODES, cases(fast))


STACKS = [stack("10.1.34", True), stack("9.0.98", False)]
