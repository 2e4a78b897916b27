"""Child processes: each in a group of its own, waited for with deadlines, ended by that group and never by name."""

import os
import random
import re
import signal
import socket
import subprocess
import time

START = 90      # seconds for a node or the gateway to serve; a JVM on a busy machine takes up to 20
POLL = 0.05


class Late(Exception):
    """Something did not happen in time."""


def until(happened, what, limit=START):
    """Waits until `happened()` answers with something true, and returns it."""
    end = time.monotonic() + limit
    while True:
        got = happened()
        if got:
            return got
        if time.monotonic() > end:
            raise Late(f"{what} within {limit} s")
        time.sleep(POLL)


def free_port(taken=set()):
    """A port nobody listens on. Below those that the kernel gives to outgoing connections, so that none of them takes it."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        taken.add(port)
        return port
    raise Late("no free port was found")


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A child with its output in a file."""

    everyone = []

    def __init__(self, command, output, environment=None, gate=False, cwd=None):
        self.output = output            # appended to: a node that was started again keeps what it said before
        self.begin = output.stat().st_size if output.exists() else 0
        self.command = [str(word) for word in command]
        with open(output, "ab") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.PIPE if gate else subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})}, start_new_session=True, cwd=cwd)
        Process.everyone.append(self)

    def text(self):
        """Its output so far."""
        return self.output.read_bytes()[self.begin:].decode(errors="replace")

    def says(self, expression, what, limit=START):
        """Waits for output, and returns the match."""
        def said():
            ended = self.child.poll() is not None
            match = re.search(expression, self.text())
            if ended and not match:
                raise Late(f"{what}: it ended with {self.child.returncode}; see {self.output}")
            return match
        return until(said, f"{what} (see {self.output})", limit)

    def serves(self, port, ready=""):
        name = self.command[0]
        if ready:
            self.says(ready, f"{name} did not say that it serves")

        def listening():
            if self.child.poll() is not None:
                raise Late(f"{name} ended with {self.child.returncode}; see {self.output}")
            return accepts(port)
        until(listening, f"{name} did not listen on {port}")

    def go_on(self):
        """Lets a client that waits at its gate make its next call."""
        try:
            self.child.stdin.write(b"\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            pass

    def wait(self, limit):
        """Its exit code."""
        if self.child.stdin:
            try:
                self.child.stdin.close()
            except BrokenPipeError:
                pass
        try:
            return self.child.wait(limit)
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)
            raise Late(f"{self.command[0]} did not end within {limit} s; see {self.output}") from None

    def end(self, how=signal.SIGTERM):
        """Ends it and what it started, the hard way after ten seconds."""
        for one in (how, signal.SIGKILL):
            try:
                os.killpg(self.child.pid, one)
            except ProcessLookupError:
                pass
            try:
                self.child.wait(10)
                if one == signal.SIGKILL:
                    break
            except subprocess.TimeoutExpired:
                continue
            if how == signal.SIGKILL:
                break
        if self in Process.everyone:
            Process.everyone.remove(self)

    @classmethod
    def end_all(cls):
        for one in list(cls.everyone):
            one.end(signal.SIGKILL)
