"""Candidates: each a gateway with its best configuration for one workload, started on a free port."""

import os
import shutil
import tomllib
from pathlib import Path

from machine import HERE, WORK, free_port, wait_port

NODES = 3


def all_candidates():
    """Every block of candidates.toml."""
    with open(HERE / "candidates.toml", "rb") as file:
        return [Candidate(block) for block in tomllib.load(file)["candidate"]]


class Candidate:
    """One gateway and configuration; `start` gives it a port and a process."""

    def __init__(self, block):
        self.name = block["name"]
        self.program = block["program"]
        self.workloads = block["workloads"]
        self.rows = block.get("rows")
        self.template = block.get("conf")
        self.command = block["command"]
        self.process = None
        self.port = None

    @property
    def is_ours(self):
        return self.program == "castile"

    def is_installed(self):
        return shutil.which(self.program_path()) is not None

    def program_path(self):
        if self.is_ours:
            return str(WORK / "bin" / "castile")
        if self.program == "envoy":
            found = sorted(WORK.glob("envoy/lib/python3*/site-packages/envoy/_bin/envoy"))
            return str(found[0]) if found else "envoy"
        return {"apache": "apache2"}.get(self.program, self.program)

    def start(self, machine, base_port, workers):
        """Renders the configuration, starts the process, waits until it listens."""
        self.port = free_port()
        scratch = WORK / "run" / self.name
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        os.chmod(scratch, 0o777)
        values = {"PORT": self.port, "ADMIN": free_port(), "W": workers, "W96": workers * 96, "RUN": scratch,
                  "DIR": HERE / "peers", "CERT": WORK / "cert"}
        for number in range(1, NODES + 1):
            values[f"N{number}"] = f"127.0.0.1:{base_port + number}"
            values[f"N{number}P"] = base_port + number
        text = Path(HERE / "peers" / self.template).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        conf = scratch / self.template
        conf.write_text(text)
        words = [word.format(conf=conf, run=scratch, w=workers) for word in self.command.split()]
        self.process = machine.spawn([self.program_path(), *words], scratch / "log", core=machine.proxy_core)
        if not wait_port(self.port, self.process):
            raise RuntimeError(f"{self.name} did not start: {(scratch / 'log').read_text()[-600:]}")
