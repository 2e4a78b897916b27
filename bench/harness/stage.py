"""What all rows are measured with: the machine, the nodes, the candidates, how long."""

from dataclasses import dataclass

import candidates
import install
import load
from figures import Samples
from machine import Machine, free_base, wait_port


@dataclass(frozen=True)
class Effort:
    """How long a run measures, and how much is resident."""

    rounds: int = 5
    seconds: float = 1.6
    warm: float = 0.3
    # Requests a second of the row with a fixed rate: a tenth of what the slowest peer can.
    rate: int = 1500
    conversations: int = 1_000_000
    uploads: int = 192
    trials: int = 10
    # Requests between two counts of instructions.
    counted: int = 1500


QUICK = Effort(rounds=2, seconds=0.6, warm=0.2, conversations=100_000, uploads=64, trials=3, counted=500)


class Stage:
    """Nodes that run, and candidates that can."""

    def __init__(self, effort, peers=(), say=print):
        self.effort, self.say = effort, say
        self.machine = Machine()
        self.all = [one for one in candidates.all_candidates() if not peers or one.program == "castile" or one.program in peers or one.name in peers]
        self.base = None
        self.nodes = []
        # How much of the machine others used, as seen in each run; None where cores are not ours to judge.
        self.others = []

    def start_nodes(self):
        """Three nodes in one process, on the one core."""
        self.base = free_base(candidates.NODES)
        self.nodes = [self.spawn_node(self.base, candidates.NODES, True)]

    def spawn_node(self, base, count, is_pinned):
        log = install.WORK / "run/nodes.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        node = self.machine.spawn([install.WORK / "bin/node", base, count], log, is_pinned)
        if not wait_port(base + 1, node):
            raise RuntimeError(f"the nodes did not start: {log.read_text()[-300:]}")
        return node

    def of(self, row):
        """The candidates of a row, each with Samples; those that are not installed have none and say so."""
        found = []
        for one in self.all:
            if one.program in row.programs and one.does(row):
                samples = Samples(one.program, one.name)
                if not one.is_installed():
                    samples.note = "not installed"
                found.append((one, samples))
        return found

    def load(self, running, row, is_pinned=True, **options):
        """A run of the generator against a candidate, as the row says; options go before the row."""
        with_tls = row.entry in ("tls", "h2tls")
        values = {
            "workload": row.workload, "bytes": row.bytes, "answer_bytes": row.answer_bytes, "connections": row.connections, "streams": row.streams,
            "certificate": install.WORK / "certificate/cert.pem" if with_tls else None, "sessions": running.sessions,
            "seconds": self.effort.seconds, "warm": self.effort.warm, "processes": load.pids_text(running.pids()),
        }
        run = load.load(self.machine, running.target, is_pinned, **{**values, **options})
        if is_pinned:
            # One core is ours.
            self.others.append(max(0.0, run["machine_busy"] * self.machine.cores - 1))
        return run

    def begin_sessions(self, running, row, count):
        """Begins conversations through a candidate and keeps them for the runs that follow. What it cost."""
        if row.workload == "A":
            return None
        file = running.folder / f"sessions-{count}"
        run = self.load(running, row, make=count, sessions=file, bytes=1024, answer_bytes=1024)
        running.sessions = file
        return run

    def close(self):
        self.machine.stop_all()
