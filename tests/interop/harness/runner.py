"""Runs cases, judges them and prints what came out."""

import re
import shutil
import time

from .gateway import Gateway, without
from .install import NotInstalled, certificates
from .processes import Late, Process, free_port

# Seconds for one client; the slowest (Metro with reliable messaging) takes 10 alone on a quiet machine.
CLIENT = 120


class Failed(Exception):
    """A case did not show what it must show."""


class Pair:
    """Two nodes of one kind, started when first needed and again after one was killed."""

    def __init__(self, nodes, home, folder):
        self.nodes, self.home, self.folder = nodes, home, folder
        self.ports = [free_port(), free_port()]
        self.running = [None, None]

    def start(self):
        fresh = []
        for i in (0, 1):
            if self.running[i] is None or self.running[i].child.poll() is not None:
                name = f"node{i + 1}"
                self.running[i] = Process(self.nodes.command(self.home, self.ports[i], name), self.folder / f"{name}.log",
                                          self.nodes.environment(self.home, self.ports[i], name))
                fresh.append(i)
        for i in fresh:
            self.running[i].serves(self.ports[i], self.nodes.ready)

    def kill(self, name):
        i = int(name[-1]) - 1
        self.running[i].end(9)

    def stop(self):
        for one in self.running:
            if one is not None:
                one.end()


