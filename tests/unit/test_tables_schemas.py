"""What role every table of every Airflow has."""

from __future__ import annotations

import json

import pytest

from airflow_schemas import ALL, OURS, SHARED, needs_shared, schema
from airkeep.tables.roles import Role, is_airflow_table, role_of


@pytest.mark.parametrize("version", ALL)
def test_every_table_of_every_airflow_has_a_role(version: str) -> None:
    assert [table for table in schema(version) if role_of(table) is Role.FOREIGN] == []


@needs_shared
@pytest.mark.parametrize("version", OURS)
def test_our_copy_of_a_schema_is_the_collected_one(version: str) -> None:
    assert schema(version) == json.loads((SHARED / f"schemas/{version}.json").read_text())["tables"]


def test_a_run_is_history_and_a_password_is_config() -> None:
    assert role_of("dag_run") is role_of("dagrun_dataset_event") is Role.HISTORY
    assert role_of("connection") is role_of("ab_user") is Role.CONFIG
    assert role_of("serialized_dag") is Role.DEFINITION
    assert role_of("trigger") is Role.STATE
    assert role_of("alembic_version_fab") is Role.ALEMBIC


def test_rows_that_airflow_set_aside_are_its_own() -> None:
    assert role_of("_airflow_moved__2_2__dangling__task_instance") is Role.ARCHIVE
    assert role_of("_airflow_deleted__log__20230101000000") is Role.ARCHIVE
    assert role_of("_xcom_archive") is Role.ARCHIVE


@pytest.mark.parametrize("table", ["celery_taskmeta", "userstwos", "other.dag_run", "DAG_RUN", ""])
def test_what_is_not_airflows_is_foreign(table: str) -> None:
    assert not is_airflow_table(table)
