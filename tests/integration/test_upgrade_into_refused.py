"""What a restore with --upgrade refuses before it upgrades anything; no Airflow is run for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import airkeep
from airkeep.database.server import Cluster
from airkeep.errors import (
    AirkeepError,
    ConfigError,
    MigrationError,
    NotEmptyError,
    RestoreError,
    StoreError,
)
from servers import Databases, airflow_sqlite, emptied, psql


@pytest.mark.parametrize(
    ("wishes", "error", "why"),
    [
        ({"on_conflict": "skp"}, ConfigError, "'skp' is none of fail, skip, replace"),
        ({"tables": ["dag", "dag_rum"]}, ConfigError, "--tables dag_rum: .*did you mean dag_run"),
        ({"tables": ["dataset"]}, ConfigError, "--tables dataset: no such table in postgresql:"),
        ({"skip": ["lgo"]}, ConfigError, "--skip lgo: no such table in .*did you mean log"),
        ({"tables": ["log"], "skip": ["log"]}, ConfigError, "--tables and --skip leave no table"),
        (
            {"active": ["lab_etl_order"]},
            ConfigError,
            r"--active lab_etl_order \(did you mean lab_etl_orders\?\): .* no such DAG",
        ),
        ({"create_schema": True}, NotEmptyError, "--create-schema needs an empty database"),
        ({"archive_key": "short"}, AirkeepError, "AIRKEEP_ARCHIVE_KEY"),
    ],
)
def test_a_simple_mistake_is_told_before_the_upgrade(
    wishes: dict[str, Any],
    error: type[AirkeepError],
    why: str,
    server: Cluster,
    databases: Databases,
    tmp_path: Path,
) -> None:
    lake = str(tmp_path / "lake")
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="prod")
    target = emptied(server, databases.airflow("airflow-332"))

    with pytest.raises(error, match=why):
        airkeep.restore_upgraded(lake, "latest", target, cache=not_made(tmp_path), **wishes)


def not_made(folder: Path) -> Path:
    """Where no Airflow can be made: an upgrade that begins ends with another error."""
    place = folder / "no folder"
    place.touch(exist_ok=True)
    return place


def test_a_target_in_use_without_a_policy_is_refused_before_the_upgrade(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    lake, target = str(tmp_path / "lake"), databases.airflow("airflow-332")
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="prod")

    with pytest.raises(NotEmptyError, match="--on-conflict skip"):
        airkeep.restore_upgraded(lake, "latest", target, cache=not_made(tmp_path))

    # What nothing is restored into may hold rows.
    emptied(server, target)
    psql(server, target, "CREATE TABLE mine (n int)", "INSERT INTO mine VALUES (1)")
    with pytest.raises((StoreError, MigrationError)):  # the upgrade has begun
        airkeep.restore_upgraded(lake, "latest", target, cache=not_made(tmp_path))


def test_a_target_of_another_engine_is_refused_before_the_upgrade(
    databases: Databases, tmp_path: Path
) -> None:
    lake, target = str(tmp_path / "lake"), airflow_sqlite("airflow-3.3.2", tmp_path)
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="prod")

    with pytest.raises(RestoreError, match=r"the snapshot is of postgresql, .* is sqlite"):
        airkeep.restore_upgraded(lake, "latest", str(target), cache=not_made(tmp_path))
