"""Into a database that Airflow itself made: `airflow db migrate`, then the snapshot's rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import airkeep
from airflows import Airflow
from compare import AS_IT_WAS, data_of
from servers import Databases
from sqlite_files import content

DUMPS = {"2.11.2": "airflow-2112", "3.3.2": "airflow-332"}


@pytest.fixture(scope="module")
def airflow(request: pytest.FixtureRequest) -> Airflow:
    made = Airflow(request.param)
    made.install()
    return made


@pytest.mark.parametrize("airflow", DUMPS, indirect=True)
def test_a_migrated_postgres_holds_the_snapshot_and_nothing_twice(
    airflow: Airflow, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow(DUMPS[airflow.version]), databases.empty()
    for_airflow = target.replace("postgresql://", "postgresql+psycopg2://")
    airflow.migrate(tmp_path, for_airflow)
    if airflow.version.startswith("2."):
        airflow.run(tmp_path, for_airflow, "sync-perm")  # the roles that its webserver makes
    made = data_of(target)
    assert made["slot_pool"]

    lake = str(tmp_path / "lake")
    airkeep.export(source, lake, environment="prod")
    result = airkeep.restore(lake, "latest", target, **AS_IT_WAS)

    wanted, found = data_of(source), data_of(target)
    assert {n: rows for n, rows in found.items() if n in wanted} == wanted
    assert not any(found[n] for n in found.keys() - wanted.keys() if not n.startswith("sequence"))
    assert {"slot_pool", "log_template"} <= {t.label for t in result.plan.tables if t.defaults}
    assert airkeep.compare(lake, "latest", target).equal
    airflow.run(tmp_path, for_airflow, "db", "check-migrations")


@pytest.mark.parametrize("airflow", DUMPS, indirect=True)
def test_a_migrated_sqlite_file_holds_the_snapshot_and_nothing_twice(
    airflow: Airflow, airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    source, target = airflow_file(f"airflow-{airflow.version}"), tmp_path / "target.db"
    airflow.migrate(tmp_path, f"sqlite:///{target}")

    lake = str(tmp_path / "lake")
    airkeep.export(str(source), lake, environment="laptop")
    airkeep.restore(lake, "latest", str(target), **AS_IT_WAS)

    wanted, found = content(source), content(target)
    assert {n: rows for n, rows in found.items() if n in wanted} == wanted
    assert airkeep.compare(lake, "latest", str(target)).equal
    airflow.run(tmp_path, f"sqlite:///{target}", "db", "check-migrations")
