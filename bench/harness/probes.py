"""What other programs and the kernel tell of a candidate: system calls, instructions, connections by event loop. Parsers are pure."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import install

# System calls that carry a message's bytes; waiting, timers and locks are others.
DATA_CALLS = {"read", "readv", "pread64", "recv", "recvfrom", "recvmsg", "recvmmsg", "write", "writev", "pwrite64", "pwritev", "send", "sendto", "sendmsg",
              "sendmmsg", "sendfile", "sendfile64", "splice", "tee"}


class Strace:
    """Counts the system calls of processes while it is open."""

    def __init__(self, pids, file):
        self.file = file
        words = [str(install.program("strace")), "-f", "-qq", "-c", "-U", "calls,name", "-o", str(file)]
        for pid in pids:
            words += ["-p", str(pid)]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={**os.environ, **install.environment("strace")})
        end = time.monotonic() + 10
        while time.monotonic() < end and not all(is_traced(pid) for pid in pids):
            time.sleep(0.05)

    def finish(self):
        """Calls by name."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)
        return calls_by_name(Path(self.file).read_text())


def is_traced(pid):
    """Whether every thread of a process has a tracer."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return all(not re.search(r"TracerPid:\t0\n", (task / "status").read_text()) for task in tasks)
    except OSError:
        return True


def calls_by_name(summary):
    """The table of strace -c -U calls,name."""
    calls = {}
    for line in summary.splitlines():
        words = line.split()
        if len(words) == 2 and words[0].isdigit() and words[1] != "total":
            calls[words[1]] = int(words[0])
    return calls


def data_calls(calls):
    return sum(count for name, count in calls.items() if name in DATA_CALLS)


def has_counters():
    """Whether perf counts instructions here."""
    if shutil.which("perf") is None:
        return False
    done = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True)
    return counted(done.stderr) is not None


def counted(text):
    """Instructions by perf stat -x,; None where the machine does not count."""
    for line in text.splitlines():
        words = line.split(",")
        if len(words) > 2 and words[2].startswith("instructions") and words[0].isdigit():
            return int(words[0])
    return None


def valgrind_words():
    """What stands before a command so that its instructions are counted; None without valgrind."""
    path = install.program("valgrind")
    return path and [path, "--tool=cachegrind", "--cache-sim=no", "--branch-sim=no", "--cachegrind-out-file=/dev/null"]


def instructions_told(log):
    """What cachegrind counted, over all processes that ended."""
    return sum(int(number.replace(",", "")) for number in re.findall(r"I\s+refs:\s+([\d,]+)", log))


def connections_by_loop(pids, port):
    """Client connections of a listening port, by the event loop (epoll) that waits for them; loops without any are left out."""
    sockets = server_sockets(Path("/proc/net/tcp").read_text(), port)
    counts = []
    for pid in pids:
        inodes, loops = {}, []
        for entry in descriptors(pid):
            try:
                name = os.readlink(entry)
            except OSError:
                continue
            if name.startswith("socket:["):
                inodes[int(entry.name)] = int(name[8:-1])
            elif name == "anon_inode:[eventpoll]":
                loops.append(Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text())
        for loop in loops:
            watched = {inodes.get(descriptor) for descriptor in watched_by(loop)}
            count = len(watched & sockets)
            if count:
                counts.append(count)
    return sorted(counts, reverse=True)


def descriptors(pid):
    try:
        return list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return []


def server_sockets(table, port):
    """Inodes of the established connections of a local port, by /proc/net/tcp."""
    inodes = set()
    for line in table.splitlines()[1:]:
        words = line.split()
        if int(words[1].split(":")[1], 16) == port and words[3] == "01":
            inodes.add(int(words[9]))
    return inodes


def watched_by(fdinfo):
    """Descriptors that an epoll instance watches, by its fdinfo."""
    return {int(number) for number in re.findall(r"^tfd:\s*(\d+)", fdinfo, re.MULTILINE)}
