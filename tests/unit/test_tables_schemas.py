"""The schemas of real Airflows, as the other tests of `tables` read them, and roles beside them."""

from __future__ import annotations

import gzip
import json
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from airkeep.tables.roles import Role, is_airflow_table, role_of

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
OURS = ("1.10.12", "2.2.2", "2.6.3", "2.11.2", "3.0.6", "3.3.2-fab")
ALL = tuple(path.stem for path in sorted((SHARED / "schemas").glob("*.json"))) or OURS

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")

Tables = dict[str, dict[str, Any]]


@cache
def schema(version: str) -> Tables:
    """The tables of one Airflow version, as its own migrations left them."""
    packed = ROOT / "data" / "schemas" / f"{version}.json.gz"
    if packed.exists():
        text = gzip.decompress(packed.read_bytes())
    else:
        text = (SHARED / "schemas" / f"{version}.json").read_bytes()
    tables: Tables = json.loads(text)["tables"]
    return tables


def columns_of(version: str) -> dict[str, list[str]]:
    return {table: list(about["columns"]) for table, about in schema(version).items()}


def database(version: str) -> sqlite3.Connection:
    """An empty database with all tables of a version, keys checked and foreign keys not."""
    db = sqlite3.connect(":memory:")
    for table, about in schema(version).items():
        lines = [f'"{name}" {_affinity(c["type"])}' for name, c in about["columns"].items()]
        keys = [about["primary_key"], *about["unique"]]
        lines += [f"UNIQUE ({', '.join(key['columns'])})" for key in keys if key]
        db.execute(f'CREATE TABLE "{table}" ({", ".join(lines)})')
    return db


def _affinity(kind: str) -> str:
    return "INTEGER" if kind in {"integer", "bigint", "boolean"} else "TEXT"


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
