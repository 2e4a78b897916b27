"""What a stack's folder says of itself: how it is installed, its nodes, its client, and its cases."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable, Union


@dataclass(frozen=True)
class Nodes:
    """One way to run the stack's service. Two of it run side by side, and each alone holds what it counted."""

    command: Callable[[Path, int, str], list]   # installed folder, port, name -> argv
    ready: str = ""                             # a line of its output that says it serves; empty = its port accepts
    environment: Callable[[Path, int, str], dict] = lambda home, port, name: {}


@dataclass(frozen=True)
class Case:
    """One conversation of the stack's own client through the gateway."""

    name: str
    nodes: str                                  # which of the stack's `nodes`
    client: Callable[[Path, str], list]         # installed folder, base URL -> argv; exits 0 only if the state was kept
    expect: str                                 # expression over the decisions of all calls, in their order
    config: str = "gateway.yaml"                # in the stack's folder
    settings: dict = field(default_factory=dict)    # environment of that file
    event: str = ""                             # what the access log must tell of the conversation
    call: str = "POST"                          # the method of what counts as a call
    fast: bool = False                          # belongs to the set that every change runs
    clients: int = 1                            # conversations at the same time
    # The node of the conversation is killed after its second call; the third must fail with what matches this.
    killed: str = ""
    # How many calls the access log tells of before that; 0 = all but the last of `expect`.
    before: int = 0
    # What must stand in the output of the client, of some node, and of none.
    says: str = ""
    node_says: str = ""
    node_never_says: str = ""
    # The node forgets the session: the client must fail, and say what matches this.
    fails: str = ""
    # What the client is told; PORT and TLS_PORT are the gateway's.
    address: str = "http://127.0.0.1:PORT"
    # Run without `rewrite` too: the client must then leave the gateway, which the access log shows.
    leaves: bool = False
    # Run without `sticky` too, where it must fail. Off only where the same conversation has its control in another case.
    control: bool = True

    @property
    def result(self):
        """What a case that passed has shown."""
        if self.killed:
            return "hears the Fault `SessionLost`, begins anew"
        return "hears that the session expired, the pin is dropped" if self.fails else "kept its state"


@dataclass(frozen=True)
class Stack:
    name: str                                   # as given on the command line
    title: str
    # Where a distribution decides: a function that asks what is installed.
    version: Union[str, Callable[[], str]]
    folder: Path
    install: Callable[["Installer"], Path]      # noqa: F821 - see install.py
    nodes: dict
    cases: list


def killed(like, calls, text="session is lost", **changes):
    """The case `like` once more, with its node killed between the second and the third of `calls`.

    `calls`: an expression over the decisions up to there, the refused one included, with one blank between two; where their number varies,
    `before` tells how many there are at least before the kill.
    """
    changes.setdefault("fast", False)
    return replace(like, name=f"{like.name}, node killed", expect=calls, killed=text, control=False, **changes)
