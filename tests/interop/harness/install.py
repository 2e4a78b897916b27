"""Brings stacks from package registries into a cache, each once."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

# A registry that says nothing for this long is taken for dead.
LIMIT = 900


class NotInstalled(Exception):
    """A stack cannot be had here."""


class Installer:
    """Folders in the cache, named by what they were made from."""

    def __init__(self, cache):
        self.cache = Path(cache)
        self.cache.mkdir(parents=True, exist_ok=True)

    def folder(self, name, inputs, make):
        """The folder `name`, made by `make(folder)` unless it was already made from the same `inputs` (files, folders, text)."""
        digest = hashlib.sha256(name.encode())
        for one in inputs:
            for path in files(one) if isinstance(one, Path) else []:
                digest.update(str(path.relative_to(one.parent)).encode() + b"\0" + path.read_bytes())
            if not isinstance(one, Path):
                digest.update(str(one).encode())
        folder = self.cache / f"{name}-{digest.hexdigest()[:12]}"
        done = folder / ".installed"
        with open(self.cache / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    def maven(self, pom, into, *options):
        """Copies what `pom` depends on into a folder."""
        run("mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={into}", *options)

    def javac(self, classes, jars, sources, *options):
        run("javac", "-nowarn", "-proc:none", "-Xlint:-options", *options, "-cp", f"{jars}/*", "-d", classes, *sources)

    def debian(self, *packages):
        """Makes sure that Debian packages are installed."""
        have = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}\n", *packages], capture_output=True, text=True)
        if have.returncode == 0 and set(have.stdout.split()) == {"installed"}:
            return
        if os.geteuid() != 0:
            raise NotInstalled(f"needs the Debian packages {' '.join(packages)}, and is not root to install them")
        install = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "-q", "--no-install-recommends", *packages]
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        try:
            run(*install, environment=environment)
        except NotInstalled:        # the list of packages may be old, or missing
            run("apt-get", "-q", "update")
            run(*install, environment=environment)

    def pip(self, folder, requirements):
        run("python3", "-m", "venv", folder)
        run(folder / "bin/pip", "install", "-q", "--disable-pip-version-check", "-r", requirements)

    def npm(self, folder):
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder)


def certificates(installer):
    """A folder with the certificate of 127.0.0.1 and localhost: ca.pem, certificate.pem, key.pem, and for Java (password "secret")
    node.p12 and trust.p12."""
    def make(home):
        new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-sha256"]
        run(*new, "-x509", "-days", "3650", "-subj", "/CN=interop authority", "-keyout", home / "ca.key", "-out", home / "ca.pem")
        run(*new, "-subj", "/CN=localhost", "-keyout", home / "key.pem", "-out", home / "request.pem")
        (home / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        run("openssl", "x509", "-req", "-sha256", "-days", "3650", "-in", home / "request.pem", "-CA", home / "ca.pem", "-CAkey", home / "ca.key",
            "-CAcreateserial", "-extfile", home / "names", "-out", home / "certificate.pem")
        run("openssl", "pkcs12", "-export", "-name", "node", "-in", home / "certificate.pem", "-inkey", home / "key.pem", "-out", home / "node.p12",
            "-passout", "pass:secret")
        run("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", home / "ca.pem", "-keystore", home / "trust.p12", "-storetype", "PKCS12",
            "-storepass", "secret")
    return installer.folder("certificates", ["1"], make)


def said(expression, *command):
    """What `expression` finds in the output of a command: how a program tells its version."""
    output = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found = re.search(expression, output.stdout + output.stderr)
    return found.group(1) if found else "of unknown version"


def files(path):
    if path.is_dir():
        return sorted(one for one in path.rglob("*") if one.is_file() and "__pycache__" not in one.parts)
    return [path]


def run(*command, environment=None, cwd=None):
    command = [str(word) for word in command]
    if shutil.which(command[0]) is None:
        raise NotInstalled(f"needs {command[0]}")
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=LIMIT, env={**os.environ, **(environment or {})}, cwd=cwd)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{command[0]} did not end within {LIMIT} s") from None
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if line.strip()]
        raise NotInstalled(f"{' '.join(command[:4])} ... ended with {done.returncode}: {' | '.join(said[-3:])[:400]}")
