"""Apache Axis2: soapsession, transport session and, by Sandesha2, reliable messaging; its own client."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from harness.model import Case, Nodes, Stack, killed

HERE = Path(__file__).parent
SERVICE, COOKIE = "/axis2/services/Counter", "/axis2/services/CookieCounter"


def install(version, tomcat, mar, release, rm, installer):
    def make(home):
        installer.maven(HERE / "pom.xml", home / "lib", *(["-Prm"] if rm else []), f"-Daxis2.version={version}", f"-Dmar.version={mar}",
                        f"-Dtomcat.version={tomcat}", "-DexcludeArtifactIds=javax.servlet-api,jakarta.servlet-api,servlet-api")
        modules = [home / "repo/modules", home / "client/modules"]
        for folder in modules:
            folder.mkdir(parents=True)
            for module in (home / "lib").glob("*.mar"):
                (folder / module.name).write_bytes(module.read_bytes())
        for module in (home / "lib").glob("*.mar"):
            module.unlink()
        for source in (HERE / "repo").rglob("services.xml"):
            target = home / "repo" / source.relative_to(HERE / "repo")
            target.parent.mkdir(parents=True)
            target.write_bytes(source.read_bytes())
        # Axis2 1.x reads class files itself, and only old ones.
        installer.javac(home / "classes", home / "lib", sorted((HERE / "src").rglob("*.java")), "--release", str(release))
    name = f"axis2-{version}{'-rm' if rm else ''}"
    return installer.folder(name, [HERE / "pom.xml", HERE / "src", HERE / "repo", tomcat, mar], make)


def java(home, *words):
    return ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", f"-Djava.util.logging.config.file={HERE}/conf/logging.properties",
            "-cp", f"{home}/classes:{home}/lib/*", *words]


def nodes(main, *options, idle=None):
    def command(home, port, name):
        temporary = home / f"temporary-{port}"      # Axis2 unpacks its modules there, two nodes at once over each other
        temporary.mkdir(exist_ok=True)
        return [*java(home, f"-Djava.io.tmpdir={temporary}", *options, main), port, home / "repo", *([idle] if idle else [])]
    return Nodes(command, ready="READY")


NODES = {
    "own server": nodes("lab.Node"),
    "own server, short sessions": nodes("lab.Node", idle=1000),
    "Tomcat": nodes("lab.TomcatNode"),
    "Tomcat, gzip": nodes("lab.TomcatNode", "-Dgzip=true"),
}


def case(name, *options, nodes="own server", path=SERVICE, calls=4, expect=r"bal( pin){3}", **more):
    def client(home, url):
        return [*java(home, "lab.Client", home / "client", url + path), calls, *options]
    return Case(name, nodes, client, expect, **more)


def sessions(fast):
    """The cases of one version; `fast`: which of them every change runs."""
    soap11 = case("soapsession, SOAP 1.1, WS-Addressing 2005/08")
    cases = [
        soap11,
        case("soapsession, SOAP 1.2, WS-Addressing 2005/08, Content-Length", "soap=12", "chunked=false"),
        case("soapsession, SOAP 1.1, WS-Addressing 2004/08", "wsa=200408"),
        case("soapsession, SOAP 1.2, WS-Addressing 2004/08", "soap=12", "wsa=200408"),
        case("soapsession, SOAP 1.1, Content-Length", "chunked=false"),
        case("soapsession, a connection for each client", settings={"CONNECTION": "per_client"}),
        # With two gateway workers each client's connections may come to either.
        case("soapsession, three clients at once", clients=3, expect=r"(?=(.*bal){3})(?!(.*bal){4})(?=(.*pin){9})[balpin ]*"),
        case("soapsession, MTOM both ways", "mtom=true"),
        killed(soap11, "bal pin lost"),
        killed(case("soapsession, SOAP 1.2", "soap=12"), "bal pin lost"),
        # The session ends at the node while the client waits: its fault passes, and the pin is dropped.
        case("soapsession that expired", "gap=3000", nodes="own server, short sessions", calls=2, expect=r"bal pin", event="lost",
             fails="Unable to find corresponding context", control=False),
        case("soapsession in Tomcat, gzip both ways", "gzip=true", nodes="Tomcat, gzip"),
        case("transport session by cookie in Tomcat", nodes="Tomcat", path=COOKIE),
        killed(case("transport session by cookie in Tomcat", nodes="Tomcat", path=COOKIE), "bal pin lost"),
    ]
    return [one if one.name not in fast else Case(**{**one.__dict__, "fast": True}) for one in cases]


def stack(version, tomcat="9.0.98", mar=None, release=8, rm=False, name=None, title="Apache Axis2", cases=()):
    return Stack(name or f"axis2-{version}", title, version, HERE, partial(install, version, tomcat, mar or version, release, rm), NODES, list(cases))


FAST = ["soapsession, SOAP 1.1, WS-Addressing 2005/08", "soapsession, SOAP 1.2, WS-Addressing 2005/08, Content-Length",
        "soapsession in Tomcat, gzip both ways", "soapsession, SOAP 1.1, WS-Addressing 2005/08, node killed"]


def cookies(*options, **more):
    return case("transport session by cookie in Tomcat", *options, nodes="Tomcat", path=COOKIE, **more)


def some(*names):
    return [one for one in sessions([]) if one.name in names]


OLD = some("soapsession, SOAP 1.1, WS-Addressing 2005/08", "soapsession, SOAP 1.2, WS-Addressing 2004/08", "soapsession, SOAP 1.1, Content-Length",
           "soapsession, MTOM both ways", "soapsession, SOAP 1.1, WS-Addressing 2005/08, node killed", "soapsession that expired")


def sequence(version, number, **more):
    # CreateSequence, the calls, acknowledgements of their own, the end of the sequence.
    return case(f"WS-ReliableMessaging {number}", f"rm={version}", expect=r"new( (pin|linger)){4,12}", config="rm.yaml", path="/axis2/services/SequenceCounter",
                **more)


STACKS = [
    stack("1.8.2", name="axis2", cases=sessions(FAST)),
    stack("1.7.9", cases=[*OLD, cookies()]),
    stack("1.6.4", cases=[*OLD, cookies()]),
    # Its client keeps no cookies; the addressing module is that of 1.8.2, none was published.
    stack("2.0.0", tomcat="10.1.34", mar="1.8.2", release=17, cases=OLD),
    stack("1.6.2", rm=True, name="sandesha2", title="Sandesha2 1.6.2 on Axis2", cases=[
        sequence("10", "1.0"), sequence("11", "1.1"),
        replace(sequence("11", "1.1", settings={"CONNECTION": "per_client"}), name="WS-ReliableMessaging 1.1, a connection for each client"),
    ]),
]
