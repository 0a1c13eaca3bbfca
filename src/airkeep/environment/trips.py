"""The journeys that a journal tells of, each with how it ended; the last few hundred. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from airkeep.cost.period import Span
from airkeep.environment.events import Began, Ended, Entry, Journey

_KEPT = 400  # more than any schedule tries in vain, and half a year of nights; 40 kB


@dataclass(frozen=True)
class Trip:
    """One journey, once.

    Attributes:
        how: `open` while nothing has ended it: it is at work, or its process is dead.
    """

    journey: Journey
    began: datetime
    how: Literal["open", "done", "failed"] = "open"
    ended: datetime | None = None
    why: str = ""

    @property
    def took(self) -> timedelta | None:
        """How long it took, where it came to its end."""
        return self.ended - self.began if self.how == "done" and self.ended else None


def with_entry(made: tuple[Trip, ...], entry: Entry) -> tuple[Trip, ...]:
    """The journeys after one more entry; one that another run went on with is two."""
    match entry.event:
        case Began(journey):
            return (*made[1 - _KEPT :], Trip(journey, entry.at))
        case Ended(how, why) if made and made[-1].how == "open":
            return (*made[:-1], replace(made[-1], how=how, ended=entry.at, why=why))
    return made


def sleeps(made: Iterable[Trip]) -> tuple[Span, ...]:
    """When it was not there: from the end of a `down` to the begin of the `up` after it."""
    found: list[Span] = []
    slept: datetime | None = None
    for trip in made:
        if trip.journey == "down" and trip.how == "done" and slept is None:
            slept = trip.ended
        elif trip.journey == "up" and slept is not None:
            found.append((slept, trip.began))
            slept = None
    return (*found, *([] if slept is None else [(slept, None)]))


def usual(made: Sequence[Trip], journey: Journey) -> timedelta | None:
    """How long it takes: the longest of the last five; None where none came to its end."""
    took = [t.took for t in made if t.journey == journey and t.took is not None]
    return max(took[-5:], default=None)
