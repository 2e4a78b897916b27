"""The gateway under test: its configuration, its process and what its access log says."""

import json
import re
import signal

from .processes import Process, free_port, until


def without(block, config):
    """The configuration with every block of this name taken out: without `sticky` plain round robin."""
    kept, inside = [], None
    for line in config.splitlines():
        indent = len(line) - len(line.lstrip())
        if inside is not None and line.strip() and indent <= inside:
            inside = None
        if inside is None and re.match(rf"\s*{block}:", line):
            inside = indent
        if inside is None:
            kept.append(line)
    return "\n".join(kept) + "\n"


class Gateway:
    """`castile run` with a case's configuration, in a folder of its own."""

    def __init__(self, program, config, ports, folder, settings=None):
        self.port, self.tls_port = free_port(), free_port()
        self.folder = folder
        self.log = folder / "access.log"
        self.log.unlink(missing_ok=True)
        file = folder / "gateway.yaml"
        file.write_text(config)
        environment = {"GATEWAY_PORT": str(self.port), "GATEWAY_TLS_PORT": str(self.tls_port), "NODE1_PORT": str(ports[0]), "NODE2_PORT": str(ports[1]),
                       "ACCESS_LOG": str(self.log), **(settings or {})}
        self.process = Process([program, "run", "--config", file], folder / "gateway.log", environment)
        self.process.serves(self.port)

    def url(self, address):
        """What clients are told, with the ports of this gateway in it."""
        return address.replace("TLS_PORT", str(self.tls_port)).replace("PORT", str(self.port))

    def lines(self):
        """The access log so far, whole lines only."""
        text = self.log.read_text() if self.log.exists() else ""
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        # Each worker writes batches of its own.
        return sorted(lines, key=lambda line: line["time"])

    def calls(self, method="POST"):
        return [line for line in self.lines() if line["method"] == method]

    def node_of_last_call(self, count, method="POST"):
        """The node that served the last of `count` calls; the log is written in batches, so this waits."""
        calls = until(lambda: len(self.calls(method)) >= count and self.calls(method), f"the access log did not tell of {count} calls", 20)
        return calls[-1].get("node")

    def stop(self):
        """Stops it in order, which writes the rest of the access log."""
        self.process.end(signal.SIGTERM)
