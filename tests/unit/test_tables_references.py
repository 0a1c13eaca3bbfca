"""Every column of every Airflow that could be a row's number elsewhere is decided upon."""

from __future__ import annotations

import re

import pytest

from airflow_schemas import ALL, columns_of, schema
from airkeep.tables.references import SOFT_REFERENCES, SoftReference, soft_references

# Columns that look as if they pointed at a row, and why none has to follow it. `*` is any table.
NOT_IDS = {
    "a name, which is the same in every database": """
        *.dag_id *.task_id *.run_id *.conn_id *.session_id
        dag.root_dag_id asset_event.source_dag_id asset_event.source_run_id
        asset_event.source_task_id dataset_event.source_dag_id dataset_event.source_run_id
        dataset_event.source_task_id asset_partition_dag_run.target_dag_id
        partitioned_asset_key_log.target_dag_id connection_test_request.active_connection_id
        connection_test_request.connection_id asset_state_store.last_updated_by_dag_id
        asset_state_store.last_updated_by_run_id asset_state_store.last_updated_by_task_id
    """,
    "a word: how it came to be (`ui`, `cli`, ...), or Elasticsearch's own id": """
        dag_run.triggered_by log_template.elasticsearch_id
    """,
    "a hash of a path or of a sensor, which is the same in every database": """
        dag_code.fileloc_hash serialized_dag.fileloc_hash dag_pickle.pickle_hash
        sensor_instance.hashcode sensor_instance.shardcode dag_priority_parsing_request.id
    """,
    "another program's id: Celery's, a pod's": """
        task_instance.external_executor_id task_instance_history.external_executor_id
        task_instance.pid task_instance_history.pid
    """,
    "a user inside JSON, with the name beside the id": """
        hitl_detail.responded_by hitl_detail_history.responded_by
    """,
    "the only row": "kube_resource_version.one_row_id kube_worker_uuid.one_row_id",
    "a place among the copies of a mapped task": """
        *.map_index asset_event.source_map_index dataset_event.source_map_index
        asset_state_store.last_updated_by_map_index
    """,
    "a count, a size, a weight, a time, a port": """
        *.try_number *.max_tries *.pool_slots *.priority_weight *.port *.duration *.max_active_runs
        ab_user.fail_login_count ab_user.login_count backfill_dag_run.sort_ordinal chart.height
        chart.iteration_no dag.concurrency dag.max_active_tasks
        dag.max_consecutive_failed_dag_runs dag_run.clear_number dag_version.version_number
        slot_pool.slots task_map.length
    """,
}
DECIDED = frozenset(name for names in NOT_IDS.values() for name in names.split())


def open_columns(version: str) -> set[tuple[str, str]]:
    """What may be a number of the database's own, is in no foreign key, and is not its table's."""
    found = set()
    for table, about in schema(version).items():
        held = {column for key in about["foreign_keys"] for column in key["columns"]}
        own = about["primary_key"]["columns"]
        for column, kind in about["columns"].items():
            named = re.search(r"_(id|fk|by)$", column) is not None
            numbered = kind["type"] in {"smallint", "integer", "bigint", "uuid"}
            if (named or numbered) and column not in held and own != [column]:
                found.add((table, column))
    return found


@pytest.mark.parametrize("version", ALL)
def test_each_column_that_could_point_at_a_row_is_decided(version: str) -> None:
    known = {(each.table, each.column) for each in SOFT_REFERENCES}
    undecided = {
        f"{table}.{column}"
        for table, column in open_columns(version) - known
        if not {f"{table}.{column}", f"*.{column}"} & DECIDED
    }
    assert undecided == set(), "a soft reference, or in NOT_IDS with a reason?"


@pytest.mark.parametrize("version", ALL)
def test_no_word_of_ours_contradicts_a_foreign_key(version: str) -> None:
    for table, about in schema(version).items():
        for each in soft_references(table, about["columns"], schema(version)):
            parents = {
                (key["references"], tuple(key["ref_columns"]))
                for key in about["foreign_keys"]
                if key["columns"] == [each.column]
            }
            assert parents <= {(each.parent, (each.to,))}, each


@pytest.mark.parametrize("version", ALL)
def test_what_is_pointed_at_is_its_tables_own_number_or_uuid(version: str) -> None:
    for table, columns in columns_of(version).items():
        for each in soft_references(table, columns, schema(version)):
            parent = schema(version)[each.parent]
            assert parent["primary_key"]["columns"] == [each.to], each
            assert parent["columns"][each.to]["type"] in {"integer", "bigint", "uuid"}, each


def test_every_reference_is_in_some_airflow() -> None:
    there = {
        each
        for version in ALL
        for table, columns in columns_of(version).items()
        for each in soft_references(table, columns, schema(version))
    }
    assert set(SOFT_REFERENCES) == there


def test_a_reference_is_given_where_both_ends_are_there() -> None:
    note = SoftReference("dag_run_note", "user_id", "ab_user", "id")
    assert soft_references("dag_run_note", ["dag_run_id", "user_id"], ["ab_user"]) == (note,)
    assert soft_references("dag_run_note", ["dag_run_id", "user_id"], ["dag_run"]) == ()
    assert soft_references("dag_run_note", ["dag_run_id"], ["ab_user"]) == ()
    assert soft_references("log", ["id", "dag_id"], ["ab_user"]) == ()
