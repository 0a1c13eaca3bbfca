"""What long work tells whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """How far a piece of work is.

    Attributes:
        doing: the table, or what is being done.
        rows: done so far, in all.
        total_rows: expected in all, an estimate; 0 where unknown.
    """

    doing: str
    rows: int
    total_rows: int


Progress = Callable[[Step], None]


def silent(_: Step) -> None:
    """Tell nobody."""