class Runner:
    def __init__(self, program, installer, results):
        self.program, self.installer, self.results = program, installer, results
        self.table = []

    def stack(self, stack, cases):
        """Runs `cases` of a stack, and prints one line for each."""
        folder = self.results / stack.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            home = stack.install(self.installer)
            version = stack.version() if callable(stack.version) else stack.version
        except NotInstalled as error:
            version = "" if callable(stack.version) else stack.version
            for case in cases:
                self.tell(stack, version, case, 0, f"not installed: {error}")
            return
        pairs = {}
        try:
            for case in cases:
                begun = time.monotonic()
                outcome, problem = "", ""
                try:
                    if case.nodes not in pairs:
                        for other in pairs.values():        # memory: one kind at a time
                            other.stop()
                        place = folder / f"nodes-{case.nodes}"
                        place.mkdir(exist_ok=True)       # a kind may come again after another
                        pairs = {case.nodes: Pair(stack.nodes[case.nodes], home, place)}
                    pairs[case.nodes].start()
                    outcome = self.case(stack, case, home, pairs[case.nodes], folder)
                except (Failed, Late) as error:
                    problem = str(error)
                self.tell(stack, version, case, time.monotonic() - begun, problem, outcome)
        finally:
            for one in pairs.values():
                one.stop()

    def tell(self, stack, version, case, seconds, problem, outcome=""):
        word = "FAIL" if problem else "pass"
        print(f"{word}  {stack.title} {version}: {case.name} ({problem or outcome}; {seconds:.1f} s)", flush=True)
        self.table.append((stack.title, version, case, problem))

    def case(self, stack, case, home, pair, folder):
        config = (stack.folder / case.config).read_text()
        if "CERTIFICATES" in config:
            config = config.replace("CERTIFICATES", str(certificates(self.installer)))
        place = folder / re.sub(r"[^a-z0-9]+", "-", case.name.lower()).strip("-")
        outcome = self.sticky(case, config, home, pair, place)
        if case.control:
            self.control(case, config, home, pair, place / "control")
        if case.leaves:
            self.without_rewrite(case, config, home, pair, place / "without-rewrite")
        return outcome

    def sticky(self, case, config, home, pair, place):
        place.mkdir(parents=True)
        gateway = Gateway(self.program, config, pair.ports, place, case.settings)
        try:
            if case.killed:
                said = self.kill(case, gateway, home, pair, place)
            else:
                clients = self.clients(case, home, gateway, place)
                codes = [one.wait(CLIENT) for one in clients]
        finally:
            gateway.stop()
        calls = gateway.calls(case.call)
        decisions = " ".join(line["decision"] for line in calls)
        if case.killed:
            self.fresh_start(calls, case)
            return f"client: {said}"
        if case.fails:
            self.failed_as_told(case, clients)
        elif any(codes):
            raise Failed(f"the client lost its state; decisions: {decisions}; see {place}")
        if not re.fullmatch(case.expect, decisions):
            raise Failed(f"decisions: {decisions or 'no call came through the gateway'}; expected: {case.expect}")
        self.same_node(calls)
        self.said(case, clients, pair)
        if case.event and not any(line.get("event") == case.event for line in calls):
            raise Failed(f"the access log tells of no event {case.event}")
        return short(decisions)

    def client(self, case, home, gateway, log, gate=False):
        """A client of the stack, that trusts the gateway's certificate where it speaks TLS."""
        environment = {}
        if case.address.startswith("https:"):
            trusted = certificates(self.installer)
            java = f"-Djavax.net.ssl.trustStore={trusted}/trust.p12 -Djavax.net.ssl.trustStorePassword=secret"
            names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
            environment = {"JAVA_TOOL_OPTIONS": java, **{name: str(trusted / "ca.pem") for name in names}}
        return Process(case.client(home, gateway.url(case.address)), log, environment, gate=gate)

    def clients(self, case, home, gateway, place):
        return [self.client(case, home, gateway, place / f"client{i + 1}.log") for i in range(case.clients)]

    def failed_as_told(self, case, clients):
        """The client must have lost its state, and say so as expected."""
        for one in clients:
            if not re.search(case.fails, one.text()):
                raise Failed(f"the client does not say {case.fails}; see {one.output}")

    def kill(self, case, gateway, home, pair, place):
        """Kills the node between two calls, and returns what the client says of the third. Then another client begins anew."""
        client = self.client(case, home, gateway, place / "client1.log", gate=True)
        client.go_on()
        client.says(r"(?m)^call 2 -> 2$", "the client did not make its second call", CLIENT)
        before = case.before or len(case.expect.split()) - 1
        node = gateway.node_of_last_call(before, case.call)
        pair.kill(node)
        client.go_on()
        failed = client.says(r"(?m)^call 3 failed: (.*)$", "the client did not fail at its third call", CLIENT)
        client.wait(CLIENT)
        said = failed.group(1)
        if not re.search(case.killed, said):
            raise Failed(f"the client does not read the Fault: {said[:300]}")
        if self.client(case, home, gateway, place / "client2.log").wait(CLIENT) != 0:
            raise Failed("a fresh start does not work after the node was killed")
        return said[:160]

    def said(self, case, clients, pair):
        nodes = "".join(one.text() for one in pair.running)
        if not all(re.search(case.says, one.text()) for one in clients):
            raise Failed(f"a client does not say {case.says}")
        if not re.search(case.node_says, nodes):
            raise Failed(f"no node says {case.node_says}")
        if case.node_never_says and re.search(case.node_never_says, nodes):
            raise Failed(f"a node says {case.node_never_says}")

    def fresh_start(self, calls, case):
        decisions = [line["decision"] for line in calls]
        if "lost" not in decisions:
            raise Failed(f"no call was refused as lost; decisions: {' '.join(decisions)}")
        at = decisions.index("lost")
        if not re.fullmatch(case.expect, " ".join(decisions[:at + 1])):
            raise Failed(f"decisions: {' '.join(decisions[:at + 1])}; expected: {case.expect}")
        if calls[at]["status"] != 500:
            raise Failed(f"the Fault came with status {calls[at]['status']}")

    def same_node(self, calls):
        """All calls of one conversation went to one node: the one of the first."""
        nodes = {}
        for line in calls:
            if line["decision"] == "pin" and "key" in line:
                nodes.setdefault(line["key"], set()).add(line["node"])
        for key, seen in nodes.items():
            if len(seen) > 1:
                raise Failed(f"the key {key} was pinned to {' and '.join(sorted(seen))}")

    def without_rewrite(self, case, config, home, pair, place):
        """The same without `rewrite`: the client must leave the gateway, whether it keeps its state there or not."""
        place.mkdir()
        gateway = Gateway(self.program, without("rewrite", config), pair.ports, place, case.settings)
        try:
            codes = [one.wait(CLIENT) for one in self.clients(case, home, gateway, place)]
        finally:
            gateway.stop()
        decisions = " ".join(line["decision"] for line in gateway.calls(case.call))
        if not any(codes) and re.fullmatch(case.expect, decisions):
            raise Failed("control: without rewrite every call came through the gateway, too")

    def control(self, case, config, home, pair, place):
        """The same without `sticky` must fail, and fail because the calls went to both nodes."""
        place.mkdir()
        gateway = Gateway(self.program, without("sticky", config), pair.ports, place, case.settings)
        try:
            clients = self.clients(case, home, gateway, place)
            codes = [one.wait(CLIENT) for one in clients]
        finally:
            gateway.stop()
        calls = gateway.calls(case.call)
        nodes = {line.get("node") for line in calls}
        if not any(codes):
            raise Failed("control: without sticky the client kept its state too")
        if nodes != {"node1", "node2"} or {line["decision"] for line in calls} != {"bal"}:
            raise Failed(f"control: it failed, but not for want of sticky: {len(calls)} calls went to {nodes}; see {place}")


def short(decisions):
    """`bal pin pin pin` as `bal pin*3`."""
    words = []
    for word in decisions.split():
        if words and words[-1][0] == word:
            words[-1][1] += 1
        else:
            words.append([word, 1])
    return " ".join(word if n == 1 else f"{word}*{n}" for word, n in words)
