"""The rows of the table: what is measured, and what is to be reached."""

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True)
class Row:
    """One workload at one size. `must` and `goal` are ratios of CPU per request to the best peer of the row."""

    name: str
    workload: str
    size: int = KIB
    must: float = 1.0
    goal: float = 1.0
    connections: int = 64
    sessions: int = 10_000
    tls: bool = False


ROWS = [
    Row("A 1 KiB", "A", must=0.95, goal=0.75),
    Row("B 1 KiB", "B", must=0.80, goal=0.62),
    Row("CH 1 KiB", "CH", must=0.80, goal=0.62),
    Row("CL 1 KiB", "CL", must=0.72, goal=0.55),
    Row("A 10 KiB", "A", size=10 * KIB, must=0.95, goal=0.75),
    Row("CL 10 KiB", "CL", size=10 * KIB, must=0.72, goal=0.55),
    Row("A 100 KiB", "A", size=100 * KIB, must=0.75, goal=0.55),
    Row("CL 100 KiB", "CL", size=100 * KIB, must=0.75, goal=0.55, sessions=1_000),
    Row("A 1 MiB", "A", size=1024 * KIB, must=0.75, goal=0.55),
    Row("CL 1 MiB", "CL", size=1024 * KIB, must=0.75, goal=0.55, sessions=200),
]
