"""SIGKILL at any moment: whatever the lake lists is whole, and a target is empty or complete."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import airkeep
from airkeep.snapshot.names import SnapshotName
from airkeep.snapshot.read import SnapshotReader
from command import start
from compare import AS_IT_WAS, AS_IT_WAS_FLAGS, data_of
from identities import what_it_says
from renumbered import renumber, run_script
from servers import Databases, query, wait_until_alone

AIRFLOW = "airflow-332"
SEED = 20261121


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def work_began(process: subprocess.Popen[str], folder: Path) -> bool:
    """Wait until the private folder of the run is there: before it nothing can go wrong."""
    while process.poll() is None:
        if any(folder.glob("airkeep-*")):
            return True
        time.sleep(0.005)
    return False


def kill_at_random(
    url: str, folder: Path, arguments: tuple[str, ...], chance: random.Random, longest_s: float
) -> bool:
    """Start a command and kill it within its working time; whether it was still at work."""
    with TemporaryDirectory(dir=folder) as temporary:
        process = start(Path(temporary), url, *arguments, "-q")
        if work_began(process, Path(temporary)):
            time.sleep(chance.uniform(0, longest_s))
        alive = process.poll() is None
        process.kill()
        finish(process)
        return alive


def working_time(url: str, folder: Path, *arguments: str) -> float:
    """How long an undisturbed run works once it has begun."""
    with TemporaryDirectory(dir=folder) as temporary:
        process = start(Path(temporary), url, *arguments, "-q")
        assert work_began(process, Path(temporary))
        began = time.monotonic()
        assert finish(process)[0] == 0
        return time.monotonic() - began


def read_whole(snapshot: airkeep.Snapshot, folder: Path) -> None:
    """Every row of every table, from files whose sha256 is compared."""
    with SnapshotReader(snapshot, folder=folder) as reader:
        for table in snapshot.tables:
            assert sum(b.num_rows for b in reader.batches(table.label)) == table.rows


# A full export is written by the same steps as an increment, and takes three times as long to try.
EXPORTS = [
    pytest.param("increment", 10, id="increment-a few"),
    pytest.param("full", 10, id="full-a few", marks=pytest.mark.slow),
    pytest.param("increment", 60, id="increment-many", marks=pytest.mark.slow),
    pytest.param("full", 60, id="full-many", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("mode", "rounds"), EXPORTS)
def test_a_lake_lists_only_whole_snapshots_however_an_export_ends(
    mode: str, rounds: int, databases: Databases, tmp_path: Path
) -> None:
    url, lake = databases.airflow(AIRFLOW), str(tmp_path / "lake")
    flags = ("--increment",) if mode == "increment" else ()
    arguments = ("export", "env:", lake, "-e", "prod", *flags)
    longest_s = [working_time(url, tmp_path, *arguments) for _ in range(2)][-1]
    chance, at_work = random.Random(SEED), 0
    known: set[SnapshotName] = set()

    for number in range(rounds):
        query(url, f"UPDATE slot_pool SET description = 'round {number}'")
        at_work += kill_at_random(url, tmp_path, arguments, chance, longest_s)
        for name in set(airkeep.Lake(lake).names()) - known:
            read_whole(airkeep.Lake(lake).get(name), tmp_path)
            known.add(name)

    assert at_work >= rounds / 3  # it was killed, not waited for
    assert [s.id for s in airkeep.Lake(lake).snapshots()] == [
        n.id for n in airkeep.Lake(lake).names()
    ]
    assert all(not result.problems for result in airkeep.verify(lake))
    last = airkeep.export(url, lake, environment="prod", increment=mode == "increment")
    target = databases.empty()
    airkeep.restore(lake, last, target, create_schema=True, **AS_IT_WAS)
    assert data_of(target) == data_of(url)


def test_two_exports_at_the_same_moment_both_stand(databases: Databases, tmp_path: Path) -> None:
    url, lake = databases.airflow(AIRFLOW), str(tmp_path / "lake")
    for number in range(5):
        flags = ("--increment",) if number > 2 else ()
        arguments = ("export", "env:", lake, "-e", "prod", *flags)
        both = [start(tmp_path, url, *arguments, "-q") for _ in range(2)]
        assert [finish(process) for process in both] == [(0, ""), (0, "")]
        assert len(airkeep.Lake(lake).names()) == 2 * (number + 1)
    assert all(not result.problems for result in airkeep.verify(lake))


def test_two_exports_of_one_microsecond_get_different_ids(
    databases: Databases, tmp_path: Path
) -> None:
    from airkeep.snapshot.write import SnapshotWriter

    lake = airkeep.Lake(str(tmp_path / "lake"))
    wanted = "20261121T143022.999999Z"
    first, second = (SnapshotWriter(lake.store, "prod", wanted, "-- same") for _ in range(2))
    assert (first.id, second.id) == (wanted, "20261121T143023.000000Z")


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(8, id="a few"), pytest.param(50, id="many", marks=pytest.mark.slow)],
)
def test_a_target_is_empty_or_complete_however_a_restore_ends(
    rounds: int, databases: Databases, tmp_path: Path
) -> None:
    source, lake = databases.airflow(AIRFLOW), str(tmp_path / "lake")
    airkeep.export(source, lake, environment="prod")
    arguments = ("restore", lake, "latest", "env:", "--create-schema", *AS_IT_WAS_FLAGS)
    longest_s = working_time(databases.empty(), tmp_path, *arguments)
    chance, whole, at_work = random.Random(SEED), data_of(source), 0
    target = databases.empty()

    for _ in range(rounds):
        at_work += kill_at_random(target, tmp_path, arguments, chance, longest_s)
        wait_until_alone(target)
        found = data_of(target)
        assert found in ({}, whole)
        if found:
            target = databases.empty()

    assert at_work >= rounds / 3
    if not data_of(target):
        airkeep.restore(lake, "latest", target, create_schema=True, **AS_IT_WAS)
    assert data_of(target) == whole


LIVING = [pytest.param(6, id="a few"), pytest.param(50, id="many", marks=pytest.mark.slow)]


@pytest.mark.parametrize("rounds", LIVING)
def test_a_target_in_use_is_untouched_or_complete_however_a_restore_ends(
    rounds: int, databases: Databases, tmp_path: Path
) -> None:
    source, lake = databases.airflow(AIRFLOW), str(tmp_path / "lake")
    airkeep.export(source, lake, environment="prod")
    target = databases.airflow(AIRFLOW)
    renumber(target)
    arguments = ("restore", lake, "latest", "env:", "--on-conflict", "skip", *AS_IT_WAS_FLAGS)
    wanted, at_work = what_it_says(source), 0
    run_script(target, LOST)
    longest_s = working_time(target, tmp_path, *arguments)
    chance = random.Random(SEED)

    for _ in range(rounds):
        run_script(target, LOST)
        before = data_of(target)
        at_work += kill_at_random(target, tmp_path, arguments, chance, longest_s)
        wait_until_alone(target)
        if data_of(target) != before:
            assert all(what_it_says(target).of(t) == wanted.of(t) for t in wanted.rows)

    assert at_work >= rounds / 3
    airkeep.restore(lake, "latest", target, on_conflict="skip", **AS_IT_WAS)
    assert all(what_it_says(target).of(t) == wanted.of(t) for t in wanted.rows)


@pytest.mark.parametrize("rounds", LIVING)
def test_a_file_in_use_is_untouched_or_complete_however_a_restore_ends(
    rounds: int, airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    source, lake = airflow_file("airflow-2.11.2"), str(tmp_path / "lake")
    airkeep.export(str(source), lake, environment="prod")
    target = tmp_path / "target.db"
    shutil.copy(source, target)
    renumber(target)
    arguments = ("restore", lake, "latest", str(target), "--on-conflict", "skip", *AS_IT_WAS_FLAGS)
    wanted, at_work = what_it_says(source), 0
    lose(target)
    longest_s = working_time("", tmp_path, *arguments)
    chance = random.Random(SEED)

    for _ in range(rounds):
        lose(target)
        before = what_it_says(target)
        at_work += kill_at_random("", tmp_path, arguments, chance, longest_s)
        found = what_it_says(target)
        if any(found.of(t) != before.of(t) for t in wanted.rows):
            assert all(found.of(t) == wanted.of(t) for t in wanted.rows)

    assert at_work >= rounds / 3
    airkeep.restore(lake, "latest", str(target), on_conflict="skip", **AS_IT_WAS)
    found = what_it_says(target)
    assert all(found.of(t) == wanted.of(t) for t in wanted.rows)


# What no other row points at, so that all of it comes back as it was.
LOST = "DELETE FROM xcom; DELETE FROM log; DELETE FROM rendered_task_instance_fields"


def lose(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.executescript(LOST)
