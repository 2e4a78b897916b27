"""Candidates: each a gateway with its best configuration for one workload, started on a free port."""

import os
import shutil
import tomllib
from pathlib import Path

import install
from machine import free_port, session_members, wait_port

NODES = 3


class NotStarted(Exception):
    """A candidate did not come up."""


def all_candidates():
    """Every block of candidates.toml."""
    with open(install.HERE / "candidates.toml", "rb") as file:
        told = tomllib.load(file)
    return [Candidate(block, told["program"][block["program"]]) for block in told["candidate"]]


class Candidate:
    """A gateway and its configuration for some workloads."""

    def __init__(self, block, program):
        self.name = block["name"]
        self.program = block["program"]
        self.workloads = block["workloads"]
        self.kinds = block.get("kinds")
        self.bytes_min = block.get("bytes_min", 0)
        self.bytes_max = block.get("bytes_max", 1 << 40)
        self.template = block["conf"]
        self.file = program["file"]
        self.command = program["command"]
        self.entries = program["entry"]

    def does(self, row):
        """Whether it stands for its program in this row."""
        body = max(row.bytes, row.answer_bytes)
        return (row.workload in self.workloads and row.entry in self.entries and row.kind in (self.kinds or [row.kind])
                and self.bytes_min <= body <= self.bytes_max)

    def is_installed(self):
        return install.program(self.file) is not None

    def start(self, stage, entry="plain", workers=1, is_pinned=True, before=(), name=None):
        """Renders the configuration, starts the process, waits until it listens. `before` stands before its command."""
        port, folder = free_port(), install.WORK / "run" / slug(name or self.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        os.chmod(folder, 0o777)
        values = {"ENTRY": self.entries[entry], "PORT": port, "ADMIN": free_port(), "W": workers, "W96": workers * 96, "RUN": folder,
                  "DIR": install.HERE / "peers", "CERT": install.WORK / "certificate", "ROOT": install.root_of(self.file)}
        for number in range(1, NODES + 1):
            values[f"N{number}"] = f"127.0.0.1:{stage.base + number}"
            values[f"N{number}P"] = stage.base + number
        conf = folder / self.template
        conf.write_text(rendered((install.HERE / "peers" / self.template).read_text(), values))
        words = [word.format(conf=conf, run=folder, w=workers) for word in self.command.split()]
        log = folder / "log"
        environment = install.environment(self.file)
        process = stage.machine.spawn([*before, install.program(self.file), *words], log, is_pinned, environment)
        if not wait_port(port, process, 60):
            stage.machine.stop(process)
            raise NotStarted(f"{self.name} did not start: {log.read_text()[-600:]}")
        return Running(self, stage, process, port, folder)


class Running:
    """A candidate that runs."""

    def __init__(self, candidate, stage, process, port, folder):
        self.candidate, self.stage, self.process, self.port, self.folder = candidate, stage, process, port, folder
        self.sessions = None

    @property
    def target(self):
        return f"127.0.0.1:{self.port}"

    def pids(self):
        return session_members(self.process.pid)

    def stop(self, patience=5):
        """Ends it and removes what it wrote but for its log."""
        self.stage.machine.stop(self.process, patience)
        for file in self.folder.iterdir():
            if file.name not in ("log", self.candidate.template):
                shutil.rmtree(file) if file.is_dir() else file.unlink()


def rendered(text, values):
    """A template with its places filled; twice, for what is filled in may have places."""
    for _ in range(2):
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
    return text


def slug(name):
    """A name without what configuration files stumble over."""
    return "-".join(name.replace(",", "").split())
