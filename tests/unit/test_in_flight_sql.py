"""What is in flight, in every version's columns: who fails, who is cleared, who is left alone."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from airflow_schemas import ALL, OURS, columns_of, database
from airkeep.restore.inflight import (
    InFlight,
    Outcome,
    in_flight_question,
    in_flight_statements,
    outcomes,
)
from airkeep.restore.statements import Dialect
from airkeep.snapshot.manifest import DagRunEntry

AT = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
BEGAN = "2026-11-22 14:00:00.000000"
RUNS = {"flying": "running", "carrier": "running", "landed": "success", "waiting": "queued"}
TASKS = {
    ("flying", "over"): "success", ("flying", "busy"): "running",
    ("flying", "again"): "up_for_retry", ("flying", "next"): None,
    ("flying", "held"): "deferred", ("carrier", "export"): "running",
    ("carrier", "tell"): None, ("landed", "stray"): "running", ("landed", "good"): "success",
    ("waiting", "first"): "scheduled",
}  # fmt: skip
CARRIER = DagRunEntry("d", "carrier")


def filled(version: str) -> sqlite3.Connection:
    """That version's tables with runs and tasks of every kind."""
    db, columns = database(version), columns_of(version)
    for number, (run, state) in enumerate(RUNS.items(), 1):
        put(db, "dag_run", columns, {
            "id": number, "dag_id": "d", "run_id": run, "execution_date": run, "logical_date": run,
            "state": state, "start_date": BEGAN, "clear_number": 0,
        })  # fmt: skip
    for number, ((run, task), reached) in enumerate(TASKS.items(), 1):
        put(db, "task_instance", columns, {
            "id": f"{number:032x}", "dag_id": "d", "task_id": task, "run_id": run,
            "execution_date": run, "map_index": -1, "state": reached, "try_number": 1,
            "max_tries": 2, "start_date": BEGAN, "end_date": BEGAN if task == "again" else None,
            "trigger_id": 5, "external_executor_id": "e",
        })  # fmt: skip
    put(db, "job", columns, {"id": 1, "job_type": "SchedulerJob", "state": "running"})
    put(db, "job", columns, {"id": 2, "job_type": "SchedulerJob", "state": "success"})
    return db


def put(
    db: sqlite3.Connection, table: str, columns: dict[str, list[str]], row: dict[str, object]
) -> None:
    there = {n: v for n, v in row.items() if n in columns[table]}
    marks = ", ".join("?" * len(there))
    db.execute(f"INSERT INTO {table} ({', '.join(there)}) VALUES ({marks})", list(there.values()))


def settled(
    version: str, policy: InFlight, own_run: DagRunEntry | None = CARRIER
) -> tuple[sqlite3.Connection, tuple[Outcome, ...]]:
    db, columns = filled(version), columns_of(version)
    question = in_flight_question(policy, columns, str, own_run)
    assert question is not None
    found = outcomes(db.execute(question).fetchall())
    for statement in in_flight_statements(
        policy, columns, str, at=AT, own_run=own_run, dialect=Dialect("sqlite")
    ):
        db.execute(statement.sql)
    return db, found


def states(db: sqlite3.Connection, version: str) -> dict[str, str | None]:
    """By run, and by `run.task`."""
    run = "run_id" if "run_id" in columns_of(version)["task_instance"] else "execution_date"
    found = dict(db.execute("SELECT run_id, state FROM dag_run").fetchall())
    tasks = f"SELECT {run} || '.' || task_id, state FROM task_instance"
    return {**found, **dict(db.execute(tasks).fetchall())}


