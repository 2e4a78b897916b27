"""Processes pinned to cores, found again by their session, and always ended."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("BENCH_WORK", HERE / "work"))


class Machine:
    """Who runs where. `one_core`: proxy, nodes and load on core 0, as batch jobs: no wake-ups between cores, a fixed
    degree of batching, and so the steadiest CPU per request. Else everybody runs where the system likes."""

    def __init__(self, one_core):
        self.one_core = one_core
        self.proxy_core = 0 if one_core else None
        self.processes = []

    def prefix(self):
        return ["chrt", "-b", "0", "taskset", "-c", "0"] if self.one_core else []

    def spawn(self, command, log, core=None):
        with open(log, "w") as out:
            process = subprocess.Popen(self.prefix() + command, stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self.processes.append(process)
        return process

    def stop(self, process):
        """Ends a process and all that it started."""
        if process in self.processes:
            self.processes.remove(process)
        members = session_members(process.pid)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                pass
        for pid in members:
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


def wait_port(port, process, limit=20):
    """Whether somebody listens before `limit` seconds are over or the process has gone."""
    end = time.time() + limit
    while time.time() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False
