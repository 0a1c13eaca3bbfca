"""Every model and view over every database that there is, beside what the databases say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airkeep.database.server import Cluster
from airkeep.lake.connect import OpenLake, connect
from airkeep.models.build import make_models
from airkeep.models.catalog import models
from airkeep.snapshot.lake import Lake
from servers import Databases, Templates
from wild import Source, export_found, export_schemas

pytestmark = pytest.mark.slow

# Of a model: the tables that its rows are of, and of its columns what they are made of there.
FACTS: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "runs": (("dag_run",), {
        "state": ("state",), "started_at": ("start_date",), "ended_at": ("end_date",),
        "queued_at": ("queued_at",), "logical_at": ("logical_date", "execution_date"),
        "due_at": ("run_after", "data_interval_end", "logical_date", "execution_date"),
        "interval_start_at": ("data_interval_start",),
        "dag_version_id": ("created_dag_version_id",),
        "code_version": ("bundle_version", "dag_hash"), "backfill_id": ("backfill_id",),
    }),
    "tasks": (("task_instance",), {
        "state": ("state",), "try_number": ("try_number",), "started_at": ("start_date",),
        "ended_at": ("end_date",), "queued_at": ("queued_dttm",), "queue": ("queue",),
        "scheduled_at": ("scheduled_dttm",), "hostname": ("hostname",),
        "operator": ("custom_operator_name", "operator"), "dag_version_id": ("dag_version_id",),
        "priority_weight": ("priority_weight",), "max_tries": ("max_tries",),
    }),
    "events": (("log",), {
        "happened_at": ("dttm",), "dag_id": ("dag_id",), "task_id": ("task_id",),
        "run_id": ("run_id",), "event": ("event",), "owner": ("owner",),
    }),
    "dags": (("dag",), {
        "file": ("fileloc",), "owners": ("owners",), "description": ("description",),
        "bundle": ("bundle_name",), "max_active_runs": ("max_active_runs",),
        "max_active_tasks": ("max_active_tasks", "concurrency"),
        "parsed_at": ("last_parsed_time", "last_scheduler_run"),
        "next_run_at": ("next_dagrun_create_after",),
    }),
    "dag_versions": (("dag_version",), {
        "created_at": ("created_at",), "bundle": ("bundle_name",),
        "bundle_version": ("bundle_version",),
    }),
    "jobs": (("job",), {
        "state": ("state",), "started_at": ("start_date",), "ended_at": ("end_date",),
        "heartbeat_at": ("latest_heartbeat",), "hostname": ("hostname",), "dag_id": ("dag_id",),
    }),
    "xcoms": (("xcom",), {
        "bytes": ("1",), "written_at": ("timestamp",), "xcom_key": ("key",),
    }),
    "import_errors": (("import_error",), {"file": ("1",), "raised_at": ("1",), "gone_at": ()}),
    "connections": (("connection",), {"conn_type": ("conn_type",), "gone_at": ()}),
    "variables": (("variable",), {"variable_key": ("key",), "gone_at": ()}),
    "backfills": (("backfill",), {
        "from_at": ("from_date",), "to_at": ("to_date",), "created_at": ("created_at",),
        "completed_at": ("completed_at",), "triggered_by_user": ("triggering_user_name",),
    }),
    "assets": (("dataset", "asset"), {
        "uri": ("uri",), "created_at": ("created_at",), "updated_at": ("updated_at",),
        "asset_group": ('"group"',), "gone_at": (),
    }),
    "asset_events": (("dataset_event", "asset_event"), {
        "asset": ("1",), "happened_at": ("timestamp",), "source_dag_id": ("source_dag_id",),
        "source_task_id": ("source_task_id",), "source_run_id": ("source_run_id",),
        "partition_key": ("partition_key",),
    }),
}  # fmt: skip

# What speaks of the lake itself, not of what the databases hold.
OF_SNAPSHOTS = {"environments", "snapshots", "table_growth", "table_sizes"}


@dataclass(frozen=True)
class Everything:
    sources: list[Source]
    opened: OpenLake


@pytest.fixture(scope="module")
def everything(
    shared: Path,
    server: Cluster,
    templates: Templates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Everything]:
    folder = tmp_path_factory.mktemp("everywhere")
    lake = Lake(str(folder / "lake"))
    databases = Databases(templates)
    sources = export_found(shared, server, databases, lake, folder)
    with connect(lake, folder=folder) as opened:
        make_models(opened, list(models()), folder)
        yield Everything(sources, opened)
    databases.drop()


def test_every_table_and_every_history_answers(everything: Everything) -> None:
    opened = everything.opened
    assert len(everything.sources) > 20
    for label in opened.tables():
        for name in (label, f"{label}_history"):
            for _ in opened.query(f'SELECT * FROM "{name}"').rows():
                pass


@pytest.mark.parametrize("name", list(models()))
def test_every_model_answers_and_its_key_tells_the_rows_apart(
    name: str, everything: Everything
) -> None:
    key = ", ".join(models()[name].key)
    twice = f"SELECT {key}, count(*) FROM {name} GROUP BY {key} HAVING count(*) > 1"
    assert list(everything.opened.query(twice).rows()) == []


@pytest.mark.parametrize("name", FACTS)
def test_a_model_has_what_the_databases_have(name: str, everything: Everything) -> None:
    tables, columns = FACTS[name]
    counts = ", ".join(f'count("{column}")' for column in columns)
    asked = f"SELECT environment, count(*), {counts} FROM {name} GROUP BY environment"
    found = {row[0]: row[1:] for row in everything.opened.query(asked).rows()}
    for source in everything.sources:
        expected = _expected(source, tables, columns)
        assert found.get(source.environment, expected[:0] + (0,) * len(expected)) == expected, (
            source.environment,
            list(columns),
        )


def test_every_task_that_began_is_an_attempt(everything: Everything) -> None:
    missing = """
        SELECT t.environment, t.dag_id, t.task_id, t.run_id, t.map_index, t.started_at
        FROM tasks AS t
        LEFT JOIN attempts AS a
            ON a.environment = t.environment AND a.dag_id = t.dag_id AND a.task_id = t.task_id
            AND a.run_id = t.run_id AND a.map_index = t.map_index AND a.started_at = t.started_at
        WHERE t.started_at IS NOT NULL AND a.environment IS NULL
            AND t.state IS DISTINCT FROM 'up_for_reschedule'"""
    assert list(everything.opened.query(missing).rows()) == []


def test_a_database_of_every_version_without_rows_answers_every_model(
    shared: Path, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    lake = Lake(str(tmp_path / "lake"))
    assert len(export_schemas(shared, server, databases, lake)) >= 19
    with connect(lake, folder=tmp_path) as opened:
        make_models(opened, list(models()), tmp_path)
        for name in sorted(models().keys() - OF_SNAPSHOTS):
            assert list(opened.query(f"SELECT * FROM {name}").rows()) == [], name


def _expected(
    source: Source, tables: tuple[str, ...], columns: dict[str, tuple[str, ...]]
) -> tuple[int, ...]:
    """How many rows there are, and how many of them say something in each column."""
    here = next((table for table in tables if table in source.columns), None)
    if here is None:
        return (0,) * (1 + len(columns))
    known = source.columns[here]
    counts = ["count(*)"]
    for made_of in columns.values():
        there = [c for c in made_of if c.strip('"') in known or c == "1"]
        counts.append(f"count(coalesce({', '.join([*there, 'NULL', 'NULL'])}))")
    [found] = source.ask(f"SELECT {', '.join(counts)} FROM {here} AS t WHERE {_kept(here, known)}")
    return tuple(found)


def _kept(table: str, columns: set[str]) -> str:
    """What a model leaves out: task instances whose run is gone."""
    if table != "task_instance" or "run_id" in columns:
        return "1 = 1"
    return (
        "EXISTS (SELECT 1 FROM dag_run AS r "
        "WHERE r.dag_id = t.dag_id AND r.execution_date = t.execution_date)"
    )
