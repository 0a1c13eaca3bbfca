"""How a command ends that is stopped: how long it may take, and what is said of what it leaves.

`main` asks when a signal has come. A command that has something to give back says so around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Ending:
    """How it ends.

    Attributes:
        give_up_s: after that the process ends, whatever it waits for.
        left: what is said of what it leaves.
    """

    give_up_s: float
    left: str


# Twice what a connection may take, and below the 30 s after which Kubernetes kills.
STOP_S = 20
_endings = [Ending(STOP_S, "nothing half-done counts")]


def ending() -> Ending:
    """How a command that is stopped now ends."""
    return _endings[-1]


@contextmanager
def ends_as(meant: Ending) -> Iterator[None]:
    """So it ends while the block runs."""
    _endings.append(meant)
    try:
        yield
    finally:
        _endings.pop()
