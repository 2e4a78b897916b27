"""From samples to a line of the table. No measuring here."""

from dataclasses import dataclass, field
from statistics import median


@dataclass
class Samples:
    """What was measured of one candidate in one row, a value each round."""

    program: str
    name: str
    values: list = field(default_factory=list)
    # Answers from the wrong node, or with the wrong content.
    wrong: int = 0
    # Broken connections and other statuses. A peer with either does not do the row.
    errors: int = 0
    note: str = ""
    runs: list = field(default_factory=list)

    def figure(self):
        return median(self.values) if self.values else None

    def is_fair(self):
        return bool(self.values) and self.wrong + self.errors == 0


@dataclass
class Line:
    """A row with what came of it."""

    row: object
    ours: Samples | None
    # The best configuration of each program.
    peers: dict
    best: Samples | None
    ratios: list
    verdict: str

    def ratio(self):
        return median(self.ratios) if self.ratios else None


def line(row, samples):
    """Chooses the best configuration of each program and the best peer, and judges."""
    def better(one, other):
        return other is None or (one.figure() > other.figure() if row.more else one.figure() < other.figure())
    ours, peers = None, {}
    for one in samples:
        if one.program == "castile":
            ours = one
        elif one.is_fair():
            if better(one, peers.get(one.program) if one.program in peers and peers[one.program].is_fair() else None):
                peers[one.program] = one
        else:
            peers.setdefault(one.program, one)
    best = None
    for one in peers.values():
        if one.is_fair() and better(one, best):
            best = one
    ratios = ratios_of(ours, best)
    figure = None
    if ours and ours.values:
        figure = ours.figure() if row.judged == "value" else median(ratios) if ratios else None
    return Line(row, ours, peers, best, ratios, verdict(row, figure, ours.wrong if ours else 0, ours.errors if ours else 0))


def ratios_of(ours, best):
    """Round by round, for what moves both moves neither."""
    if not ours or not best:
        return []
    return [one / other for one, other in zip(ours.values, best.values) if other]


def verdict(row, figure, wrong=0, errors=0):
    """goal, reached, NOT reached, WRONG ANSWERS, ERRORS, or - where nothing is judged."""
    if wrong or errors:
        return "WRONG ANSWERS" if wrong else "ERRORS"
    if figure is None:
        return "not measured"
    if row.must is None:
        return "-"
    # As exact as the figure to be reached: 4.01 system calls are 4.
    figure = round(figure, 1 if row.judged == "value" and row.must >= 2 else 2)
    reaches = (lambda bound: figure >= bound) if row.more else (lambda bound: figure <= bound)
    return "goal" if reaches(row.goal) else "reached" if reaches(row.must) else "NOT reached"
