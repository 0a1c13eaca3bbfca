"""Decide what a lake needs no more: which snapshots go by retention, which files are garbage.

The record of a job (docs/jobs.md) is garbage, too, when nobody will ask for it again.

Pure: what is there is read first (`clean`) and handed in. Never chosen: the newest complete
snapshot of an environment, one that holds what was pruned, a parent that is needed, and everything
around a manifest that cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from airkeep.errors import ConfigError
from airkeep.snapshot import names
from airkeep.snapshot.names import SnapshotName
from airkeep.store.interface import Entry

_ENV = r"environment=(?P<environment>[A-Za-z0-9._-]{1,80})"
_ID = r"(?P<id>\d{8}T\d{6}\.\d{6}Z)"
_OURS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:tables|deleted)/[^/]+/{_ENV}/snapshot={_ID}/\d{{5,}}\.parquet",
        rf"snapshots/{_ENV}/{_ID}/(?:schema\.sql|removed\.json|(?:verified|pruned)/[^/]+\.json)",
        rf"index/{_ENV}/{_ID}\.json",
    )
)
_RECORD = re.compile(r"jobs/[A-Za-z0-9][A-Za-z0-9._-]{0,79}/(?:asked|result)\.json")
RECORDS_KEPT = timedelta(days=90)  # as long as Glue itself tells of a run
# Why a snapshot stays whatever the retention says.
PRUNED = "it holds what was pruned"
_BESIDE = re.compile(rf"(?:snapshots/{_ENV}/{_ID}/|index/)")  # belongs to a manifest by its place


@dataclass(frozen=True)
class KeepOptions:
    """Which snapshots to keep: those that any of these names. None of them given: all.

    Attributes:
        keep: the ones younger than this.
        keep_last: the newest so many.
        keep_daily: the newest of each of the last so many days that have one; likewise weeks
            (ISO) and months, UTC.

    Raises:
        ConfigError: one is below 0, which would keep nothing.
    """

    keep: timedelta | None = None
    keep_last: int | None = None
    keep_daily: int | None = None
    keep_weekly: int | None = None
    keep_monthly: int | None = None

    def __post_init__(self) -> None:
        for option in fields(self):
            check_not_negative(option.name, getattr(self, option.name))

    @property
    def given(self) -> bool:
        counts = (self.keep_last, self.keep_daily, self.keep_weekly, self.keep_monthly)
        return self.keep is not None or any(c is not None for c in counts)


def check_not_negative(name: str, value: timedelta | int | None) -> None:
    """Refuse an age or a number below 0.

    Raises:
        ConfigError: it is.
    """
    least = timedelta() if isinstance(value, timedelta) else 0
    if value is not None and value < least:  # type: ignore[operator]
        raise ConfigError(f"{name}: expected {least} or more, found {value}")


@dataclass(frozen=True)
class Known:
    """A snapshot as `clean` sees it.

    Attributes:
        readable: its manifest could be read; else `parent` and `files` are unknown.
        files: what the manifest names.
        pruned: rows that it holds were deleted from the database for that reason.
    """

    name: SnapshotName
    readable: bool = True
    complete: bool = False
    parent: SnapshotName | None = None
    files: frozenset[str] = frozenset()
    pruned: bool = False


@dataclass(frozen=True)
class LakeState:
    """What was read: the files first, then the manifests."""

    files: tuple[Entry, ...]
    snapshots: tuple[Known, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """A snapshot that stays, and why."""

    name: str
    because: tuple[str, ...]


@dataclass(frozen=True)
class Garbage:
    """A file that goes; `orphan` when its snapshot has no manifest at all."""

    path: str
    bytes: int
    orphan: bool = True


@dataclass(frozen=True)
class CleanPlan:
    """What `clean` would do.

    Attributes:
        remove: snapshots that go, in order: children before their parents.
        kept: the others; empty where no retention was asked for.
        broken: increments whose parent is gone: not restorable, left as they are.
        waiting: files that no manifest names either, and that are younger than the grace.
    """

    remove: tuple[SnapshotName, ...]
    kept: tuple[Kept, ...]
    garbage: tuple[Garbage, ...]
    broken: tuple[str, ...]
    warnings: tuple[str, ...]
    waiting: int = 0
    waiting_bytes: int = 0

    @property
    def garbage_bytes(self) -> int:
        return sum(g.bytes for g in self.garbage)


def owner_of(path: str) -> SnapshotName | None:
    """The snapshot to which a file of ours belongs by its name; a manifest belongs to nobody."""
    for pattern in _OURS:
        if found := pattern.fullmatch(path):
            return SnapshotName(found["environment"], found["id"])
    return None


def is_record(path: str) -> bool:
    """Whether it is of a job: what was asked, or what came of it."""
    return _RECORD.fullmatch(path) is not None


def plan_clean(
    state: LakeState, options: KeepOptions, *, grace: timedelta, now: datetime
) -> CleanPlan:
    """Decide; pure."""
    there = {k.name: k for k in state.snapshots}
    broken = {k.name for k in state.snapshots if k.parent is not None and k.parent not in there}
    because: dict[SnapshotName, list[str]] = {}
    if options.given:
        for name in sorted({k.name.environment for k in state.snapshots}):
            mine = sorted(
                (k for k in state.snapshots if k.name.environment == name),
                key=lambda k: k.name,
                reverse=True,
            )
            because |= _retain(mine, broken, options, now)
    remove = [name for name in there if options.given and name not in because]
    unnamed = list(_unnamed(state, there, now))
    young = [garbage for garbage, age in unnamed if age <= grace]
    return CleanPlan(
        remove=tuple(sorted(remove, key=lambda n: (_depth(n, there), n), reverse=True)),
        kept=tuple(Kept(str(n), tuple(why)) for n, why in sorted(because.items(), reverse=True)),
        garbage=tuple(garbage for garbage, age in unnamed if age > grace),
        broken=tuple(sorted(map(str, broken))),
        warnings=state.warnings,
        waiting=len(young),
        waiting_bytes=sum(garbage.bytes for garbage in young),
    )


def _depth(name: SnapshotName, there: Mapping[SnapshotName, Known]) -> int:
    """How many snapshots stand below; ids are no measure, clocks go back."""
    seen: set[SnapshotName] = set()
    while name in there and name not in seen:
        seen.add(name)
        parent = there[name].parent
        if parent is None:
            break
        name = parent
    return len(seen)


def _retain(
    newest_first: Sequence[Known],
    broken: set[SnapshotName],
    options: KeepOptions,
    now: datetime,
) -> dict[SnapshotName, list[str]]:
    """The snapshots of one environment that stay, with the reasons."""
    because: dict[SnapshotName, list[str]] = {}

    def hold(known: Known, reason: str) -> None:
        because.setdefault(known.name, []).append(reason)

    # Counted apart: windows and parts must not push whole snapshots out.
    for complete in (True, False):
        kind = [k for k in newest_first if k.readable and k.complete is complete]
        if complete and kind:
            hold(kind[0], "the newest complete")
        for known, reason in [*_chosen(kind, options, now), *_pruned(kind)]:
            hold(known, reason)
    for at, known in enumerate(newest_first):
        if not known.readable:
            hold(known, "unreadable")
            for older in newest_first[at + 1 :]:
                hold(older, f"perhaps a parent of {known.name.id}, which is unreadable")
        if known.name in broken:
            hold(known, "its parent is gone")
    for known in [k for k in newest_first if k.name in because]:
        _hold_parents(known, {k.name: k for k in newest_first}, hold, because)
    return because


def _pruned(snapshots: Sequence[Known]) -> Iterator[tuple[Known, str]]:
    for known in snapshots:
        if known.pruned:
            yield known, PRUNED


def _hold_parents(
    child: Known,
    there: Mapping[SnapshotName, Known],
    hold: Callable[[Known, str], None],
    because: Mapping[SnapshotName, Sequence[str]],
) -> None:
    while child.parent is not None and child.parent in there:
        parent, reason = there[child.parent], f"parent of {child.name.id}"
        if reason in because.get(parent.name, ()):
            return  # been here
        hold(parent, reason)
        child = parent


def _chosen(
    newest_first: Sequence[Known], options: KeepOptions, now: datetime
) -> Iterator[tuple[Known, str]]:
    if options.keep is not None:
        for known in newest_first:
            if now - names.id_time(known.name.id) < options.keep:  # any age: no date to overflow
                yield known, "age"
    for known in newest_first[: options.keep_last or 0]:
        yield known, "last"
    rules: tuple[tuple[str, int | None, Callable[[datetime], str]], ...] = (
        ("daily", options.keep_daily, lambda t: f"{t:%Y-%m-%d}"),
        ("weekly", options.keep_weekly, lambda t: f"{t:%G-W%V}"),
        ("monthly", options.keep_monthly, lambda t: f"{t:%Y-%m}"),
    )
    for word, count, period in rules:
        seen: dict[str, Known] = {}
        for known in newest_first:
            seen.setdefault(period(names.id_time(known.name.id)), known)
        for when, known in list(seen.items())[: count or 0]:
            yield known, f"{word} {when}"


def _unnamed(
    state: LakeState, there: Mapping[SnapshotName, Known], now: datetime
) -> Iterator[tuple[Garbage, timedelta]]:
    """Files that nothing needs, each with its age: a snapshot's are as old as the youngest."""
    named = frozenset[str]().union(*(k.files for k in state.snapshots))
    needed = {k.parent for k in state.snapshots if k.parent is not None}
    youngest: dict[SnapshotName | None, datetime] = {}
    for file in state.files:
        owner = owner_of(file.path)
        youngest[owner] = max(file.modified, youngest.get(owner, file.modified))
    for file in state.files:
        owner = owner_of(file.path)
        if file.path in named:
            continue
        known = there.get(owner) if owner is not None else None
        if known is not None and (not known.readable or _BESIDE.match(file.path)):
            continue
        if known is None and owner in needed:
            continue  # a parent that is gone: what is left of it may still save its increments
        age = now - (file.modified if owner is None else youngest[owner])
        if is_record(file.path) and age <= RECORDS_KEPT:
            continue
        yield Garbage(file.path, file.bytes, orphan=known is None), age
