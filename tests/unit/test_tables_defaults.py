from __future__ import annotations

import pytest

from airflow_schemas import ALL, columns_of, schema
from airkeep.tables.defaults import (
    NATURAL_KEYS,
    default_column,
    is_default,
    natural_key,
)
from airkeep.tables.roles import is_airflow_table

# What `airflow db migrate`, then `sync-perm`, `connections create-default-connections` and
# `dags reserialize` left in empty 2.11.2 and 3.3.2 databases; roles whole, the rest in part.
FRESH = [
    ("alembic_version", "version_num", ["5f2621c13b39", "d2f4e1b3c5a7"]),
    ("alembic_version_fab", "version_num", ["02ca36b0235b"]),
    ("slot_pool", "pool", ["default_pool"]),
    ("log_template", "filename", ["{{ ti.dag_id }}/{{ ti.task_id }}/{{ ts }}.log"]),
    ("ab_role", "name", ["Admin", "Public", "Viewer", "User", "Op"]),
    ("ab_permission", "name", ["can_edit", "can_read", "menu_access"]),
    ("connection", "conn_id", ["airflow_db", "aws_default", "local_mysql", "opensearch_default"]),
    ("dag_bundle", "name", ["dags-folder"]),
    ("log", "event", ["cli_sync_perm", "cli_dag_reserialize"]),
    ("known_event_type", "know_event_type", ["Holiday", "Outage"]),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column", "values"), FRESH)
def test_what_a_fresh_airflow_holds_is_default(table: str, column: str, values: list[str]) -> None:
    assert default_column(table) == column
    assert [value for value in values if not is_default(table, {column: value})] == []


# Known by the moment they were made, or by their place in something.
BORN = {"job", "trigger", "backfill", "backfill_dag_run", "asset_partition_dag_run"}
# What nothing names but all of its values: the docstring of `natural_key` says why.
NAMELESS = {
    "log", "asset_event", "dataset_event", "task_fail", "task_reschedule", "xcom",
    "partitioned_asset_key_log", "known_event", "callback_request", "dag_pickle",
}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("slot_pool", {"pool": "etl"}),
        ("ab_role", {"name": "Analyst"}),
        ("connection", {"conn_id": "warehouse"}),
        ("dag_bundle", {"name": "team-a"}),
        ("log", {"event": "running"}),
        ("dag_run", {"dag_id": "etl"}),
        ("ab_user", {"username": "admin"}),
        ("variable", {"key": "x_default"}),
    ],
)
def test_what_somebody_made_is_not(table: str, row: dict[str, object]) -> None:
    assert not is_default(table, row)


def test_defaults_and_keys_are_of_airflows_tables() -> None:
    assert [t for t in NATURAL_KEYS if not is_airflow_table(t)] == []
    assert default_column("dag_run") is None


@pytest.mark.parametrize("version", ALL)
def test_a_natural_key_is_unique_in_the_schema(version: str) -> None:
    loose = BORN | {"log_template", "chart", "known_event_type", "import_error", "asset_watcher"}
    loose |= {"connection"} if version == "1.10.12" else set()
    for table, about in schema(version).items():
        key = natural_key(table, about["columns"])
        if not key or table in loose:
            continue
        unique = [about["primary_key"]["columns"], *(u["columns"] for u in about["unique"])]
        unique += [
            index["def"].partition("btree (")[2].rstrip(")").split(", ")
            for index in about["indexes"]
            if index["unique"]
        ]
        assert sorted(key) in map(sorted, unique), table


def test_a_key_of_columns_that_are_not_there_yet_is_none() -> None:
    columns = columns_of("1.10.12")
    assert natural_key("task_instance", columns["task_instance"]) == ()
    assert natural_key("dag_run", columns["dag_run"]) == ("dag_id", "run_id")
    assert natural_key("log", columns["log"]) == ()


@pytest.mark.parametrize("version", ALL)
def test_a_row_whose_id_the_database_gave_has_another_name_or_is_known_to_have_none(
    version: str,
) -> None:
    given = {
        table
        for table, about in schema(version).items()
        if about["primary_key"]["columns"] == ["id"]
        and about["columns"]["id"]["type"] in {"integer", "bigint", "uuid"}
    }
    keys = {table: natural_key(table, schema(version)[table]["columns"]) for table in given}
    assert {table for table, key in keys.items() if not key} <= NAMELESS
    assert not NAMELESS & {table for table, key in keys.items() if key}


def test_a_file_that_does_not_parse_is_known_by_its_bundle_where_there_are_bundles() -> None:
    two, three = columns_of("2.11.2")["import_error"], columns_of("3.3.2-fab")["import_error"]
    assert natural_key("import_error", two) == ("filename",)
    assert natural_key("import_error", three) == ("bundle_name", "filename")


def test_a_parsed_dag_is_its_version_s_from_3_on() -> None:
    two, three = columns_of("2.11.2"), columns_of("3.3.2-fab")
    for table in ("serialized_dag", "dag_code"):
        assert natural_key(table, two[table]) == ()
        assert natural_key(table, three[table]) == ("dag_version_id",)
