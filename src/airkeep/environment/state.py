"""Where an environment stands by its journal, and what a run must know to go on.

Pure: events go in, a `State` comes out. Whoever changes what comes out counts `journal.SUMMARY` up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from airkeep.environment.events import (
    Began,
    Ended,
    Entry,
    Forgotten,
    Journey,
    Kept,
    Lost,
    Place,
    Placed,
    Planned,
    Recorded,
    Renewed,
    Scheduled,
    Stepped,
    Unscheduled,
)

Standing = Literal["unknown", "new", "awake", "asleep"]


@dataclass(frozen=True)
class Holder:
    """The run that is at work, or was when its process ended.

    Attributes:
        until: when its hold ends, by its own clock; `heard`: the entry that says so, `heard_at`:
            when that was, by the same clock.
        steps: all that it will take.
        step: the last one that it began, at `step_at`.
    """

    journey: Journey
    run: str
    host: str
    pid: int
    machine: str
    started: int
    began: datetime
    until: datetime
    heard: int
    heard_at: datetime
    steps: tuple[str, ...] = ()
    step: str = ""
    step_at: datetime | None = None


@dataclass(frozen=True)
class State:
    """Where an environment stands.

    Attributes:
        standing: where its last whole journey has led to.
        since: when it came there.
        holder: the run that has begun and not ended.
        recorded: the DAGs to unpause, and the definition, as long as they are owed.
        last: what was recorded last, owed or not: how to make it where somebody else deleted it.
        kept: the snapshot that it sleeps as, or is about to.
        chosen: the one that it is being made of in place of that.
        deleting: deletion was begun, or about to: what is left of it must not be used.
        lost: what is given up by a deletion that was not heard to its end.
        made: we began to make it, and it is not awake yet; `restored`: what slept is in it
            again, and `restoring`: that was begun at least.
        why: what ended the last journey, where it failed.
        schedule: when it is to sleep and to wake; `scheduled_at`: since when that holds.
    """

    environment: str
    standing: Standing = "unknown"
    since: datetime | None = None
    place: Place | None = None
    holder: Holder | None = None
    recorded: Recorded | None = None
    last: Recorded | None = None
    kept: Kept | None = None
    chosen: Kept | None = None
    deleting: bool = False
    lost: tuple[str, ...] = ()
    made: bool = False
    restored: bool = False
    restoring: bool = False
    why: str = ""
    schedule: Scheduled | None = None
    scheduled_at: datetime | None = None

    @property
    def source(self) -> Kept | None:
        """The snapshot that it is to be made of, where it is."""
        return self.chosen or self.kept


def after(state: State, entry: Entry) -> State:
    """The state after one more."""
    match entry.event:
        case Placed(place):
            standing = "new" if state.standing == "unknown" else state.standing
            since = entry.at if state.standing == "unknown" else state.since
            return replace(state, place=place, standing=standing, since=since)
        case Began(journey, until):
            return replace(state, holder=_holder(journey, until, entry), why="")
        case Planned() as planned:
            return _planned(state, planned, entry.at)
        case Renewed(until):
            return _held(state, until=until, heard=entry.number, heard_at=entry.at)
        case Stepped(step, is_done):
            return _stepped(state, step, entry.at, is_done=is_done)
        case Lost(reasons):
            return replace(state, lost=reasons)
        case Recorded() | Kept() | Scheduled() | Unscheduled() as said:
            return _told(state, said, entry.at)
        case Ended() as ended:
            return _ended(state, ended, entry.at)
        case Forgotten():
            return State(state.environment)


def recorded_with(entries: Iterable[Entry], snapshot: str) -> Recorded | None:
    """What was recorded before the environment went to sleep as that snapshot, if it did.

    It slept with every DAG paused: which were active is not in the snapshot.
    """
    journey, recorded, found = "", None, None
    for entry in entries:
        match entry.event:
            case Began(began):
                journey = began
            case Recorded() as told:
                recorded = told
            case Kept(kept) if journey == "down" and kept == snapshot:
                found = recorded
    return found


def _told(state: State, said: Recorded | Kept | Scheduled | Unscheduled, at: datetime) -> State:
    match said:
        case Recorded():
            return replace(state, recorded=said, last=said)
        case Kept():
            return replace(state, kept=said)
        case Scheduled():
            return replace(state, schedule=said, scheduled_at=at)
        case Unscheduled():
            return replace(state, schedule=None, scheduled_at=None)


def _holder(journey: Journey, until: datetime, entry: Entry) -> Holder:
    return Holder(
        journey=journey,
        run=entry.run,
        host=entry.host,
        pid=entry.pid,
        machine=entry.machine,
        started=entry.started,
        began=entry.at,
        until=until,
        heard=entry.number,
        heard_at=entry.at,
    )


def _planned(state: State, planned: Planned, at: datetime) -> State:
    state = replace(_held(state, steps=planned.steps), chosen=planned.chosen)
    if "restore" not in planned.steps or state.standing == "asleep" or state.deleting:
        return state
    # It is made anew: until that is through, it sleeps as what it is made of.
    return replace(_asleep(_made_of_choice(state)), since=at)


def _held(state: State, **changes: object) -> State:
    holder = None if state.holder is None else replace(state.holder, **changes)  # type: ignore[arg-type]
    return replace(state, holder=holder)


def _stepped(state: State, step: str, at: datetime, *, is_done: bool) -> State:
    if not is_done:
        state = _held(state, step=step, step_at=at)
    match step, is_done:
        case "record" | "pause", False:
            return replace(state, deleting=False, lost=())  # all of it is there, and looked at anew
        case "delete", False:
            return replace(state, deleting=True)
        case "create", False:
            return replace(state, made=True)
        case "gone", True:
            return _asleep(replace(state, deleting=False, lost=()))
        case "restore", False:
            return replace(state, restoring=True)
        case "restore", True:
            return replace(_made_of_choice(state), restored=True)
        case "unpause", True:
            return replace(state, recorded=None)
    return state


def _made_of_choice(state: State) -> State:
    """What slept before is no longer waited for, nor are its DAGs."""
    if state.chosen is None:
        return state
    return replace(state, kept=state.chosen, chosen=None, recorded=None)


def _asleep(state: State) -> State:
    return replace(
        state, standing="asleep", chosen=None, made=False, restored=False, restoring=False
    )


def _ended(state: State, ended: Ended, at: datetime) -> State:
    holder = state.holder
    if holder is None:
        return state
    if ended.how == "failed":
        return replace(state, holder=None, why=ended.why)
    standing: Standing = "asleep" if holder.journey == "down" else "awake"
    return replace(
        state, holder=None, standing=standing, since=at, deleting=False, made=False, why=""
    )
