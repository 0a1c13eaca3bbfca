"""A snapshot of an older Airflow goes into a database of a newer one in one step."""

from __future__ import annotations

from pathlib import Path

import pytest

import airkeep
from airflows import ENVIRONMENTS, Airflow
from compare import data_of
from servers import FERNET_KEY, Databases, query

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def airflow() -> Airflow:
    made = Airflow("3.3.2")
    made.install()
    return made


def _migrated(airflow: Airflow, databases: Databases, home: Path) -> str:
    target = databases.empty()
    airflow.migrate(home, target.replace("postgresql://", "postgresql+psycopg2://"))
    return target


def test_it_is_upgraded_to_the_target_s_own_release_and_the_lake_gets_nothing(
    airflow: Airflow, databases: Databases, tmp_path: Path
) -> None:
    lake = airkeep.Lake(tmp_path / "lake")
    source = databases.airflow("airflow-2112")
    airkeep.export(source, lake, environment="prod")
    target = _migrated(airflow, databases, tmp_path)

    result = airkeep.restore_upgraded(
        lake,
        "latest",
        target,
        cache=ENVIRONMENTS,
        fernet_key=FERNET_KEY,
        in_flight="keep",
        missed_runs="make",
    )

    assert len(lake.names()) == 1
    assert result.upgraded is not None
    equal = {p.what: p.equal for p in result.upgraded.proof}
    assert (equal["runs"], equal["task instances"]) == (55, 314)
    [(runs,)] = query(target, "SELECT count(*) FROM dag_run")
    [(tasks,)] = query(target, "SELECT count(*) FROM task_instance WHERE state = 'success'")
    assert runs == 55
    assert [(tasks,)] == query(source, "SELECT count(*) FROM task_instance WHERE state = 'success'")
    assert any("rows of ab_user stay behind" in note for note in result.notes), result.notes
    airflow.run(
        tmp_path,
        target.replace("postgresql://", "postgresql+psycopg2://"),
        "db",
        "check-migrations",
    )
    said = airflow.run(
        tmp_path, target.replace("postgresql://", "postgresql+psycopg2://"), "dags", "list-runs",
        "lab_etl_orders", "--output", "json",
    )  # fmt: skip
    assert "scheduled__2026-11-15T00:00:00+00:00" in said


def test_a_refused_restore_leaves_the_target_as_it_was(
    airflow: Airflow, databases: Databases, tmp_path: Path
) -> None:
    lake = str(tmp_path / "lake")
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="prod")
    target = databases.airflow("airflow-332")  # in use
    before = data_of(target)

    with pytest.raises(airkeep.AirkeepError, match="not empty"):
        airkeep.restore_upgraded(lake, "latest", target, cache=ENVIRONMENTS)

    assert data_of(target) == before
