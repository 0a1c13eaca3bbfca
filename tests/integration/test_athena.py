"""A lake registered in Glue and asked through Athena, on the emulator; DuckDB says what is right.

The emulator's Athena is a DuckDB: it proves the calls, the tables, and what the statements mean.
Whether Trino takes each word of them is what tests/unit/test_athena_sql.py looks at.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from airkeep.aws.athena import Place, run
from airkeep.aws.glue import Changes, register
from airkeep.cli.main import cli
from airkeep.errors import AwsUnavailableError, CatalogError, ConfigError
from airkeep.export.run import export
from airkeep.lake.connect import OpenLake, connect
from airkeep.models.athena import AthenaLake, athena_lake, ddl, question, view_statements
from airkeep.models.build import make_models
from airkeep.models.catalog import models
from airkeep.models.dialects import transpile
from airkeep.snapshot.lake import Lake
from aws_server import AwsServer
from grid import same_rows
from servers import Databases, Templates, query

DATABASE = "lake"
# Trino's functions that the emulator's DuckDB calls otherwise.
EMULATOR = {"TO_UNIXTIME(": "epoch(", "to_unixtime(": "epoch("}


@pytest.fixture(scope="module")
def lake(
    templates: Templates, aws_server: AwsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lake]:
    """Two Airflows, a chain with changed and deleted rows, a window; in a bucket, registered."""
    folder = tmp_path_factory.mktemp("athena") / "lake"
    databases = Databases(templates)
    export(databases.airflow("airflow-263"), str(folder), environment="old")
    url = databases.airflow("airflow-332")
    query(url, "CREATE TABLE mine (id int PRIMARY KEY, v text, seen timestamptz, b bytea)")
    query(url, "INSERT INTO mine VALUES (1, 'a', now(), '\\x00ff')")
    query(url, "INSERT INTO mine VALUES (2, 'b'), (3, 'c')")
    export(url, str(folder), environment="prod")
    query(url, "UPDATE mine SET v = 'B' WHERE id = 2")
    query(url, "DELETE FROM mine WHERE id = 3")
    export(url, str(folder), environment="prod", increment=True)
    query(url, "INSERT INTO mine VALUES (4, 'd')")
    query(url, "UPDATE task_instance SET state = 'failed' WHERE state = 'success'")
    export(url, str(folder), environment="prod", increment=True)
    export(url, str(folder), environment="prod", since=datetime.now(UTC))
    databases.drop()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws_server.variables.items():
            patch.setenv(name, value)
        patch.setenv("XDG_CACHE_HOME", str(folder.parent / "cache"))
        opened = Lake(aws_server.copy(folder))
        found = athena_lake(opened)
        register(DATABASE, found.registered.tables, opened.url)
        yield opened


@pytest.fixture(scope="module")
def place(lake: Lake) -> Place:
    return Place(DATABASE, output=f"{lake.url}/results/")


@pytest.fixture(scope="module")
def asked(lake: Lake) -> AthenaLake:
    return athena_lake(lake)


@pytest.fixture(scope="module")
def opened(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenLake]:
    folder = tmp_path_factory.mktemp("duckdb")
    with connect(lake, folder=folder) as connected:
        make_models(connected, list(models()), folder)
        yield connected


def in_athena(statement: str, place: Place) -> list[dict[str, Any]]:
    for theirs, its in EMULATOR.items():
        statement = statement.replace(theirs, its)
    found = run(statement, place, timeout_s=60)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows()]


def in_duckdb(statement: str, opened: OpenLake) -> list[dict[str, Any]]:
    found = opened.query(statement)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows()]


@pytest.mark.parametrize("name", list(models()))
def test_a_model_says_in_athena_what_it_says_in_duckdb(
    name: str, asked: AthenaLake, place: Place, opened: OpenLake
) -> None:
    statement = f"SELECT * FROM {name}"
    theirs = in_athena(question(asked, statement, [name]), place)
    same_rows(theirs, in_duckdb(statement, opened), models()[name].key)
