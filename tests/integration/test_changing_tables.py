"""What models say of small tables that Airflow changes in place, deletes from, and migrates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

import airkeep
from airkeep.lake.connect import connect
from airkeep.models.build import make_models
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.names import id_time
from servers import FERNET_KEY, Databases, query

MODELS = [
    *("connections", "config_changes", "import_errors", "import_errors_by_day", "table_growth"),
    *("assets", "asset_references", "asset_events", "asset_runs", "unused_assets", "xcoms"),
]


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


def ask(lake: str, folder: Path, *questions: str) -> list[list[tuple[Any, ...]]]:
    with connect(Lake(lake), folder=folder) as opened:
        make_models(opened, MODELS, folder)
        return [list(opened.query(question).rows()) for question in questions]


def times(snapshots: Sequence[Snapshot]) -> list[Any]:
    return [id_time(s.id).replace(tzinfo=None) for s in snapshots]


@pytest.mark.parametrize("increment", [False, True])
def test_a_change_a_removal_and_a_return_are_seen_in_the_snapshots_that_had_them(
    databases: Databases, lake: str, tmp_path: Path, increment: bool
) -> None:
    url = databases.airflow("airflow-332")
    for table in ("connection", "variable", "import_error"):
        query(url, f"DELETE FROM {table}")
    insert = "INSERT INTO connection (conn_id, conn_type, is_encrypted, is_extra_encrypted, login)"
    error = "INSERT INTO import_error (filename, bundle_name, timestamp) VALUES"
    deeds = (
        f"{insert} VALUES ('db', 'http', false, false, 'a'), ('api', 'http', false, false, 'a');"
        f"{error} ('a.py', 'x', '2026-11-01T10:00Z'), ('b.py', 'x', '2026-11-01T11:00Z')",
        "UPDATE connection SET login = 'b' WHERE conn_id = 'db';"
        "UPDATE import_error SET timestamp = '2026-11-02T10:00Z' WHERE filename = 'a.py';"
        "DELETE FROM import_error WHERE filename = 'b.py'",
        "DELETE FROM connection WHERE conn_id = 'db'",
        f"{insert} VALUES ('db', 'http', false, false, 'b')",
        "SELECT 1",
    )
    taken = []
    for deed in deeds:
        for statement in deed.split(";"):
            query(url, statement)
        taken.append(airkeep.export(url, lake, environment="prod", increment=increment))
    assert {s.manifest.mode for s in taken[1:]} == {"increment" if increment else "full"}
    one, two, three, four, _five = times(taken)

    versions, changes, errors, by_day = ask(
        lake,
        tmp_path,
        "SELECT conn_id, changed_at, gone_at FROM connections ORDER BY ALL",
        "SELECT config_key, changes, first_seen_at, last_changed_at, is_there "
        "FROM config_changes ORDER BY ALL",
        "SELECT file, raised_at, first_seen_at, gone_at FROM import_errors ORDER BY ALL",
        "SELECT file, day, errors, is_open FROM import_errors_by_day ORDER BY ALL",
    )
    assert versions == [
        ("api", one, None), ("db", one, two), ("db", two, three), ("db", four, None),
    ]  # fmt: skip
    assert changes == [("api", 0, one, None, True), ("db", 3, one, four, True)]
    assert [(file, f"{raised:%d %H}", seen, gone) for file, raised, seen, gone in errors] == [
        ("a.py", "01 10", one, two), ("a.py", "02 10", two, None), ("b.py", "01 11", one, two),
    ]  # fmt: skip
    assert [(file, day.day, n, is_open) for file, day, n, is_open in by_day] == [
        ("a.py", 1, 1, True), ("a.py", 2, 1, True), ("b.py", 1, 1, False),
    ]  # fmt: skip


def test_values_that_were_sealed_anew_are_no_change(
    databases: Databases, lake: str, tmp_path: Path
) -> None:
    url = databases.airflow("airflow-332")
    archive_key = Fernet.generate_key().decode()
    for _ in range(2):
        airkeep.export(
            url, lake, environment="prod", secrets="seal",
            fernet_key=FERNET_KEY, archive_key=archive_key,
        )  # fmt: skip
    [found] = ask(lake, tmp_path, "SELECT DISTINCT kind, changes FROM config_changes ORDER BY ALL")
    assert found == [("connection", 0), ("variable", 0)]


def test_datasets_that_airflow_3_took_over_are_assets_and_count_once(
    databases: Databases, lake: str, tmp_path: Path
) -> None:
    before = databases.airflow("airflow-2112")
    after = databases.airflow("migrated-2112-to-332-fab")
    for url in (before, after):
        airkeep.export(url, lake, environment="prod", allow_plain=True)

    names, events, runs, uses, tables = ask(
        lake,
        tmp_path,
        "SELECT asset, uri FROM assets WHERE gone_at IS NULL ORDER BY ALL",
        "SELECT count(*) FROM asset_events",
        "SELECT count(*) FROM asset_runs",
        "SELECT count(*) FROM asset_references WHERE gone_at IS NULL",
        "SELECT table_name FROM table_growth WHERE table_name IN ('dataset', 'asset')",
    )
    uris = [uri for (uri,) in query(before, "SELECT uri FROM dataset ORDER BY 1")]
    assert names == [(uri, uri) for uri in uris]
    assert events == query(before, "SELECT count(*) FROM dataset_event")
    assert runs == query(after, "SELECT count(*) FROM dagrun_asset_event")
    [(scheduled,)] = query(after, "SELECT count(*) FROM dag_schedule_asset_reference")
    [(outlets,)] = query(after, "SELECT count(*) FROM task_outlet_asset_reference")
    assert uses == [(scheduled + outlets,)]
    assert tables == [("asset",)]
