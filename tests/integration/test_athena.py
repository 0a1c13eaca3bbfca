"""A lake registered in Glue and asked through Athena, on the emulator; DuckDB says what is right.

The emulator's Athena is a DuckDB: it proves the calls, the tables, and what the statements mean.
Whether Trino takes each word of them is what tests/unit/test_athena_sql.py looks at.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from airkeep.aws.athena import Place, run
from airkeep.aws.glue import Changes, register
from airkeep.cli.main import cli
from airkeep.errors import AwsError, AwsUnavailableError, CatalogError, ConfigError
from airkeep.export.run import export
from airkeep.lake.connect import OpenLake, connect
from airkeep.models.athena import AthenaLake, athena_lake, ddl, question, unmade
from airkeep.models.build import make_models
from airkeep.models.catalog import models
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import id_time
from aws_server import AwsServer, for_duckdb
from grid import same_rows
from servers import Databases, Templates, query

DATABASE = "lake"
# A column whose type changed is of two tables, which lie in one place, and the emulator reads every
# file of that: test_athena_tables.py asks these by partition.
OF_TWO_TYPES = ("xcoms", "xcom_hogs")
HEADLINES = (
    "success_by_dag_day",
    "failure_streaks",
    "lost_hours",
    "task_duration_by_week",
    "queue_wait",
    "slot_hours_by_dag",
    "pool_saturation",
    "retry_waste",
    "asset_freshness",
    "environments_compared",
)


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
    found = run(for_duckdb(statement), place, timeout_s=60)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows()]


def in_duckdb(statement: str, opened: OpenLake) -> list[dict[str, Any]]:
    found = opened.query(statement)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows()]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in HEADLINES else pytest.mark.slow)
        for name in models()
        if not unmade(name) and name not in OF_TWO_TYPES
    ],
)
def test_a_model_says_in_athena_what_it_says_in_duckdb(
    name: str, asked: AthenaLake, place: Place, opened: OpenLake
) -> None:
    statement = f"SELECT * FROM {name}"
    theirs = in_athena(question(asked, statement, [name]), place)
    same_rows(theirs, in_duckdb(statement, opened), models()[name].key)


def test_every_tables_newest_state_is_the_same_in_athena(
    asked: AthenaLake, place: Place, opened: OpenLake
) -> None:
    """In one question for all: the emulator brings every file of a table for each."""
    labels = opened.tables()
    parts = [
        f"SELECT '{n}' AS name, environment, count(*) AS n FROM \"{n}\" GROUP BY 2" for n in labels
    ]
    statement = " UNION ALL ".join(parts)
    ours = in_duckdb(statement, opened)
    theirs = in_athena(question(asked, statement), place)

    assert len(ours) > 60
    same_rows(theirs, ours, ("name", "environment"))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT environment, id, v, hex(b) AS b, seen IS NULL AS unseen FROM mine",
        "SELECT id, dag_id, event, dttm, environment FROM log",
        "SELECT environment, id, state FROM (WITH t AS (SELECT * FROM job) SELECT * FROM t) j",
        "WITH t AS (SELECT * FROM dag_run), u AS (SELECT * FROM t) SELECT environment, id FROM u",
        "SELECT environment, id, v, valid_from, valid_to FROM mine_history",
    ],
)
def test_rows_of_a_question_are_the_same_in_athena(
    statement: str, asked: AthenaLake, place: Place, opened: OpenLake
) -> None:
    ours = in_duckdb(statement, opened)
    key = ("environment", "id", *(["valid_from"] if "history" in statement else []))

    assert len(ours) >= 3
    same_rows(in_athena(question(asked, statement), place), ours, key)


def test_a_persons_count_of_the_chain(asked: AthenaLake, place: Place) -> None:
    rows = in_athena(question(asked, "SELECT id, v FROM mine ORDER BY id"), place)
    assert [tuple(row.values()) for row in rows] == [(1, "a"), (2, "B"), (4, "d")]
    rows = in_athena(
        question(asked, "SELECT id, v, valid_to IS NULL AS open FROM mine_history ORDER BY 1, 2"),
        place,
    )
    assert [tuple(row.values()) for row in rows] == [
        (1, "a", True), (2, "B", True), (2, "b", False), (3, "c", False), (4, "d", True),
    ]  # fmt: skip


def test_as_of_a_time_and_of_one_environment(lake: Lake, place: Place) -> None:
    first = min(name.id for name in lake.names("prod"))
    then = athena_lake(lake, at=id_time(first))
    rows = in_athena(question(then, "SELECT id, v FROM mine ORDER BY id"), place)
    assert [tuple(row.values()) for row in rows] == [(1, "a"), (2, "b"), (3, "c")]
    old = athena_lake(lake, environments=["old"])
    rows = in_athena(question(old, "SELECT DISTINCT environment FROM dag_run"), place)
    assert rows == [{"environment": "old"}]


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def test_the_command_line_prints_the_question_and_runs_it(lake: Lake, place: Place) -> None:
    asked = ["query", lake.url, "SELECT id, v FROM mine ORDER BY id", "--engine", "athena"]
    printed = ask(*asked)
    where = ["--execute", "--athena-database", DATABASE, "--athena-output", str(place.output)]
    answered = ask(*asked, *where, "--format", "csv")

    assert printed.stdout.startswith('WITH "mine" AS (')
    assert '"mine__files"' in printed.stdout
    assert list(csv.reader(io.StringIO(answered.stdout))) == [
        ["id", "v"], ["1", "a"], ["2", "B"], ["4", "d"],
    ]  # fmt: skip


def test_a_question_may_name_models_but_none_that_python_makes(lake: Lake, place: Place) -> None:
    asked = ["query", lake.url, "--engine", "athena"]
    printed = ask(*asked, "SELECT count(*) AS n FROM runs, dag_run")
    refused = ask(*asked, "SELECT * FROM missed_runs")

    assert 'WITH "dag_run" AS (' in printed.stdout
    assert '"runs" AS (' in printed.stdout
    assert "made in Python from rows" in str(refused.exception)


def test_all_pages_of_an_answer_are_read_and_written_as_parquet(
    lake: Lake, place: Place, opened: OpenLake, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    statement = "SELECT l.id, l.dttm, m.id AS other FROM log l, log m ORDER BY 1, 2, 3 LIMIT 2500"
    done = ask(
        "query", lake.url, statement, "--engine", "athena", "--execute", "--athena-database",
        DATABASE, "--athena-output", str(place.output), "--format", "parquet", "-o",
        str(tmp_path / "found"),
    )  # fmt: skip
    ours = in_duckdb(statement, opened)

    assert done.exit_code == 0, done.exception
    assert len(ours) == 2500
    assert pq.read_table(tmp_path / "found").to_pylist() == ours


def test_registering_again_changes_nothing_and_what_is_gone_goes(
    lake: Lake, asked: AthenaLake, aws_server: AwsServer
) -> None:
    tables, glue = asked.registered.tables, aws_server.client("glue")
    partitions = sum(len(t.partitions) for t in tables)
    first = register("twice", tables, lake.url)
    assert first == Changes(
        tables=len(tables), created=len(tables), partitions=partitions, partitions_added=partitions
    )
    again = register("twice", tables, lake.url)
    assert again == Changes(tables=len(tables), partitions=partitions)

    some = [replace(t, partitions=t.partitions[1:]) for t in tables if t.name != "mine__files"]
    wider = replace(some[0], columns=(*some[0].columns, ("more", "int")))
    fewer = register("twice", [wider, *some[1:]], lake.url)
    assert (fewer.created, fewer.deleted, fewer.updated) == (0, 1, 1)
    assert fewer.partitions_removed == len(some)
    names = {t["Name"] for t in glue.get_tables(DatabaseName="twice")["TableList"]}
    assert names == {t.name for t in some}
    kept = glue.get_partitions(DatabaseName="twice", TableName=wider.name)["Partitions"]
    assert all(len(p["StorageDescriptor"]["Columns"]) == len(wider.columns) for p in kept)


def test_a_table_of_somebody_else_is_never_changed(
    lake: Lake, asked: AthenaLake, aws_server: AwsServer
) -> None:
    glue = aws_server.client("glue")
    glue.create_database(DatabaseInput={"Name": "theirs"})
    glue.create_table(DatabaseName="theirs", TableInput={"Name": "mine__files"})
    with pytest.raises(CatalogError, match=r"not of s3://.*: mine__files. Name another"):
        register("theirs", asked.registered.tables, lake.url)
    assert [t["Name"] for t in glue.get_tables(DatabaseName="theirs")["TableList"]] == [
        "mine__files"
    ]


def test_an_answer_of_another_state_of_the_lake_is_refused(
    lake: Lake, asked: AthenaLake, place: Place
) -> None:
    behind = [replace(t, partitions=t.partitions[:-1]) for t in asked.registered.tables]
    register("behind", behind, lake.url)
    for database, said in (("behind", "other snapshots"), ("nowhere", "no database nowhere")):
        done = ask(
            "query", lake.url, "SELECT id FROM mine", "--engine", "athena", "--execute",
            "--athena-database", database, "--athena-output", str(place.output),
        )  # fmt: skip
        assert isinstance(done.exception, CatalogError)
        assert said in str(done.exception)
        assert f"register LAKE --glue {database}" in str(done.exception)


def test_what_athena_refuses_is_one_line(lake: Lake, place: Place) -> None:
    with pytest.raises(ConfigError, match=r"failed in Athena: failed: .*nope") as raised:
        run("SELECT nope FROM mine__files", place, timeout_s=60)
    assert "\n" not in str(raised.value)
    with pytest.raises(AwsError, match="InvalidRequestException: No output location"):
        run("SELECT 1", Place(DATABASE), timeout_s=60)
    with pytest.raises(AwsUnavailableError, match=r"within 1e-09 s.*--statement-timeout"):
        run("SELECT count(*) FROM range(3000000000)", place, timeout_s=1e-9)
    done = ask("query", lake.url, "SELECT id FROM mine", "--engine", "athena", "--execute")
    assert "AIRKEEP_ATHENA_DATABASE" in str(done.exception)


def test_an_endpoint_that_is_not_there_is_said_within_bounds(
    lake: Lake, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", "http://127.0.0.1:1")
    with pytest.raises(AwsUnavailableError, match=r"AWS was not reached \(EndpointConnectionError"):
        run("SELECT 1", place, timeout_s=60)


def test_the_ddl_runs_and_makes_the_tables_that_glue_was_told(
    lake: Lake, asked: AthenaLake, aws_server: AwsServer
) -> None:
    """The emulator has no ALTER TABLE (it lists the folder) and forgets views, so does not check
    that one reads another; here they only have to name what is there."""
    glue = aws_server.client("glue")
    glue.create_database(DatabaseInput={"Name": "by_ddl"})
    here = Place("by_ddl", output=f"{lake.url}/results/")
    printed = ask("register", lake.url, "--athena-ddl").stdout
    statements = list(ddl(asked))
    assert printed == ";\n\n".join(statements) + ";\n"

    mine = [s for s in statements if "mine__" in s and s.startswith(("DROP", "CREATE"))]
    for statement in [*mine, *mine[:4]]:
        run(for_duckdb(statement), here, timeout_s=60)
    tables = {t["Name"]: t for t in glue.get_tables(DatabaseName="by_ddl")["TableList"]}
    for table in asked.registered.tables:
        if table.name.startswith("mine__"):
            storage = tables[table.name]["StorageDescriptor"]
            assert [(c["Name"], c["Type"]) for c in storage["Columns"]] == list(table.columns)
            assert storage["Location"].rstrip("/") == table.location.rstrip("/")
            added = [s for s in statements if s.startswith(f"ALTER TABLE `{table.name}`")]
            assert sum(s.count("PARTITION (") for s in added) == len(table.partitions)


def test_register_says_what_it_did(lake: Lake) -> None:
    first = json.loads(ask("register", lake.url, "--glue", "told", "--json").stdout)
    again = ask("register", lake.url, "--glue", "told").stdout
    assert first["created"] == first["tables"] > 50
    assert again == (
        f"told: {first['tables']} tables (0 new, 0 changed, 0 gone), "
        f"{first['partitions']} partitions (0 new, 0 changed, 0 gone)\n"
    )
