"""How each kind of row is measured: a function each, from a row to Samples of every candidate."""

import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace

import install
import load
import probes
from candidates import NODES, NotStarted
from machine import free_base

MIB_IN_KIB = 1024


def measure(stage, row):
    """Samples of all candidates of a row."""
    return KINDS[row.kind](stage, row)


@contextmanager
def started(stage, row, **how):
    """The row's candidates, started; one that fails says so in its Samples and is left out."""
    everyone, running = [], []
    try:
        for candidate, samples in stage.of(row):
            everyone.append(samples)
            if samples.note:
                continue
            try:
                running.append((candidate.start(stage, row.entry, **how), samples))
            except NotStarted as error:
                fail(stage, samples, error)
        yield everyone, running
    finally:
        for one, _ in running:
            one.stop()


def fail(stage, samples, error):
    samples.note, samples.values = str(error)[-300:], []
    stage.say(f"{samples.name}: {error}")


def keep(samples, run, value):
    """Takes a run into a candidate's Samples."""
    samples.values.append(value)
    note(samples, run)


def note(samples, run):
    """Takes what was wrong in a run."""
    samples.wrong += load.wrong(run)
    samples.errors += load.errors(run)
    if run["first_error"] and not samples.note:
        samples.note = run["first_error"]
    samples.runs.append(run)


def rounds(stage, running, once):
    """Calls `once` for each candidate in turn, round after round, every other round from the back. One that fails is left out."""
    left = list(running)
    for turn in range(stage.effort.rounds):
        for one, samples in left[:] if turn % 2 == 0 else left[::-1]:
            try:
                once(one, samples)
            except (load.LoadFailed, OSError) as error:
                fail(stage, samples, error)
                left.remove((one, samples))


def by_rounds(stage, row, value, **options):
    """Saturation or a fixed rate: `value` of every run."""
    with started(stage, row) as (everyone, running):
        left = []
        for one, samples in running:
            try:
                primed = stage.begin_sessions(one, row, row.sessions)
                if primed:
                    note(samples, primed)
                left.append((one, samples))
            except load.LoadFailed as error:
                fail(stage, samples, error)
        rounds(stage, left, lambda one, samples: run_once(stage, row, one, samples, value, options))
    return everyone


def run_once(stage, row, one, samples, value, options):
    run = stage.load(one, row, **options)
    keep(samples, run, value(run))


def cpu(stage, row):
    return by_rounds(stage, row, lambda run: run["cpu_us"])


def p99(stage, row):
    return by_rounds(stage, row, lambda run: run["p99_us"], rate=stage.effort.rate, seconds=max(2.0, stage.effort.seconds))


def memory(stage, row):
    return by_rounds(stage, row, lambda run: run["peak_kib"] / MIB_IN_KIB)


def uploads(stage, row, value=lambda run: run["peak_kib"] / MIB_IN_KIB):
    """Every candidate anew for each round, so that a peak is of the uploads alone."""
    pairs = stage.of(row)
    left = [(candidate, samples) for candidate, samples in pairs if not samples.note]
    for _ in range(min(3, stage.effort.rounds)):
        for candidate, samples in left[:]:
            one = None
            try:
                one = candidate.start(stage, row.entry)
                stage.begin_sessions(one, row, row.sessions)
                run = stage.load(one, row, count=stage.effort.uploads)
                keep(samples, run, value(run))
            except (NotStarted, load.LoadFailed) as error:
                fail(stage, samples, error)
                left.remove((candidate, samples))
            finally:
                if one:
                    one.stop()
    return [samples for _, samples in pairs]


def upload_cpu(stage, row):
    return uploads(stage, row, lambda run: run["cpu_us"])


def conversation(stage, row):
    """Bytes of resident memory that each of many new conversations added."""
    count = stage.effort.conversations
    with started(stage, row) as (everyone, running):
        for one, samples in running:
            try:
                stage.begin_sessions(one, row, 2000)
                run = stage.begin_sessions(one, row, count)
                keep(samples, run, (run["after_kib"] - run["before_kib"]) * 1024 / count)
            except load.LoadFailed as error:
                fail(stage, samples, error)
            samples.note = samples.note or f"{count:,} conversations of {'two keys' if samples.program == 'castile' else 'one key'}"
    return everyone


def over(stage, row):
    """CPU per request of CL over A, each candidate's against its own, run by run."""
    sides = [replace(row, workload=workload) for workload in ("A", "CL")]
    with started(stage, sides[0]) as (everyone, plain), started(stage, sides[1]) as (_, sticky):
        pairs = []
        for one, samples in plain:
            other = next((found for found, its in sticky if its.program == samples.program), None)
            if other:
                stage.begin_sessions(other, sides[1], row.sessions)
                pairs.append(((one, other), samples))

        def once(pair, samples):
            runs = [stage.load(one, side) for one, side in zip(pair, sides)]
            keep(samples, runs[0], runs[1]["cpu_us"] / runs[0]["cpu_us"])
            note(samples, runs[1])
        rounds(stage, pairs, once)
    return everyone


def resident(stage, row):
    """CPU per request with many conversations resident and in use over that with 10,000."""
    pairs = stage.of(row)
    for candidate, samples in pairs:
        few = many = None
        try:
            few = candidate.start(stage, row.entry)
            many = candidate.start(stage, row.entry, name=candidate.name + " many")
            stage.begin_sessions(few, row, row.sessions)
            note(samples, stage.begin_sessions(many, row, stage.effort.conversations))

            def once(pair, samples):
                runs = [stage.load(one, row) for one in pair]
                keep(samples, runs[0], runs[1]["cpu_us"] / runs[0]["cpu_us"])
                note(samples, runs[1])
            rounds(stage, [((few, many), samples)], once)
            samples.note = samples.note or f"{stage.effort.conversations:,} conversations, all in use"
        except (NotStarted, load.LoadFailed) as error:
            fail(stage, samples, error)
        finally:
            for one in (few, many):
                if one:
                    one.stop()
    return [samples for _, samples in pairs]


