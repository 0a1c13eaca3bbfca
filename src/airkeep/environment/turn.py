"""One look at an environment's schedule, and the journey that is due, if one is.

Whoever calls this every few minutes keeps the schedule: everything is read from the journal, so it
does not matter who called it before, or when. The journey itself holds the environment
(`journey.py`), so of two that look at once one travels and the other lets it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Protocol

from airkeep.cost.prices import Prices
from airkeep.environment.due import USUAL, Attempts, decide
from airkeep.environment.events import Journey
from airkeep.environment.journal import Journal
from airkeep.environment.means import Arrived
from airkeep.environment.news import News
from airkeep.environment.saved import Saved, saved
from airkeep.environment.schedule import Due, coming
from airkeep.environment.state import State
from airkeep.errors import AirkeepError, HeldError
from airkeep.hidden import hidden


class Walker(Protocol):
    """Who takes an environment's journeys: a `Traveller`."""

    def down(self) -> Arrived: ...
    def up(self) -> Arrived: ...


WalkerOf = Callable[[Journal, State, Journey], AbstractContextManager[Walker]]


@dataclass(frozen=True)
class Turn:
    """What one look came to.

    Attributes:
        what: that of the verdict; `due` of a dry run; else `done` or `failed`.
        next: what falls due next.
        saved: what it did not cost while it slept, where that is known.
    """

    environment: str
    what: str
    why: str
    due: Due | None = None
    next: Due | None = None
    snapshot: str | None = None
    took_s: float = 0.0
    saved: Saved | None = None


@dataclass(frozen=True)
class Keeping:
    """How schedules are kept.

    Attributes:
        walker_of: gives the one who takes a journey, for as long as it lasts.
        tell: told of each journey that was done or, once it had begun, failed.
        prices: what sleep saves is told by these.
    """

    walker_of: WalkerOf
    tell: Callable[[State, News], None]
    attempts: Attempts = USUAL
    prices: Prices | None = None


Taken = tuple[Turn, AirkeepError | None]


def take_turn(journal: Journal, keeping: Keeping, *, dry_run: bool = False) -> Taken:
    """Look at one environment, and travel where that is due.

    Returns:
        What came of it, and the error of a journey that failed.

    Raises:
        StoreError: its journal cannot be read.
    """
    now = journal.author.clock()
    summary = journal.read()
    state = summary.state
    verdict = decide(summary, now, keeping.attempts)
    following = None if state.schedule is None else next(coming(state.schedule, now), None)
    turn = Turn(journal.environment, verdict.what, verdict.why, verdict.due, following)
    if verdict.what != "due" or dry_run or verdict.due is None:
        return turn, None
    return _travel(journal, keeping, state, turn, verdict.due)


def _travel(journal: Journal, keeping: Keeping, state: State, turn: Turn, due: Due) -> Taken:
    before, began = journal.summary.trips[-1:], monotonic()
    try:
        with keeping.walker_of(journal, state, due.journey) as walker:
            arrived = walker.down() if due.journey == "down" else walker.up()
    except HeldError as error:
        return replace(turn, what="held", why=str(error)), None
    except AirkeepError as error:
        took_s = round(monotonic() - began, 3)
        turn = replace(turn, what="failed", why=hidden(str(error)), took_s=took_s)
        # What fails before it begins, for want of credentials say, fails at every look: the exit
        # status tells, and nobody is told every few minutes.
        if journal.summary.trips[-1:] != before:
            keeping.tell(state, _news(turn, due))
        return turn, error
    turn = replace(
        turn,
        what="done",
        snapshot=arrived.snapshot,
        took_s=arrived.took_s,
        saved=_saved(journal, keeping, due),
    )
    keeping.tell(state, _news(turn, due))
    return turn, None


def _saved(journal: Journal, keeping: Keeping, due: Due) -> Saved | None:
    if due.journey == "down" or keeping.prices is None:
        return None
    return saved(journal.summary, keeping.prices)


def _news(turn: Turn, due: Due) -> News:
    is_done = turn.what == "done"
    return News(
        environment=turn.environment,
        journey=due.journey,
        outcome="done" if is_done else "failed",
        due_at=due.at,
        snapshot=turn.snapshot,
        why="" if is_done else turn.why,
        took_s=turn.took_s,
        saved=None if turn.saved is None else f"{turn.saved.amount} {turn.saved.currency}",
    )


def overdue(turn: Turn) -> datetime | None:
    """Since when an environment is not where its schedule wants it, after failures."""
    return turn.due.at if turn.what in ("waits", "gave up") and turn.due else None
