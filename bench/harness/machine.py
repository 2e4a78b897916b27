"""Processes pinned to cores, found again by their session, and always ended."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

# While nobody is measured, a machine busier than this is worth a warning.
BUSY = 0.15


class Machine:
    """Starts processes: all on one core as batch jobs, or wherever the system likes.

    On one core nothing wakes another core up, and the degree of batching is fixed: the steadiest CPU per request."""

    def __init__(self):
        self.core = min(os.sched_getaffinity(0))
        self.cores = len(os.sched_getaffinity(0))
        self.processes = []

    def settle(self, is_pinned):
        """What a process does before it becomes its program."""
        def settle():
            if is_pinned:
                os.sched_setaffinity(0, {self.core})
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return settle

    def spawn(self, command, log, is_pinned=True, environment=None):
        with open(log, "w") as out:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                       start_new_session=True, preexec_fn=self.settle(is_pinned), env={**os.environ, **(environment or {})})
        self.processes.append(process)
        return process

    def stop(self, process, patience=5):
        """Ends a process and all that it started, by their ids."""
        if process in self.processes:
            self.processes.remove(process)
        members = session_members(process.pid)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                pass
        for pid in members:
            if pid in session_members(process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        process.wait()

    def stop_all(self):
        for process in list(self.processes):
            self.stop(process)


def session_members(session):
    """The processes of a session, by the kernel's table."""
    members = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            if int(stat[stat.rindex(")") + 2:].split()[3]) == session:
                members.append(int(entry))
    return members


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_base(count):
    """A port such that it and the `count` after it are free, as far as one can know."""
    while True:
        base = free_port()
        try:
            probes = [socket.create_server(("127.0.0.1", base + number)) for number in range(1, count + 1)]
        except OSError:
            continue
        for probe in probes:
            probe.close()
        return base


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False


def wait_port(port, process, limit=30):
    """Whether somebody listens before `limit` seconds are over or the process has gone."""
    end = time.monotonic() + limit
    while time.monotonic() < end and process.poll() is None:
        if listens(port):
            return True
        time.sleep(0.05)
    return False


def busy_share(seconds=1.0):
    """The share of all cores that is used now."""
    def ticks():
        numbers = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(numbers) - numbers[3] - numbers[4], sum(numbers)
    busy, total = ticks()
    time.sleep(seconds)
    later, later_total = ticks()
    return (later - busy) / max(1, later_total - total)


def description():
    """The machine in a few words."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    release = os.uname().release.split("-")[0]
    return f"{len(os.sched_getaffinity(0))} cores ({model}), Linux {release}"
