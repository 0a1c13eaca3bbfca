"""Clean never deletes what something needs, and in the end leaves nothing that nothing needs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airkeep.errors import NotFoundError
from airkeep.jobs.job import Result
from airkeep.jobs.record import Record
from airkeep.snapshot import names
from airkeep.snapshot.clean import (
    GRACE,
    clean,
    read_state,
    removed_path,
    run_clean,
    store_time,
)
from airkeep.snapshot.clean_plan import CleanPlan, KeepOptions, Known, LakeState, plan_clean
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import SnapshotName
from airkeep.store.interface import Entry, Store
from airkeep.store.open import open_store
from fake_lake import (
    NEWEST,
    commit,
    make_manifest,
    newer_format,
    save_files,
    save_snapshot,
    snapshot_name,
)

LATER = datetime.now(NEWEST.tzinfo) + timedelta(days=30)  # every file is older than the grace
NONE = KeepOptions()


@pytest.fixture(params=["memory", "folder"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    return Lake("memory://" if request.param == "memory" else str(tmp_path / "lake"))


def paths(lake: Lake) -> list[str]:
    return sorted(e.path for e in lake.store.list())


def ids(plan: CleanPlan) -> list[str]:
    return [n.id for n in plan.remove]


# The plan.

options = st.builds(
    KeepOptions,
    keep=st.none() | st.integers(0, 40).map(lambda d: timedelta(days=d)),
    keep_last=st.none() | st.integers(0, 5),
    keep_daily=st.none() | st.integers(0, 5),
    keep_weekly=st.none() | st.integers(0, 3),
    keep_monthly=st.none() | st.integers(0, 3),
)


@st.composite
def states(draw: st.DrawFn) -> LakeState:
    """Chains of any shape in two environments; some manifests unreadable, some parents gone."""
    known: list[Known] = []
    files: list[Entry] = []
    for environment in ("dev", "prod"):
        older: list[SnapshotName] = []
        for number in reversed(range(draw(st.integers(0, 9)))):
            name = snapshot_name(number, environment, hours=draw(st.sampled_from([0.5, 24, 100])))
            if name in older:
                continue
            parent = draw(st.none() | st.sampled_from(older)) if older else None
            older.append(name)
            path = f"tables/dag/environment={environment}/snapshot={name.id}/00000.parquet"
            age = draw(st.sampled_from([1, 23, 25, 1000]))
            files.append(Entry(path, 1, NEWEST - timedelta(hours=age), "e"))
            kind = draw(st.sampled_from(["whole", "whole", "part", "unreadable", "gone"]))
            if kind != "gone":
                readable = kind != "unreadable"
                named = frozenset({path} if readable else ())
                known.append(
                    Known(name, readable, kind == "whole", parent if readable else None, named)
                )
    return LakeState(tuple(files), tuple(known))


@given(states(), options)
@settings(max_examples=100, deadline=None)
def test_a_plan_never_takes_what_is_needed(state: LakeState, keep: KeepOptions) -> None:
    plan = plan_clean(state, keep, grace=GRACE, now=NEWEST)
    there = {k.name: k for k in state.snapshots}
    gone = set(plan.remove)

    assert not gone or keep.given
    for known in there.values():
        if known.name not in gone:
            assert known.parent not in gone
        if not known.readable or str(known.name) in plan.broken:
            assert known.name not in gone
    for environment in ("dev", "prod"):
        complete = [
            k.name for k in there.values() if k.complete and k.name.environment == environment
        ]
        assert not complete or max(complete) not in gone
    order = list(plan.remove)
    for name in order:  # children first
        assert there[name].parent not in order[: order.index(name)]
    named = {path for k in there.values() for path in k.files}
    needed = {k.parent for k in there.values()}
    for garbage in plan.garbage:
        owner = SnapshotName(*_owner(garbage.path))
        assert garbage.path not in named
        assert owner not in there or there[owner].readable
        assert owner not in needed


@given(states(), options)
@settings(max_examples=60, deadline=None)
def test_a_plan_that_was_carried_out_leaves_nothing_to_remove(
    state: LakeState, keep: KeepOptions
) -> None:
    plan = plan_clean(state, keep, grace=GRACE, now=NEWEST)
    left = LakeState(
        tuple(f for f in state.files if f.path not in {g.path for g in plan.garbage}),
        tuple(k for k in state.snapshots if k.name not in plan.remove),
    )
    again = plan_clean(left, keep, grace=GRACE, now=NEWEST)
    assert again.remove == ()
    assert {g.path for g in again.garbage} <= {p for k in state.snapshots for p in k.files}


def _owner(path: str) -> tuple[str, str]:
    parts = path.split("/")
    return parts[2].removeprefix("environment="), parts[3].removeprefix("snapshot=")


def state_of(numbers: Sequence[int], *, part: Sequence[int] = ()) -> LakeState:
    known = [Known(snapshot_name(n), complete=n not in part) for n in numbers]
    return LakeState((), tuple(known))


def kept(state: LakeState, keep: KeepOptions) -> list[int]:
    plan = plan_clean(state, keep, grace=GRACE, now=NEWEST)
    return [n for n in range(100) if snapshot_name(n) in
            {k.name for k in state.snapshots} - set(plan.remove)]  # fmt: skip


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (KeepOptions(keep=timedelta(days=2)), [0, 1]),
        (KeepOptions(keep=timedelta.max), list(range(60))),
        (KeepOptions(keep_last=3), [0, 1, 2]),
        (KeepOptions(keep_daily=2), [0, 1]),
        (KeepOptions(keep_weekly=2), [0, 6]),  # 2026-11-21 is a Saturday; Sunday the 15th
        (KeepOptions(keep_monthly=2), [0, 21]),  # 31 October
        (KeepOptions(keep_last=1, keep_monthly=3), [0, 21, 52]),
        (KeepOptions(keep_last=0), [0]),  # the newest complete one stays whatever is said
        (NONE, list(range(60))),
    ],
)
def test_what_each_rule_keeps(keep: KeepOptions, expected: list[int]) -> None:
    assert kept(state_of(range(60)), keep) == expected


def test_windows_and_parts_never_push_whole_snapshots_out() -> None:
    assert kept(state_of(range(6), part=[0, 1, 2]), KeepOptions(keep_last=2)) == [0, 1, 3, 4]


# The deed.


def test_only_garbage_goes_when_nothing_is_said_about_keeping(lake: Lake) -> None:
    full = save_snapshot(lake.store, snapshot_name(2))
    save_snapshot(lake.store, snapshot_name(1), parent=full)
    before = paths(lake)
    dead = make_manifest(snapshot_name(0))
    save_files(lake.store, dead)
    stray = (
        f"tables/dag/environment=prod/snapshot={full.id}/00099.parquet",
        f"deleted/dag/environment=prod/snapshot={dead.id}/00000.parquet",
        f"snapshots/environment=prod/{dead.id}/verified/{dead.id}.json",
        f"index/environment=prod/{dead.id}.json",
        "uploads/0123456789abcdef",
    )
    others = (
        "csv/prod/2026/11/21/dag_120000.csv.gz",
        "README.txt",
        f"tables/dag/environment=prod/snapshot={dead.id}/notes.txt",
        f"snapshots/environment=prod/{dead.id}/notes.txt",
        "index/notes.json",
    )
    for path in (*stray, *others):
        lake.store.save(path, b"x")

    assert clean(lake).deleted == 0  # all of it is young
    dry = clean(lake, now=LATER, dry_run=True)
    assert {g.path for g in dry.plan.garbage} == {*stray, *(f.path for f in dead.files())}
    assert dry.plan.garbage_bytes == len(stray) + len(b"schema") + len(b"rows")
    done = clean(lake, now=LATER)
    assert (done.deleted, done.removed, done.spared) == (len(dry.plan.garbage), (), 0)
    assert paths(lake) == sorted([*before, *others])
    msgspec.json.encode(done)


def test_a_removed_snapshot_keeps_its_data_for_the_grace(lake: Lake) -> None:
    old, new = (save_snapshot(lake.store, snapshot_name(n)) for n in (1, 0))
    now = datetime.now(NEWEST.tzinfo)
    done = clean(lake, keep_last=1, grace=timedelta(minutes=5), now=now)

    name = SnapshotName("prod", old.id)
    assert done.removed == (str(name),)
    assert [n.id for n in lake.names()] == [new.id]
    assert lake.store.load(removed_path(name))
    with pytest.raises(NotFoundError):
        lake.store.load(names.index_path("prod", old.id))
    assert old.tables[0].files[0].path in paths(lake)

    clean(lake, keep_last=1, grace=timedelta(minutes=5), now=now + timedelta(minutes=10))
    assert not [p for p in paths(lake) if old.id in p]
    assert new.tables[0].files[0].path in paths(lake)


def test_a_jobs_record_goes_after_90_days_and_its_script_stays(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    saved = datetime.now(UTC)
    record = Record(open_store(f"{lake.url}/jobs"), "nightly")
    assert record.ask("dag", "prod", ["query", "SELECT 1"], saved)
    assert record.kept.save(Result(0, "what it printed").json())
    lake.store.save("jobs/scripts/airkeep-1.py", b"x")
    lake.store.save("jobs/nightly/notes.json", b"x")
    others = ["jobs/nightly/notes.json", "jobs/scripts/airkeep-1.py"]

    young = clean(lake, now=saved + timedelta(days=89), dry_run=True).plan
    assert (young.garbage, young.waiting) == ((), 0)
    old = saved + timedelta(days=91)
    assert clean(lake, environment="prod", now=old, dry_run=True).plan.garbage == ()
    assert clean(lake, now=old).deleted == 2
    assert paths(lake) == others


def test_one_environment_is_cleaned_without_the_others(lake: Lake) -> None:
    for environment in ("dev", "prod"):
        for n in (0, 1):
            save_snapshot(lake.store, snapshot_name(n, environment))
    lake.store.save("uploads/x", b"x")
    clean(lake, environment="dev", keep_last=1, now=LATER)
    assert len(lake.names("dev")) == 1
    assert len(lake.names("prod")) == 2
    assert "uploads/x" in paths(lake)


@pytest.mark.parametrize("kind", ["newer", "damaged", "another's"])
def test_around_a_manifest_that_cannot_be_read_everything_stays(lake: Lake, kind: str) -> None:
    old = save_snapshot(lake.store, snapshot_name(3))
    odd, new = make_manifest(snapshot_name(2)), save_snapshot(lake.store, snapshot_name(0))
    save_files(lake.store, odd)
    data = {"newer": newer_format(odd), "damaged": b"{", "another's": msgspec.json.encode(new)}
    lake.store.save(names.manifest_path("prod", odd.id), data[kind])
    before = paths(lake)

    done = clean(lake, keep_last=1, now=LATER)
    assert paths(lake) == before
    assert [odd.id in w for w in done.plan.warnings] == [True]
    assert {k.name.removeprefix("prod/") for k in done.plan.kept} == {old.id, odd.id, new.id}


def test_an_increment_without_its_parent_is_reported_and_left(lake: Lake) -> None:
    full = save_snapshot(lake.store, snapshot_name(2))
    child = save_snapshot(lake.store, snapshot_name(1), parent=full)
    save_snapshot(lake.store, snapshot_name(0))
    lake.store.delete([names.manifest_path("prod", full.id)])
    before = paths(lake)

    done = clean(lake, keep_last=1, now=LATER)
    assert done.plan.broken == (f"prod/{child.id}",)
    assert paths(lake) == before


# Beside exports.


def test_an_export_that_still_saves_keeps_even_its_old_files() -> None:
    name = snapshot_name(0)
    folder = f"environment=prod/snapshot={name.id}/00000.parquet"
    old = Entry(f"tables/dag/{folder}", 1, NEWEST - timedelta(hours=40), "e")
    young = Entry(f"tables/xcom/{folder}", 1, NEWEST - timedelta(hours=1), "e")
    for files, goes in (((old,), 1), ((old, young), 0)):
        plan = plan_clean(LakeState(files, ()), NONE, grace=GRACE, now=NEWEST)
        assert len(plan.garbage) == goes


def test_a_manifest_saved_between_plan_and_deed_saves_its_files(lake: Lake) -> None:
    manifest = make_manifest(snapshot_name(0))
    save_files(lake.store, manifest)
    plan = plan_clean(read_state(lake), NONE, grace=GRACE, now=LATER)
    assert len(plan.garbage) == 2
    commit(lake.store, manifest)

    done = run_clean(lake, plan)
    assert (done.deleted, done.spared) == (0, 2)
    assert {f.path for f in manifest.files()} <= set(paths(lake))


def test_parents_of_an_increment_made_meanwhile_are_put_back(lake: Lake) -> None:
    full = save_snapshot(lake.store, snapshot_name(5))
    middle = save_snapshot(lake.store, snapshot_name(4), parent=full)
    save_snapshot(lake.store, snapshot_name(3))
    plan = plan_clean(read_state(lake), KeepOptions(keep_last=1), grace=GRACE, now=LATER)
    assert ids(plan) == [middle.id, full.id]
    child = save_snapshot(lake.store, snapshot_name(1), parent=middle)

    done = run_clean(lake, plan)
    assert set(done.put_back) == {f"prod/{middle.id}", f"prod/{full.id}"}
    assert done.removed == ()
    assert [s.id for s in lake[f"prod/{child.id}"].chain()] == [child.id, middle.id, full.id]
    assert len(lake.snapshots()) == 4


def test_a_removal_that_was_killed_half_way_is_finished(lake: Lake) -> None:
    old = save_snapshot(lake.store, snapshot_name(1))
    save_snapshot(lake.store, snapshot_name(0))
    lake.store.save(removed_path(SnapshotName("prod", old.id)), b"half way")
    clean(lake, keep_last=1, now=LATER)
    assert len(lake.names()) == 1
    assert lake.store.load(removed_path(SnapshotName("prod", old.id))) != b"half way"


@pytest.fixture
def cleaning(lake: Lake) -> Iterator[list[int]]:
    """A clean in a loop, with a grace that only the slowest of our exports could outlive."""
    stop, rounds = threading.Event(), list[int]()

    def loop() -> None:
        while not stop.is_set():
            rounds.append(clean(lake, keep_last=2, grace=timedelta(seconds=2)).deleted)

    thread = threading.Thread(target=loop)
    thread.start()
    yield rounds
    stop.set()
    thread.join()


def test_clean_in_a_loop_never_hurts_exports(lake: Lake, cleaning: list[int]) -> None:
    for number in range(40, 0, -1):
        save_snapshot(lake.store, snapshot_name(number))
    found = lake.names()
    assert found[0] == snapshot_name(1)
    assert cleaning
    for name in found[:1]:
        for file in lake.get(name).manifest.files():
            assert lake.store.head(file.path).bytes == file.bytes


def test_a_dry_run_saves_nothing(tmp_path: Path) -> None:
    clean(Lake(str(tmp_path / "lake")), dry_run=True)
    assert not (tmp_path / "lake").exists()


def test_the_stores_clock_is_asked_and_nothing_stays_of_the_question(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    assert abs(store_time(lake.store) - datetime.now(UTC)) < timedelta(seconds=30)
    assert list(lake.store.list("")) == []


class Elsewhere:
    """A folder on a machine whose clock is not ours."""

    def __init__(self, folder: Path, ahead: timedelta) -> None:
        self.inner, self.ahead = open_store(str(folder)), ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def head(self, path: str) -> Entry:
        return self.told(self.inner.head(path))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        return map(self.told, self.inner.list(prefix))

    def told(self, entry: Entry) -> Entry:
        return replace(entry, modified=entry.modified + self.ahead)


@pytest.mark.parametrize("ahead", [timedelta(days=-3), timedelta(days=3)])
def test_ages_are_told_by_the_stores_clock(ahead: timedelta, tmp_path: Path) -> None:
    lake = Lake(cast("Store", Elsewhere(tmp_path, ahead)))
    lake.store.save("uploads/young", b"x")
    lake.store.save("uploads/old", b"x")
    long_ago = (datetime.now(UTC) - GRACE - timedelta(hours=1)).timestamp()
    os.utime(tmp_path / "uploads/old", (long_ago, long_ago))
    assert clean(lake).deleted == 1
    assert paths(lake) == ["uploads/young"]
