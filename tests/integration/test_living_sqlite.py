"""A snapshot of a SQLite Airflow goes into one that is in use."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import airkeep
from airkeep.database.server import Cluster
from airkeep.errors import ConflictError, RestoreError
from airkeep.restore.run import RestoreResult
from airkeep.snapshot.progress import Step
from compare import AS_IT_WAS
from identities import what_it_says
from renumbered import renumber
from servers import Databases, emptied, query

FILES = ["airflow-3.3.2", "airflow-2.11.2"]
GONE = """
PRAGMA foreign_keys = ON;
DELETE FROM dag_run WHERE id % 2 = 0;
DELETE FROM log WHERE id % 3 = 0;
DELETE FROM variable WHERE id % 2 = 0;
"""


def restore(lake: Path, snapshot: str, database: str, **asked: Any) -> RestoreResult:
    """With every row as the snapshot has it."""
    return airkeep.restore(lake, snapshot, database, **AS_IT_WAS, **asked)


def run(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)


@pytest.fixture(params=FILES)
def pair(
    request: pytest.FixtureRequest, airflow_file: Callable[[str], Path], tmp_path: Path
) -> tuple[Path, Path]:
    """An exported file, and one that holds the same under other ids, but for what is gone."""
    source = airflow_file(request.param)
    target = tmp_path / "target.db"
    shutil.copy(source, target)
    renumber(target)
    run(target, GONE)
    airkeep.export(str(source), tmp_path / "lake", environment="prod")
    return source, target


def test_what_is_missing_comes_back_under_other_ids(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    source, target = pair
    result = restore(tmp_path / "lake", "latest", str(target), on_conflict="skip")
    wanted, found = what_it_says(source), what_it_says(target)
    for table in ("dag_run", "task_instance", "xcom", "log", "variable", "task_instance_history"):
        assert found.of(table) == wanted.of(table), table
    assert {f.kind for t in result.plan.tables for f in t.fates} >= {"inserted", "remapped"}
    again = restore(tmp_path / "lake", "latest", str(target), on_conflict="skip")
    more = [(t.label, t.fates) for t in again.plan.tables if t.rows]
    assert again.rows == 0, more
    with closing(sqlite3.connect(target)) as db:
        assert not db.execute("PRAGMA foreign_key_check").fetchall()


def test_a_dry_run_writes_nothing(pair: tuple[Path, Path], tmp_path: Path) -> None:
    _, target = pair
    before = target.read_bytes()
    planned = restore(tmp_path / "lake", "latest", str(target), on_conflict="skip", dry_run=True)
    assert target.read_bytes() == before
    assert planned.rows > 0


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_dry_run_is_in_no_writers_way(mode: str, pair: tuple[Path, Path], tmp_path: Path) -> None:
    _, target = pair
    run(target, f"PRAGMA journal_mode = {mode}")
    writes = []

    def write(step: Step) -> None:
        with closing(sqlite3.connect(target, timeout=0)) as db:
            db.execute("UPDATE slot_pool SET slots = slots + 1")
            db.commit()
        writes.append(step)

    planned = restore(
        tmp_path / "lake", "latest", str(target), on_conflict="skip", dry_run=True, progress=write
    )
    assert planned.rows > 0
    assert len(writes) > 10


def test_a_link_to_the_file_is_looked_at_as_the_file(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    _, target = pair
    link = tmp_path / "link.db"
    link.symlink_to(target)
    asked = {"on_conflict": "skip", "dry_run": True}
    by_link = restore(tmp_path / "lake", "latest", str(link), **asked)
    assert by_link.rows == restore(tmp_path / "lake", "latest", str(target), **asked).rows > 0


def test_the_time_under_the_files_one_lock_is_told(pair: tuple[Path, Path], tmp_path: Path) -> None:
    _, target = pair
    refused: list[float] = []

    def write(_: Step) -> None:
        with closing(sqlite3.connect(target, timeout=0)) as db:
            try:
                db.execute("UPDATE slot_pool SET slots = slots + 1")
            except sqlite3.OperationalError:
                refused.append(monotonic())
            db.rollback()

    done = restore(tmp_path / "lake", "latest", str(target), on_conflict="skip", progress=write)
    assert done.locked_s >= refused[-1] - refused[0] - 0.001


def test_replace_and_fail_see_rows_with_other_content(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    source, target = pair
    run(target, "UPDATE slot_pool SET slots = 77")
    with pytest.raises(ConflictError, match="slot_pool default_pool"):
        restore(tmp_path / "lake", "latest", str(target), on_conflict="fail")
    restore(tmp_path / "lake", "latest", str(target), on_conflict="replace")
    assert what_it_says(target).of("slot_pool") == what_it_says(source).of("slot_pool")


@pytest.mark.parametrize("name", FILES)
def test_a_file_goes_into_a_migrated_postgresql_of_its_revision(
    name: str, airflow_file: Callable[[str], Path], databases: Databases, tmp_path: Path
) -> None:
    source, lake = airflow_file(name), tmp_path / "lake"
    run(source, "DELETE FROM dag_run WHERE id = 3")  # what hung on it are orphans now
    airkeep.export(str(source), lake, environment="prod")
    target = databases.airflow({"3.3.2": "airflow-332", "2.11.2": "airflow-2112"}[name[8:]])
    tables = query(
        target,
        "SELECT string_agg(format('%I', tablename), ', ') FROM pg_tables "
        "WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic%'",
    )
    query(target, f"TRUNCATE {tables[0][0]} RESTART IDENTITY CASCADE")
    result = restore(lake, "latest", target)
    fates = {(t.label, f.kind): f for t in result.plan.tables for f in t.fates}
    assert fates["task_instance", "dropped"].why == "its dag_run is nowhere"
    assert ("dag_run", "dropped") not in fates
    with closing(sqlite3.connect(source)) as db:
        kept = db.execute(
            "SELECT r.dag_id, r.run_id, r.state, count(t.task_id) FROM dag_run r LEFT JOIN "
            "task_instance t ON t.dag_id = r.dag_id AND t.run_id = r.run_id GROUP BY 1, 2, 3"
        ).fetchall()
        started = db.execute("SELECT max(start_date) FROM dag_run").fetchone()[0]
    found = query(
        target,
        "SELECT r.dag_id, r.run_id, r.state, count(t.task_id) FROM dag_run r LEFT JOIN "
        "task_instance t ON t.dag_id = r.dag_id AND t.run_id = r.run_id GROUP BY 1, 2, 3",
    )
    assert sorted(found) == sorted(kept)
    [(latest,)] = query(
        target,
        "SELECT to_char(max(start_date) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') "
        "FROM dag_run",
    )
    assert latest == started[:26]
    query(target, "INSERT INTO log (dttm, event) SELECT now(), 'numbered after them'")


def test_an_airflow_goes_on_numbering_after_what_a_restore_added(
    airflow_file: Callable[[str], Path], server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source = airflow_file("airflow-3.3.2")
    airkeep.export(str(source), tmp_path, environment="prod")
    target = emptied(server, databases.airflow("airflow-332"))
    result = airkeep.restore(tmp_path, "latest", target)
    assert any(o.fate == "slept through" for o in result.outcomes)
    again = "SELECT nextval('dag_run_id_seq') > max(id) FROM dag_run"
    assert query(target, again) == [(True,)]


def test_a_file_goes_into_no_postgresql_without_tables(
    airflow_file: Callable[[str], Path], databases: Databases, tmp_path: Path
) -> None:
    airkeep.export(str(airflow_file("airflow-3.3.2")), tmp_path, environment="prod")
    with pytest.raises(RestoreError, match=r"has no tables.*make them with this Airflow's own"):
        airkeep.restore(tmp_path, "latest", databases.empty())