def syscalls(stage, row):
    """Data system calls for each exchange, counted by strace."""
    with started(stage, row) as (everyone, running):
        for one, samples in running:
            if install.program("strace") is None:
                samples.note = "there is no strace"
                continue
            stage.begin_sessions(one, row, 500)
            stage.load(one, row, count=500)
            trace = probes.Strace(one.pids(), one.folder / "strace")
            run = stage.load(one, row, count=3000)
            calls = trace.finish()
            keep(samples, run, probes.data_calls(calls) / max(1, run["total"]))
            most = sorted(calls.items(), key=lambda item: -item[1])[:6]
            samples.note = samples.note or ", ".join(f"{name} {count / run['total']:.2f}" for name, count in most)
    return everyone


def instructions(stage, row):
    """Instructions for each exchange: by the machine's counters, user and kernel; else in user space, by cachegrind."""
    everyone = []
    counters = probes.has_counters()
    before = None if counters else probes.valgrind_words()
    for candidate, samples in stage.of(row):
        everyone.append(samples)
        if samples.note:
            continue
        if not counters and before is None:
            samples.note = "there are neither counters nor valgrind"
            continue
        try:
            few, many = (counted_run(stage, row, candidate, samples, before, count) for count in (300, 300 + stage.effort.counted))
            samples.values.append((many - few) / stage.effort.counted)
        except (NotStarted, load.LoadFailed) as error:
            fail(stage, samples, error)
        samples.note = samples.note or ("by counters, user space" if counters else "by cachegrind, user space")
    return everyone


def counted_run(stage, row, candidate, samples, before, count):
    """Instructions of a process that served so many requests, from its start to its end."""
    one = candidate.start(stage, row.entry, before=before or ())
    counter = None
    try:
        stage.begin_sessions(one, row, 200)
        if before is None:
            counter = subprocess.Popen(["perf", "stat", "-x,", "-e", "instructions:u", "-p", load.pids_text(one.pids())], stderr=subprocess.PIPE, text=True)
            time.sleep(0.3)
        note(samples, stage.load(one, row, count=count, connections=8))
        if counter:
            counter.send_signal(signal.SIGINT)
            return probes.counted(counter.communicate(timeout=20)[1]) or 0
    finally:
        one.stop(patience=30)
    return probes.instructions_told((one.folder / "log").read_text())


def workers(stage, row):
    """How much more two workers do than one, nothing pinned.

    With four cores or more: requests a second. With fewer, generator and nodes need what the second worker would, so
    it is how much one CPU second does with two workers, times two: what two idle cores would do."""
    base, nodes = stage.base, []
    try:
        stage.base = free_base(NODES)
        nodes = [stage.spawn_node(stage.base + number, 1, False) for number in range(NODES)]
        with started(stage, row, workers=1, is_pinned=False) as (everyone, single):
            doubles = []
            for one, samples in single:
                doubles.append((one, one.candidate.start(stage, row.entry, workers=2, is_pinned=False, name=one.candidate.name + " two"), samples))
            try:
                rounds(stage, [(pair, samples) for *pair, samples in doubles], lambda pair, samples: workers_once(stage, row, pair, samples))
            finally:
                for _, double, _ in doubles:
                    double.stop()
    finally:
        for node in nodes:
            stage.machine.stop(node)
        stage.base = base
    return everyone


def workers_once(stage, row, pair, samples):
    figures = []
    for one in pair:
        rps, cpu_us, runs = 0.0, [], []
        halves = [load.begin(stage.machine, one.target, False, connections=row.connections // 2, seconds=stage.effort.seconds, warm=stage.effort.warm,
                             processes=load.pids_text(one.pids())) for _ in range(2)]
        for half in halves:
            run = load.parsed(*half.communicate(timeout=300))
            rps += run["rps"]
            # Each half sees all of the candidate's CPU time and about half of its answers.
            cpu_us.append(run["cpu_us"] / 2)
            runs.append(run)
        for run in runs:
            note(samples, run)
        figures.append((rps, sum(cpu_us) / 2))
    (one_rps, one_us), (two_rps, two_us) = figures
    measured = two_rps / one_rps
    samples.values.append(measured if stage.machine.cores >= 4 else 2 * one_us / two_us)
    samples.note = (f"requests/s times {measured:.2f} in the last round"
                    + ("" if stage.machine.cores >= 4 else f" on {stage.machine.cores} cores, which generator and nodes share; the figure: CPU time"))


def spread(stage, row):
    """The most of 8 connections that one event loop of 8 waits for; every round a new set of connections, the worst counts."""
    with started(stage, row, workers=8) as (everyone, running):
        for one, samples in running:
            seen = []
            for _ in range(stage.effort.trials):
                half = load.begin(stage.machine, one.target, True, connections=row.connections, seconds=0.4, warm=0.1, rate=400)
                time.sleep(0.3)
                counts = probes.connections_by_loop(one.pids(), one.port)
                note(samples, load.parsed(*half.communicate(timeout=60)))
                seen.append(max(counts, default=0) if sum(counts) >= row.connections else None)
            seen = [most for most in seen if most is not None]
            if seen:
                samples.values = [max(seen)]
                samples.note = samples.note or f"of {len(seen)} times {seen}"
    return everyone


KINDS = {"cpu": cpu, "p99": p99, "memory": memory, "uploads": uploads, "upload_cpu": upload_cpu, "conversation": conversation, "over": over,
         "resident": resident, "syscalls": syscalls, "instructions": instructions, "workers": workers, "spread": spread}
