"""Apache Axis 1.4: the sessionID header on its own HTTP/1.0 server and in Tomcat, and cookies."""

from pathlib import Path

from harness.model import Case, Nodes, Stack, killed

HERE = Path(__file__).parent


def install(installer):
    def make(home):
        installer.maven(HERE / "pom.xml", home / "lib")
        installer.javac(home / "classes", home / "lib", sorted((HERE / "src").rglob("*.java")))
        web = home / "web/WEB-INF"
        web.mkdir(parents=True)
        (web / "server-config.wsdd").write_bytes((HERE / "conf/server-config.wsdd").read_bytes())
    return installer.folder("axis1", [HERE / "pom.xml", HERE / "src", HERE / "conf"], make)


def java(home, *words):
    return ["java", "-Xmx96m", "-XX:TieredStopAtLevel=1", f"-Djava.util.logging.config.file={HERE}/conf/logging.properties",
            "-cp", f"{home}/classes:{home}/lib/*", *words]


NODES = {
    "own server": Nodes(lambda home, port, name: java(home, "lab.Node", port, HERE / "conf/server-config.wsdd"), ready="READY"),
    "Tomcat": Nodes(lambda home, port, name: java(home, "lab.TomcatNode", port, home / "web"), ready="READY"),
}


def case(name, *options, nodes="own server", service="Counter", **more):
    def client(home, url):
        return java(home, "lab.Client", HERE / "conf", f"{url}/axis/services/{service}", 4, *options)
    return Case(name, nodes, client, r"bal( pin){3}", **more)


header = case("sessionID header with multirefs, own HTTP/1.0 server", fast=True)
cookie = case("cookie in Tomcat", "cookie", nodes="Tomcat", service="CookieCounter", config="cookie.yaml")

STACKS = [Stack("axis1", "Apache Axis", "1.4", HERE, install, NODES, [
    header,
    case("sessionID header without multirefs", "nomultiref"),
    # SimpleAxisServer cannot read the chunked bodies of this client; the gateway gives them a length.
    case("sessionID header, HTTP/1.1 client with chunked bodies", "commons", config="chunked.yaml"),
    case("sessionID header, a connection for each client", settings={"CONNECTION": "per_client"}),
    killed(header, "bal pin lost"),
    case("sessionID header in Tomcat", nodes="Tomcat"),
    cookie,
    killed(cookie, "bal pin lost"),
])]
