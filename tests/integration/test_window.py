"""`--since` end to end: the runs of the window with all that hangs on them, none dangling."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import airkeep
from airflow_schemas import schema
from airkeep.cli.main import run
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.read import SnapshotReader
from compare import AS_IT_WAS, data_of
from servers import Databases, query

CHILDREN = {
    "airflow-263": ("task_instance", "xcom", "rendered_task_instance_fields"),
    "airflow-2112": ("task_instance", "xcom", "task_instance_history"),
    "airflow-332": ("task_instance", "xcom", "task_instance_history"),
}


@pytest.mark.parametrize("name", CHILDREN)
def test_a_window_holds_its_runs_whole_and_restores_with_every_reference(
    name: str, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow(name), databases.empty()
    age(source)
    lake = str(tmp_path / "lake")
    cutoff = datetime(2020, 1, 1, tzinfo=UTC)
    found = airkeep.export(source, lake, environment="e", since=cutoff)
    assert not found.manifest.complete
    assert found.manifest.window is not None

    runs = runs_of(found, "dag_run", tmp_path)
    every = set(query(source, "SELECT dag_id, run_id FROM dag_run"))
    assert runs == every - old_runs(source)
    assert 0 < len(runs) < len(every)
    for table in CHILDREN[name]:
        assert runs_of(found, table, tmp_path) <= runs, table
        count = len(rows(found, table, tmp_path))
        listed = ", ".join(f"('{d}', '{r}')" for d, r in sorted(runs))
        asked = f"SELECT 1 FROM {table} WHERE (dag_id, run_id) IN (VALUES {listed})"
        assert count == len(query(source, asked)), table

    # Every foreign key is built again at the end: nothing dangles.
    airkeep.restore(lake, found, target, create_schema=True, **AS_IT_WAS)
    assert len(data_of(target)["dag_run"]) == len(runs)


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_a_window_of_a_sqlite_file_is_the_same(
    version: str, airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    source = airflow_file(f"airflow-{version}")
    with closing(sqlite3.connect(source)) as db:
        dates = ", ".join(
            f"{name} = datetime({name}, '-20 years')"
            for _, name, kind, *_ in db.execute("PRAGMA table_info(dag_run)")
            if kind == "TIMESTAMP"
        )
        finished = "state IN ('success', 'failed')"
        db.execute(f"UPDATE dag_run SET {dates} WHERE id % 2 = 1")
        db.execute("UPDATE dag_run SET state = 'running' WHERE id = 1")
        db.commit()
        asked = (
            "SELECT dag_id, run_id FROM dag_run WHERE start_date >= '2020-01-01' OR NOT " + finished
        )
        expected = set(db.execute(asked))
        every = set(db.execute("SELECT dag_id, run_id FROM dag_run"))

    found = airkeep.export(
        str(source), str(tmp_path / "lake"), environment="e",
        since=datetime(2020, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    assert expected < every
    assert runs_of(found, "dag_run", tmp_path) == expected
    for table in CHILDREN["airflow-2112"]:
        assert runs_of(found, table, tmp_path) <= expected, table
    assert len(runs_of(found, "task_instance", tmp_path)) > 1

    target = tmp_path / "target.db"
    result = airkeep.restore(
        str(tmp_path / "lake"), found, str(target), create_schema=True, **AS_IT_WAS
    )
    assert result.notes == ()  # no orphans


@pytest.mark.parametrize("age", ["999999d", "9999999999d"])
def test_a_window_longer_than_the_calendar_holds_every_run(
    age: str, airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    source, lake = airflow_file("airflow-3.3.2"), str(tmp_path / "lake")
    with closing(sqlite3.connect(source)) as db:
        every = set(db.execute("SELECT dag_id, run_id FROM dag_run"))

    assert run(["export", str(source), lake, "-e", "e", "--since", age]) == 0
    assert runs_of(Lake(lake).find("latest"), "dag_run", tmp_path) == every


def test_a_window_of_an_airflow_1_10_goes_by_execution_date(
    databases: Databases, tmp_path: Path
) -> None:
    source = databases.empty()
    for table, about in schema("1.10.12").items():
        columns = ", ".join(f'"{n}" {c["type"]}' for n, c in about["columns"].items())
        key = ", ".join(about["primary_key"]["columns"])
        query(source, f'CREATE TABLE "{table}" ({columns}, PRIMARY KEY ({key}))')
    old, new = "2015-03-01 00:00+00", "2026-11-20 00:00+00"
    for number, (day, state) in enumerate([(old, "success"), (new, "success"), (old, None)]):
        stand = f"'d{number}', '{day}'"
        query(
            source,
            "INSERT INTO dag_run (id, dag_id, execution_date, run_id, state, start_date) "
            f"VALUES ({number}, {stand}, 'r{number}', "
            f"{'NULL' if state is None else repr(state)}, '{day}')",
        )
        query(
            source,
            "INSERT INTO task_instance (dag_id, execution_date, task_id, pool, start_date) "
            f"SELECT {stand}, t, 'default_pool', '{old}' FROM unnest(ARRAY['a', 'b']) t",
        )
        query(
            source,
            'INSERT INTO xcom (id, dag_id, execution_date, task_id, "timestamp") '
            f"VALUES ({number}, {stand}, 'a', '{old}')",
        )
    query(
        source,  # of no run: falls under its own dates
        "INSERT INTO task_instance (dag_id, execution_date, task_id, pool, start_date) VALUES "
        f"('lost', '{old}', 'a', 'p', '{old}'), ('lost', '{new}', 'a', 'p', '{new}')",
    )

    found = airkeep.export(
        source, str(tmp_path / "lake"), environment="e", since=datetime(2020, 1, 1, tzinfo=UTC)
    )
    assert {r["run_id"] for r in rows(found, "dag_run", tmp_path)} == {"r1", "r2"}
    tasks = rows(found, "task_instance", tmp_path)
    assert sorted(f"{r['dag_id']}.{r['task_id']}" for r in tasks) == [
        "d1.a", "d1.b", "d2.a", "d2.b", "lost.a",
    ]  # fmt: skip
    assert {r["dag_id"] for r in rows(found, "xcom", tmp_path)} == {"d1", "d2"}


def runs_of(snapshot: Snapshot, table: str, folder: Path) -> set[tuple[object, object]]:
    """The runs that a table's rows belong to."""
    return {(r["dag_id"], r["run_id"]) for r in rows(snapshot, table, folder)}


def age(source: str) -> None:
    """Move every second run, with all its dates, twenty years back."""
    dates = [
        name
        for (name,) in query(
            source,
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'dag_run' "
            "AND data_type LIKE 'timestamp%'",
        )
    ]
    moved = ", ".join(f"{d} = {d} - interval '20 years'" for d in dates)
    query(
        source,
        f"UPDATE dag_run SET {moved} WHERE id % 2 = 0 AND state IN ('success', 'failed')",
    )


def old_runs(source: str) -> set[tuple[str, str]]:
    asked = "SELECT dag_id, run_id FROM dag_run WHERE start_date < '2020-01-01'"
    return {(d, r) for d, r in query(source, asked)}


def rows(snapshot: Snapshot, table: str, folder: Path) -> list[dict[str, object]]:
    with SnapshotReader(snapshot, folder=folder) as reader:
        return [row for batch in reader.batches(table) for row in batch.to_pylist()]
