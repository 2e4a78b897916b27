"""Measures Castile beside its peers and prints one table; README.md tells what each row means.

Ends with 1 when Castile gave a wrong answer or an error, with 0 otherwise, whatever the figures are; --strict: also when a row is NOT reached."""

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import replace

import figures
import install
import machine
import measures
import rows
import selftest
import table
from stage import QUICK, Effort, Stage


def main():
    options = arguments()
    if options.self_test:
        return selftest.run()
    if options.list:
        print("\n".join(row.name for row in rows.ROWS))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = rows.chosen(options.rows)
    effort = QUICK if options.quick else Effort()
    given = {name: value for name in ("rounds", "seconds", "conversations") if (value := getattr(options, name)) is not None}
    stage = Stage(replace(effort, **given), {name for name in options.peers.split(",") if name}, say)
    install.prepare(say)
    about = {"machine": machine.description(), "load": os.getloadavg()[0], "busy": round(machine.busy_share(), 2), "versions": install.versions()}
    head(about)
    lines = []
    try:
        stage.start_nodes()
        for row in chosen:
            lines.append(measure(stage, row))
    except KeyboardInterrupt:
        say("stopped; what was measured:")
    finally:
        stage.close()
    about["others"] = round(sorted(stage.others)[len(stage.others) // 2], 2) if stage.others else None
    print("\n" + table.text(lines))
    foot(about, lines)
    file = options.json or install.WORK / "results.json"
    with open(file, "w") as out:
        json.dump(table.data(lines, about), out, indent=1)
    say(f"every run is in {file}")
    verdicts = [line.verdict for line in lines]
    return 1 if {"WRONG ANSWERS", "ERRORS"} & set(verdicts) or (options.strict and {"NOT reached", "not measured"} & set(verdicts)) else 0


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help='only rows that begin so: "A 1 KiB", CL, memory')
    parser.add_argument("--peers", default="", help="only these programs or configurations beside castile, comma separated: haproxy,nginx")
    parser.add_argument("--quick", action="store_true", help="fewer, shorter rounds and 100,000 instead of 1,000,000 conversations: rough")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=float, help="measured seconds of a candidate in a round (1.6)")
    parser.add_argument("--conversations", type=int, help="resident conversations (1,000,000)")
    parser.add_argument("--json", help="where the results go (results.json in the bench's folder)")
    parser.add_argument("--strict", action="store_true", help="fail when a row is not reached")
    parser.add_argument("--list", action="store_true", help="print the rows")
    parser.add_argument("--self-test", action="store_true", help="test the harness's own decisions; measures nothing")
    return parser.parse_args()


def measure(stage, row):
    begun = time.monotonic()
    line = figures.line(row, measures.measure(stage, row))
    print("\n" + table.details(line))
    say(f"{row.name}: {line.verdict}, after {time.monotonic() - begun:.0f} s")
    return line


def head(about):
    say(f"{about['machine']}; load {about['load']:.1f}; {about['busy'] * 100:.0f} % of the machine is in use before anything is measured")
    if about["busy"] > machine.BUSY:
        say("WARNING: the machine is busy. Ratios within a row stand; microseconds and memory of different rows do not compare.")
    for name, version in about["versions"].items():
        say(f"{name}: {version}")


def foot(about, lines):
    """What the table does not say."""
    print("\nLower is better, but for two workers over one. A figure is the median of the rounds; a ratio is the median of the ratios of each round, to"
          "\nthe best peer of the row in its best configuration. Peers run without logging and health checks, in their favour; Castile with its access"
          "\nlog to a file, health checks, metrics, limits and timeouts. cannot: no configuration does the row.")
    if about["others"] is not None:
        print(f"Others used {about['others']:.1f} of the machine's other cores, or of ours, in the median run.")
    wrong = sum(line.ours.wrong for line in lines if line.ours)
    errors = sum(line.ours.errors for line in lines if line.ours)
    print(f"Castile: {wrong} wrong answers, {errors} other errors.")


def say(text):
    print(f"-- {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
