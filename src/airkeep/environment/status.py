"""What `status` tells of an environment: where it stands, and how long a journey may still take.

Pure. How long a step takes is what it took in journeys before, the median of the last few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from airkeep.environment.events import Journey, Kind, Place
from airkeep.environment.state import Standing
from airkeep.environment.summary import Summary


@dataclass(frozen=True)
class Going:
    """A journey under way.

    Attributes:
        is_held: its run was heard of in time; else the next run may go on.
        is_gone: its process was one of this machine, and is there no more: nobody holds it.
        left_s: how long it may still take; None where no journey before tells.
    """

    journey: Journey
    step: str
    done: int
    steps: int
    host: str
    pid: int
    began: datetime
    is_held: bool
    is_gone: bool
    left_s: float | None


@dataclass(frozen=True)
class Status:
    """One environment.

    Attributes:
        snapshot: that it sleeps as, or went to sleep as last.
        owed: DAGs that will be unpaused when it is up again.
        why: what ended its last journey, where that failed.
        runs: of a local one that is awake, whether a process runs it; None where that is not known.
    """

    environment: str
    kind: Kind
    standing: Standing
    since: datetime | None
    snapshot: str | None
    owed: int
    going: Going | None
    why: str
    place: Place
    runs: bool | None = None


def status_of(summary: Summary, now: datetime, *, is_gone: bool = False) -> Status | None:
    """An environment's status; None where it is not, or no longer, known.

    Args:
        is_gone: the process of a journey that has not ended is seen to be there no more.
    """
    state = summary.state
    if state.place is None:
        return None
    return Status(
        environment=state.environment,
        kind=state.place.__struct_config__.tag,  # type: ignore[arg-type]
        standing=state.standing,
        since=state.since,
        snapshot=None if state.kept is None else state.kept.snapshot,
        owed=0 if state.recorded is None else len(state.recorded.active),
        going=_going(summary, now, is_gone=is_gone),
        why=state.why,
        place=state.place,
    )


def _going(summary: Summary, now: datetime, *, is_gone: bool) -> Going | None:
    holder = summary.state.holder
    if holder is None:
        return None
    done = holder.steps.index(holder.step) if holder.step in holder.steps else 0
    return Going(
        journey=holder.journey,
        step=holder.step,
        done=done,
        steps=len(holder.steps),
        host=holder.host,
        pid=holder.pid,
        began=holder.began,
        is_held=now < holder.until and not is_gone,
        is_gone=is_gone,
        left_s=_left(holder.steps[done:], holder.step_at, pace(summary, holder.journey), now),
    )


def _left(
    steps: Sequence[str], since: datetime | None, known: dict[str, float], now: datetime
) -> float | None:
    if not steps or any(step not in known for step in steps):
        return None
    first, *rest = steps
    gone_s = 0.0 if since is None else (now - since).total_seconds()
    return round(max(known[first] - gone_s, 0.0) + sum(known[s] for s in rest), 1)


def pace(summary: Summary, journey: Journey) -> dict[str, float]:
    """How many seconds each step of such a journey takes, as a rule."""
    return {step: median(times) for step, times in summary.took.get(journey, {}).items()}
