"""Measures Castile beside its peers and prints one table. See README.md."""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys

from candidates import all_candidates
from machine import WORK, Machine, free_port, wait_port
from rows import ROWS

SECONDS = 2.0
WARM = 0.4
MODEST_RATE = 1500


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    machine = Machine(one_core=not options.spread)
    candidates = [one for one in all_candidates() if wanted(one, options.peers)]
    for one in [one for one in candidates if not one.is_installed()]:
        print(f"not measured: {one.name} ({one.program} is not installed)")
        candidates.remove(one)
    (WORK / "run").mkdir(parents=True, exist_ok=True)
    os.chmod(WORK / "run", 0o777)
    wrong = 0
    try:
        base = node_ports()
        node = machine.spawn([str(WORK / "bin/backend"), str(base), "3"], WORK / "run/nodes.log")
        if not wait_port(base + 1, node):
            raise RuntimeError("the nodes did not start")
        results = []
        for row in ROWS:
            if options.rows and not any(row.name.startswith(prefix) for prefix in options.rows):
                continue
            measured = measure_row(machine, row, [one for one in candidates if row.workload in one.workloads], base, options)
            results.append((row, measured))
            wrong += print_row(row, measured)
        summary(results)
    finally:
        machine.stop_all()
    return 1 if wrong else 0


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help='only rows that begin so: "A 1 KiB", CL')
    parser.add_argument("--peers", default="", help="only these programs or candidates beside castile, comma separated")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="measured seconds a round and candidate (2)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--spread", action="store_true", help="pin nothing; the default is everything on one core")
    return parser.parse_args()


def wanted(candidate, peers):
    names = [name for name in peers.split(",") if name]
    return not names or candidate.is_ours or candidate.name in names or candidate.program in names


def node_ports():
    """A base such that base + 1 to base + 3 are free, as far as one can know."""
    from random import randrange
    return randrange(20_000, 28_000)


def measure_row(machine, row, candidates, base, options):
    """{name: {"sat": [..], "rate": [..]}}; candidates run one at a time, in rounds of alternating order."""
    results = {}
    started = []
    try:
        for one in candidates:
            one.start(machine, base, options.workers)
            started.append(one)
            results[one.name] = {"candidate": one, "sat": [], "rate": []}
        for turn in range(options.rounds):
            for one in started if turn % 2 == 0 else reversed(started):
                results[one.name]["sat"].append(load(machine, row, one, options.seconds, rate=0))
                if row.size == 1024:
                    results[one.name]["rate"].append(load(machine, row, one, options.seconds, rate=MODEST_RATE))
    finally:
        for one in started:
            machine.stop(one.process)
    return results


def load(machine, row, candidate, seconds, rate):
    """One run of the load generator; its CPU figures are of the candidate's processes, over the measured window."""
    from machine import session_members
    pids = session_members(candidate.process.pid)
    command = machine.prefix() + [
        str(WORK / "bin/loadgen"), "--target", f"127.0.0.1:{candidate.port}", "--mode", row.workload,
        "--size", str(row.size), "--resp", "1024", "--conns", str(row.connections), "--sessions", str(row.sessions),
        "--warm", str(WARM), "--dur", str(seconds), "--rate", str(rate), "--pids", ",".join(map(str, pids)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise RuntimeError(f"{candidate.name}: the load generator failed: {done.stderr[-300:]}") from error


def median(runs, key):
    values = [run[key] for run in runs if run.get("done")]
    return statistics.median(values) if values else None


def print_row(row, measured):
    """One table of all candidates; how many answers of Castile were wrong."""
    print(f"\n### {row.name}, {row.connections} connections\n")
    print("| candidate | CPU µs/request (min to max) | user / system | requests/s | p50 / p99 µs at "
          f"{MODEST_RATE}/s | peak MiB | wrong node | other errors |")
    print("|---|---|---|---|---|---|---|---|")
    wrong = 0
    for name, result in sorted(measured.items(), key=lambda item: median(item[1]["sat"], "cpu_us") or 0):
        sat, rate = result["sat"], result["rate"]
        cost = [run["cpu_us"] for run in sat]
        runs = sat + rate
        misled = sum(run["s500"] + run["wrong"] for run in runs)
        errors = sum(run["sother"] + run["cerr"] for run in runs)
        wrong += misled if result["candidate"].is_ours else 0
        latency = f"{median(rate, 'p50'):.0f} / {median(rate, 'p99'):.0f}" if rate else "-"
        print(f"| {name} | {statistics.median(cost):.2f} ({min(cost):.2f} to {max(cost):.2f}) | "
              f"{median(sat, 'usr_us'):.1f} / {median(sat, 'sys_us'):.1f} | {median(sat, 'rps'):.0f} | {latency} | "
              f"{max(run['hwm_kb'] for run in runs) / 1024:.1f} | {misled} | {errors} |", flush=True)
    return wrong


def summary(results):
    print("\n### Ratio of CPU per request to the best peer of each row\n")
    print("| row | best peer | its µs | castile µs | ratio | must | goal | |")
    print("|---|---|---|---|---|---|---|---|")
    for row, measured in results:
        costs = {name: median(result["sat"], "cpu_us") for name, result in measured.items()}
        peers = {name: cost for name, cost in costs.items() if cost and not measured[name]["candidate"].is_ours}
        ours = min((cost for name, cost in costs.items() if cost and measured[name]["candidate"].is_ours), default=None)
        if not peers or ours is None:
            continue
        best = min(peers, key=peers.get)
        ratio = ours / peers[best]
        verdict = "goal" if ratio <= row.goal else "reached" if ratio <= row.must else "NOT reached"
        print(f"| {row.name} | {best} | {peers[best]:.2f} | {ours:.2f} | {ratio:.2f} | {row.must} | {row.goal} | {verdict} |")
    own = {row.name: median(result["sat"], "cpu_us") for row, measured in results
           for result in measured.values() if result["candidate"].is_ours}
    if "A 1 KiB" in own and "CL 1 KiB" in own:
        print(f"| CL over A, castile itself | | {own['A 1 KiB']:.2f} | {own['CL 1 KiB']:.2f} | "
              f"{own['CL 1 KiB'] / own['A 1 KiB']:.2f} | 1.1 | 1.05 | |")


if __name__ == "__main__":
    sys.exit(main())
