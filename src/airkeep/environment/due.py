"""Whether an environment is to be put to sleep or woken now, by its schedule and its journal. Pure.

Only the newest time that fell due counts: after an outage what is late is done, and what is overdue
twice is not. A journey that began later than that, made by hand or not, stands until the next time
falls due. What failed is tried again a few times, with a pause between; what was cut off, its
process killed, as often and at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Literal

from airkeep.environment.schedule import Due, last_due
from airkeep.environment.state import State
from airkeep.environment.summary import Summary
from airkeep.environment.trips import Trip

What = Literal["unscheduled", "rests", "stands", "held", "waits", "gave up", "due"]


@dataclass(frozen=True)
class Attempts:
    """How often a journey that is due may fail or be cut off, and the pause after the first time.

    It doubles.
    """

    most: int = 3
    pause_s: float = 900


USUAL = Attempts()


@dataclass(frozen=True)
class Verdict:
    """What is to be done now.

    Attributes:
        what: `due`: its journey. Else nothing, because: `unscheduled`; `rests`, it is where it
            should be; `stands`, somebody has travelled since; `held`, a journey is at work;
            `waits` and `gave up`, it has failed or was cut off.
        due: what fell due last; None where nothing did since the schedule was made.
        why: in a sentence.
    """

    what: What
    due: Due | None
    why: str


def decide(summary: Summary, now: datetime, attempts: Attempts = USUAL) -> Verdict:
    """What an environment's schedule wants now."""
    state = summary.state
    if state.schedule is None or state.scheduled_at is None:
        return Verdict("unscheduled", None, "it has no schedule")
    holder = state.holder
    if holder is not None and now < holder.until:
        why = f"its {holder.journey} is at work since {_clock(holder.began)}"
        return Verdict("held", None, why)
    due = last_due(state.schedule, now)
    if due is None or due.at <= state.scheduled_at:
        return Verdict("rests", None, "nothing has fallen due since the schedule was made")
    since = [trip for trip in summary.trips if trip.began >= due.at]
    last = since[-1] if since else None
    if last is not None and (last.how == "done" or last.journey != due.journey):
        how = "of" if last.how == "done" else "begun at"
        return Verdict("stands", due, f"the {last.journey} {how} {_clock(last.began)} stands")
    if _is_there(state, due):
        return Verdict("rests", due, f"it is {state.standing}, as it should be")
    tried = list(takewhile(lambda trip: trip.journey == due.journey, reversed(since)))
    return _by_failures(due, tried[::-1], now, attempts)


def _by_failures(due: Due, tried: Sequence[Trip], now: datetime, attempts: Attempts) -> Verdict:
    if not tried:
        return Verdict("due", due, f"its {due.journey} is due since {_clock(due.at)}")
    last = tried[-1]
    told = f"its {due.journey} of {_clock(due.at)} has {_went(tried)}"
    why = f"{told}{last.why and f' ({last.why})'}"
    if len(tried) >= attempts.most:
        return Verdict("gave up", due, f"{why}: run airkeep {due.journey} by hand")
    # A process that was killed has not failed: its successor need not wait.
    pause = timedelta(seconds=attempts.pause_s * 2 ** (len(tried) - 1))
    if last.ended is not None and now < last.ended + pause:
        return Verdict("waits", due, f"{why}: tried again after {_clock(last.ended + pause)}")
    return Verdict("due", due, why)


def _is_there(state: State, due: Due) -> bool:
    """Whether nothing is left to do; what an earlier journey left half done is."""
    if state.holder is not None or state.deleting:
        return False
    if due.journey == "down":
        return state.standing == "asleep" and not state.made
    # What has not slept yet is not for a schedule to make.
    return state.standing in ("awake", "new") and state.recorded is None


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _went(tried: Sequence[Trip]) -> str:
    cut_off = sum(trip.how == "open" for trip in tried)
    counts = {"failed": len(tried) - cut_off, "been cut off": cut_off}
    return " and ".join(f"{how} {_times(count)}" for how, count in counts.items() if count)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
