"""Runs of the load generator."""

import json
import os
import subprocess

from install import WORK


class LoadFailed(Exception):
    """The generator said nothing that can be read."""


def load(machine, target, is_pinned=True, **options):
    """One run; what it told. Options are the generator's, with _ for -; None is left out."""
    done = subprocess.run(command(target, options), capture_output=True, text=True, timeout=900, preexec_fn=machine.settle(is_pinned))
    return parsed(done.stdout, done.stderr)


def begin(machine, target, is_pinned=True, **options):
    """Starts a run; `parsed` reads what its `communicate` returns."""
    return subprocess.Popen(command(target, options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=machine.settle(is_pinned))


def command(target, options):
    words = [str(WORK / "bin/load"), "--target", target]
    for name, value in options.items():
        if value is not None:
            words += ["--" + name.replace("_", "-"), str(value)]
    return words


def parsed(stdout, stderr):
    try:
        return json.loads(stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise LoadFailed(f"the load generator failed: {stderr.strip()[-300:]}") from None


def wrong(run):
    """Answers that were not right: of another node, or of another request, or not whole."""
    return run["wrong_session"] + run["wrong_node"] + run["wrong_content"]


def errors(run):
    return run["status_other"] + run["broken"]


def pids_text(pids):
    return ",".join(map(str, pids)) or None


def size_of(path):
    return os.path.getsize(path) if os.path.exists(path) else 0
