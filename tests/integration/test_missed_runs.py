"""Runs that a real Airflow made, and one of them taken away: it is missed, and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from airkeep.export.run import export
from airkeep.lake.connect import connect
from airkeep.models.build import ask, make_models
from airkeep.restore.run import restore
from airkeep.snapshot.lake import Lake
from servers import airflow_sqlite

MISSED = "SELECT dag_id, due_at, schedule, timezone, run_before_at, run_after_at FROM missed_runs"


def test_a_run_that_is_gone_before_any_snapshot_is_missed(tmp_path: Path) -> None:
    database = airflow_sqlite("airflow-3.3.2", tmp_path)
    with closing(sqlite3.connect(database)) as db, db:
        gone = ("lab_etl_orders", "2026-11-18 00:00:00%")
        found = db.execute("DELETE FROM dag_run WHERE dag_id = ? AND run_after LIKE ?", gone)
        assert found.rowcount == 1
    lake = Lake(str(tmp_path / "lake"))
    export(database, lake, environment="prod", allow_plain=True)

    with connect(lake, folder=tmp_path) as opened:
        make_models(opened, ["missed_runs"], tmp_path)
        days = [datetime(2026, 11, day) for day in (18, 17, 19)]
        expected = ("lab_etl_orders", days[0], "0 0 * * *", "UTC", *days[1:])
        assert list(opened.query(MISSED).rows()) == [expected]


def test_what_a_snapshot_once_saw_is_not_missed(tmp_path: Path) -> None:
    database = airflow_sqlite("airflow-3.3.2", tmp_path)
    lake = Lake(str(tmp_path / "lake"))
    export(database, lake, environment="prod", allow_plain=True)
    with closing(sqlite3.connect(database)) as db, db:
        db.execute(
            "DELETE FROM dag_run WHERE dag_id = 'lab_etl_orders' AND run_after < '2026-11-19'"
        )
    export(database, lake, environment="prod", allow_plain=True)

    with connect(lake, folder=tmp_path) as opened:
        make_models(opened, ["missed_runs"], tmp_path)
        assert list(opened.query(MISSED).rows()) == []


def test_what_a_restore_added_for_the_time_that_was_slept_is_no_run(tmp_path: Path) -> None:
    lake, woken = Lake(str(tmp_path / "lake")), tmp_path / "woken.db"
    export(airflow_sqlite("airflow-3.3.2", tmp_path), lake, environment="slept", allow_plain=True)
    restore(lake, "slept/latest", woken, create_schema=True)
    with closing(sqlite3.connect(woken)) as db:
        asleep = "SELECT count(*) FROM dag_run WHERE run_id LIKE '%airkeep_asleep_until%'"
        [(added,)] = db.execute(asleep).fetchall()
        [(there,)] = db.execute("SELECT count(*) FROM dag_run").fetchall()
    assert added > 0
    export(woken, lake, environment="woken", allow_plain=True)

    with connect(lake, folder=tmp_path) as opened:
        counted = "SELECT count(*) FROM runs WHERE environment = 'woken'"
        assert list(ask(opened, counted, tmp_path).rows()) == [(there - added,)]
