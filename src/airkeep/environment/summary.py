"""What a journal comes to, entry by entry: all that is asked of it but its own text.

A summary is of one size however long its journal is, so it is what a checkpoint holds. Pure.
Whoever changes what comes out counts `journal.SUMMARY` up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from airkeep.environment.events import Ended, Entry, Journey, Stepped
from airkeep.environment.state import State, after
from airkeep.environment.trips import Trip, with_entry

_TIMES = 5  # of each step, of late


@dataclass(frozen=True)
class Summary:
    """A journal's summary.

    Attributes:
        number: of the last entry that is in it; 0: none is.
        trips: the journeys of late.
        ended: the number of the entry that ended the last one.
        took: how many seconds each step of such a journey took, of late.
    """

    state: State
    number: int = 0
    trips: tuple[Trip, ...] = ()
    ended: int = 0
    took: dict[Journey, dict[str, tuple[float, ...]]] = field(default_factory=dict)


def fold(summary: Summary, entries: Iterable[Entry]) -> Summary:
    """The summary after all of these, too."""
    for entry in entries:
        is_end = isinstance(entry.event, Ended)
        summary = Summary(
            state=after(summary.state, entry),
            number=entry.number,
            trips=with_entry(summary.trips, entry),
            ended=entry.number if is_end else summary.ended,
            took=_took(summary, entry),
        )
    return summary


def _took(summary: Summary, entry: Entry) -> dict[Journey, dict[str, tuple[float, ...]]]:
    holder, event = summary.state.holder, entry.event
    if holder is None or holder.step_at is None or event != Stepped(holder.step, is_done=True):
        return summary.took
    known = summary.took.get(holder.journey, {})
    times = (*known.get(holder.step, ()), (entry.at - holder.step_at).total_seconds())
    return summary.took | {holder.journey: known | {holder.step: times[-_TIMES:]}}