@pytest.mark.parametrize("version", ALL)
def test_fail_ends_what_was_in_flight_and_nothing_else(version: str) -> None:
    db, found = settled(version, "fail")

    assert states(db, version) == {
        "flying": "failed", "waiting": "failed", "landed": "success", "carrier": "success",
        "flying.over": "success", "flying.busy": "failed", "flying.again": "failed",
        "flying.held": "failed", "flying.next": "skipped", "waiting.first": "failed",
        "carrier.export": "success", "carrier.tell": "skipped",
        "landed.stray": "failed", "landed.good": "success",
    }  # fmt: skip
    assert {(f.table, f.fate): f.rows for f in found} == {
        ("dag_run", "failed"): 2, ("dag_run", "ended well"): 1,
        ("task_instance", "failed"): 5, ("task_instance", "skipped"): 2,
        ("task_instance", "ended well"): 1, ("job", "failed"): 1,
    }  # fmt: skip
    ends = dict(db.execute("SELECT task_id, end_date FROM task_instance").fetchall())
    assert ends["busy"] == ends["first"] == "2026-11-22 15:00:00.000000"
    assert ends["again"] == BEGAN, "that try had ended"
    hours = "SELECT duration FROM task_instance WHERE task_id = 'busy'"
    assert float(db.execute(hours).fetchall()[0][0]) == pytest.approx(3600)


@pytest.mark.parametrize("version", ALL)
def test_clear_lets_a_scheduler_run_them_again(version: str) -> None:
    db, found = settled(version, "clear")
    got, columns = states(db, version), columns_of(version)

    assert (got["flying"], got["waiting"], got["carrier"]) == ("running", "queued", "success")
    assert [got[f"flying.{t}"] for t in ("busy", "again", "held", "next")] == [None] * 4
    assert got["landed.stray"] == "failed", "a run of long ago stays where it is"
    assert {(f.table, f.fate): f.rows for f in found}["task_instance", "cleared"] == 4
    [(tries,)] = db.execute("SELECT max_tries FROM task_instance WHERE task_id = 'busy'").fetchall()
    assert int(tries) == 3, "its two retries, counted from the try that ended"
    if "task_instance_history" in columns:
        rows = db.execute("SELECT task_id, state FROM task_instance_history").fetchall()
        assert sorted(rows) == [(t, "failed") for t in ("again", "busy", "first", "held")]
    if "task_instance_id" in columns.get("task_instance_history", ()):
        again = db.execute(
            "SELECT count(*) FROM task_instance t JOIN task_instance_history h "
            "ON h.task_instance_id = t.id"
        ).fetchall()
        assert again == [(0,)], "the ended try takes its uuid along"


@pytest.mark.parametrize("version", ALL)
def test_keep_ends_the_run_that_carried_the_export_and_no_other(version: str) -> None:
    before = states(filled(version), version)
    db, found = settled(version, "keep")

    assert states(db, version) == {
        **before, "carrier": "success", "carrier.export": "success", "carrier.tell": "skipped",
    }  # fmt: skip
    assert {f.fate for f in found} == {"kept", "ended well", "skipped"}
    assert states(settled(version, "keep", None)[0], version) == before


@pytest.mark.parametrize("version", [v for v in OURS if "task_instance_note" in columns_of(v)])
def test_a_note_says_what_happened_below_what_was_there(version: str) -> None:
    columns = columns_of(version)
    db = filled(version)
    put(db, "dag_run_note", columns, {"dag_run_id": 1, "content": "mind the gap"})
    statements = in_flight_statements(
        "fail", columns, str, at=AT, own_run=None, dialect=Dialect("sqlite")
    )
    for statement in statements:
        db.execute(statement.sql)

    notes = dict(db.execute("SELECT dag_run_id, content FROM dag_run_note").fetchall())
    assert notes[1].startswith("mind the gap\nairkeep: was running at the snapshot of 2026-11-22")
    assert notes[4].startswith("airkeep: was queued at")
    [(count,)] = db.execute("SELECT count(*) FROM task_instance_note").fetchall()
    assert count == 7 - 1, "each failed task instance, the stray and the carrier's among them"


def test_a_note_never_outgrows_its_column() -> None:
    columns, db = columns_of("2.11.2"), filled("2.11.2")
    put(db, "dag_run_note", columns, {"dag_run_id": 1, "content": "x" * 995})
    for s in in_flight_statements(
        "fail", columns, str, at=AT, own_run=None, dialect=Dialect("sqlite")
    ):
        db.execute(s.sql)

    [(note,)] = db.execute("SELECT content FROM dag_run_note WHERE dag_run_id = 1").fetchall()
    assert len(note) == 1000
    assert note.startswith("x" * 995)


def test_no_temporary_table_stays() -> None:
    db, _ = settled("3.3.2-fab", "clear")
    assert db.execute("SELECT name FROM sqlite_temp_master").fetchall() == []
