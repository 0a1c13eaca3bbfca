"""The registered tables, read as Athena reads them: by partition, each column as its one type.

Databases of four Airflows, PostgreSQL and SQLite, so that columns have other types from snapshot to
snapshot. DuckDB stands for Athena: a registered table is a view of its partitions' files.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airkeep.aws.hive import HiveTable
from airkeep.database.sql import ident, literal
from airkeep.errors import ConfigError
from airkeep.export.run import export
from airkeep.lake.connect import OpenLake, connect
from airkeep.models.athena import (
    AthenaLake,
    athena_lake,
    question,
    tables_of,
    unmade,
    view_statements,
)
from airkeep.models.build import make_models
from airkeep.models.catalog import models
from airkeep.models.dialects import transpile
from airkeep.snapshot.lake import Lake
from aws_server import for_duckdb
from grid import same_rows
from servers import Databases, Templates, airflow_sqlite, query

# What of Parquet Athena reads as a type of Hive's: the widths of a number, and nothing else.
READ_AS = {
    "boolean": {"bool"}, "smallint": {"int16"}, "int": {"int16", "int32"},
    "bigint": {"int16", "int32", "int64"}, "float": {"float"}, "double": {"float", "double"},
    "string": {"string"}, "binary": {"binary"}, "date": {"date32[day]"},
    "timestamp": {"timestamp[us]", "timestamp[us, tz=UTC]"},
}  # fmt: skip
DUCKDB = {"string": "VARCHAR", "binary": "BLOB", "int": "INTEGER"}


@pytest.fixture(scope="module")
def lake(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("registered")
    found = Lake(str(folder / "lake"))
    databases = Databases(templates)
    for name in ("airflow-263", "airflow-306"):
        export(databases.airflow(name), found, environment=name)
    url = databases.airflow("airflow-332")
    export(url, found, environment="prod")
    query(url, "DELETE FROM log WHERE id % 3 = 0")
    query(url, "UPDATE task_instance SET state = 'failed' WHERE state = 'success'")
    export(url, found, environment="prod", increment=True)
    query(url, "UPDATE dag_run SET state = 'failed' WHERE id % 2 = 0")
    export(url, found, environment="prod", since=datetime(2020, 1, 1, tzinfo=UTC))
    query(url, "UPDATE dag_run SET state = 'success' WHERE id % 2 = 0")
    export(url, found, environment="prod", increment=True)  # says in silence what the window denied
    databases.drop()
    for name in ("airflow-2.11.2", "airflow-3.3.2"):
        file = airflow_sqlite(name, folder)
        export(file, found, environment=f"sqlite-{name}", allow_plain=True)
    return found


@pytest.fixture(scope="module")
def asked(lake: Lake) -> AthenaLake:
    return athena_lake(lake)


@pytest.fixture(scope="module")
def opened(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenLake]:
    folder = tmp_path_factory.mktemp("duckdb")
    with connect(lake, folder=folder) as connected:
        make_models(connected, list(models()), folder)
        yield connected


@pytest.fixture(scope="module")
def athena(asked: AthenaLake) -> Iterator[Any]:
    import duckdb

    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        for table in asked.registered.tables:
            columns = ", ".join(
                f"CAST({ident(n)} AS {DUCKDB.get(k, k)}) AS {ident(n)}" for n, k in table.columns
            )
            files = ", ".join(literal(str(f)) for f in files_of(table))
            db.execute(
                f"CREATE VIEW {ident(table.name)} AS SELECT {columns}, environment, snapshot FROM "
                f"read_parquet([{files}], union_by_name = true, hive_partitioning = true, "
                f"hive_types_autocast = false)"
            )
        yield db


def files_of(table: HiveTable) -> list[Path]:
    folders = (Path(urlsplit(p.location).path) for p in table.partitions)
    return [file for folder in folders for file in sorted(folder.glob("*.parquet"))]


def rows(athena: Any, statement: str) -> list[dict[str, Any]]:
    found = athena.execute(for_duckdb(statement))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def ours(opened: OpenLake, statement: str) -> list[dict[str, Any]]:
    found = opened.query(statement)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows()]


def test_every_file_is_in_one_partition_and_can_be_read_as_its_tables_types(
    lake: Lake, asked: AthenaLake
) -> None:
    import pyarrow.parquet as pq

    seen: list[Path] = []
    for table in asked.registered.tables:
        types = dict(table.columns)
        for file in files_of(table):
            seen.append(file)
            stored = {f.name.lower(): str(f.type) for f in pq.read_schema(file)}
            assert stored.keys() <= types.keys()
            for name, kind in stored.items():
                assert kind in READ_AS[types[name]], (file, name)
    root = Path(lake.url)
    wanted = {
        root / file.path
        for name in lake.names()
        for table in lake.get(name).manifest.tables
        for file in (*table.files, *table.deleted)
    }
    assert len(seen) == len(set(seen))
    assert set(seen) == wanted
    assert any(table.name.endswith("__files_2") for table in asked.registered.tables)


@pytest.mark.parametrize("name", [name for name in models() if not unmade(name)])
def test_a_model_says_in_athena_what_it_says_in_duckdb(
    name: str, asked: AthenaLake, athena: Any, opened: OpenLake
) -> None:
    statement = f"SELECT * FROM {name}"
    theirs = rows(athena, question(asked, statement, [name]))
    same_rows(theirs, ours(opened, statement), models()[name].key)


@pytest.mark.slow
def test_every_view_reads_as_the_table_of_its_name(
    asked: AthenaLake, athena: Any, opened: OpenLake
) -> None:
    made = []
    for name, sql in view_statements(asked):
        made.append(name)
        athena.execute(
            f"CREATE OR REPLACE VIEW {ident(name)} AS {for_duckdb(transpile(sql, 'athena'))}"
        )
    assert made.index("raw_dag_run") < made.index("runs") < made.index("success_by_dag_day")
    assert len(made) == len(set(made))
    for label in opened.tables():
        columns = ours(opened, f"DESCRIBE {ident(label)}")
        told = ", ".join(
            f"sum(hash(CAST({ident(c['column_name'])} AS VARCHAR)) % 1000003)" for c in columns
        )
        statement = (
            f"SELECT environment, count(*), {told} FROM {ident(label)} GROUP BY 1 ORDER BY 1"
        )
        assert athena.execute(statement).fetchall() == list(opened.query(statement).rows()), label
    found = athena.execute("SELECT count(*) FROM who_did_what").fetchall()
    assert found == list(opened.query("SELECT count(*) FROM who_did_what").rows())


@pytest.mark.parametrize("label", ["log", "job", "dag_run", "variable"])
def test_a_history_has_the_same_versions(
    label: str, asked: AthenaLake, athena: Any, opened: OpenLake
) -> None:
    statement = (
        f"SELECT environment, valid_from, valid_to, count(*) AS n FROM {label}_history "
        f"GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    expected = ours(opened, statement)
    assert expected
    assert rows(athena, question(asked, statement)) == expected


def test_only_the_tables_that_are_read_are_looked_for(asked: AthenaLake) -> None:
    read = tables_of(asked, question(asked, "SELECT count(*) FROM log"))
    assert {table.name for table in read} <= {"log__files", "log__files_2", "log__deleted"}
    assert read


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT * FROM dag_rum", "did you mean dag_run"),
        ("DROP TABLE dag_run", "write one SELECT"),
        ("SELEC 1 FROM", "no SQL"),
    ],
)
def test_what_cannot_be_asked_is_said(statement: str, said: str, asked: AthenaLake) -> None:
    with pytest.raises(ConfigError, match=said):
        question(asked, statement)
