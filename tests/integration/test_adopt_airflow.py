"""What a real Airflow's `db clean` archives and `db export-archived` writes comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import airkeep
from adopted import assert_told
from airflows import Airflow
from airkeep.adopt.run import Adoption

ALL = "2030-01-01 00:00:00+00:00"


@pytest.fixture(scope="module")
def airflow() -> Airflow:
    made = Airflow("2.11.2")
    made.install()
    return made


def clean_and_adopt(
    airflow: Airflow, database: str, for_airflow: str, folder: Path, lake: Path
) -> Adoption:
    """Archive what Airflow cleans, and adopt it, between two exports of the database."""
    airkeep.export(database, lake, environment="before")
    airflow.run(folder, for_airflow, "db", "clean", "--clean-before-timestamp", ALL, "--yes")
    (folder / "archives").mkdir()
    airflow.run(
        folder, for_airflow, "db", "export-archived", "--output-path", str(folder / "archives")
    )
    done = airkeep.adopt(folder / "archives", lake, environment="prod")
    airkeep.export(database, lake, environment="prod", airflow_only=True)
    return done


def assert_nothing_is_lost(lake: Path, done: Adoption, runs: int) -> None:
    before = airkeep.Lake(lake)["before/latest"]
    assert done.layout == "archive-csv"
    tables = [(snapshot, t.label) for snapshot in done.made for t in snapshot.tables]
    assert {"dag_run", "task_instance", "xcom", "log", "job", "dag"} <= {t for _, t in tables}
    for snapshot, label in tables:
        # That `db clean` was called is in its own log.
        assert_told(lake, before, snapshot, label, new=int(label == "log"))
    for asked in ("dag_run_history", "runs"):
        sql = f"SELECT count(DISTINCT (dag_id, run_id)) AS ever FROM {asked}"
        [found] = airkeep.query(lake, sql, environments=["prod"]).to_pylist()
        assert found["ever"] == runs, asked


def test_archives_of_a_postgres_are_the_rows_that_were_cleaned(
    airflow: Airflow, airflow_dump: Callable[[str], str], tmp_path: Path
) -> None:
    database, lake = airflow_dump("airflow-2112"), tmp_path / "lake"
    for_airflow = database.replace("postgresql://", "postgresql+psycopg2://")
    done = clean_and_adopt(airflow, database, for_airflow, tmp_path, lake)
    assert_nothing_is_lost(lake, done, runs=55)


def test_archives_of_a_sqlite_file_are_the_rows_that_were_cleaned(
    airflow: Airflow, airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    database, lake = str(airflow_file("airflow-2.11.2")), tmp_path / "lake"
    done = clean_and_adopt(airflow, database, f"sqlite:///{database}", tmp_path, lake)
    assert_nothing_is_lost(lake, done, runs=22)
