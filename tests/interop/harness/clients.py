"""Clients that several stacks use, installed once: zeep and suds (PyPI) and node-soap (npm)."""

import shutil
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "clients"
INPUTS = [FOLDER]


def zeep(installer):
    """A virtual environment with zeep and suds."""
    requirements = FOLDER / "requirements.txt"
    return installer.folder("zeep", [requirements], lambda home: installer.pip(home, requirements))


def node_soap(installer):
    """A folder whose scripts can import soap."""
    def make(home):
        for file in [*FOLDER.glob("*.json"), *FOLDER.glob("*.mjs")]:
            shutil.copy(file, home)
        installer.npm(home)
    return installer.folder("node-soap", [*sorted(FOLDER.glob("*.json")), *sorted(FOLDER.glob("*.mjs"))], make)


def link(installer, home):
    """Puts both where a stack's client finds them."""
    (home / "zeep").symlink_to(zeep(installer))
    (home / "node-soap").symlink_to(node_soap(installer))
    (home / "node_modules").symlink_to(home / "node-soap/node_modules")
