"""The models over databases that Airflow made: the shape holds, and Python counts the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airkeep.export.run import export
from airkeep.lake.connect import OpenLake, connect
from airkeep.models.build import make_models
from airkeep.models.catalog import models
from airkeep.snapshot.lake import Lake
from grid import same_rows
from plain import PLAIN
from servers import Databases, Templates, airflow_sqlite

NOT_IN_THE_DATA = {
    "failure_streaks",  # tasks failed there, no run did
    "reschedules",  # Airflow had cleared them
    "idle_windows",  # each environment lived for some minutes
    "deferrable_candidates",  # nothing there waited for a minute
    "time_to_recover",
    "failure_clusters",
    "duration_regressions",
    "stuck_runs",
}


@pytest.fixture(scope="module")
def opened(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenLake]:
    """Airflow 2.6 to 3.3, PostgreSQL and SQLite, one lake, every model made."""
    folder = tmp_path_factory.mktemp("models")
    lake = Lake(str(folder / "lake"))
    databases = Databases(templates)
    for name in ("airflow-263", "airflow-2105-xcompickle", "airflow-306", "airflow-332"):
        export(databases.airflow(name), lake, environment=name)
    databases.drop()
    for name in ("airflow-2.11.2", "airflow-3.3.2"):
        export(airflow_sqlite(name, folder), lake, environment=f"sqlite-{name}", allow_plain=True)
    with connect(lake, folder=folder) as connected:
        make_models(connected, list(models()), folder)
        yield connected


@pytest.mark.parametrize("name", list(models()))
def test_a_model_has_rows_that_its_key_tells_apart(name: str, opened: OpenLake) -> None:
    model = models()[name]
    rows = rows_of(opened, name)
    assert rows or name in NOT_IN_THE_DATA
    keys = [tuple(row[k] for k in model.key) for row in rows]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", list(PLAIN))
def test_plain_python_counts_the_same(name: str, opened: OpenLake) -> None:
    model = models()[name]
    tables = {need: rows_of(opened, need) for need in model.needs}
    same_rows(rows_of(opened, name), PLAIN[name](tables), model.key)


def rows_of(opened: OpenLake, name: str) -> list[dict[str, Any]]:
    answer = opened.query(f"SELECT * FROM {name}")
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows()]
