"""`history.<table>`: a name for every table's history, whatever tables Airflow has of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from click.testing import CliRunner
from sqlglot import exp

import airkeep
from airkeep.cli.main import cli
from airkeep.cli.prompt import words
from airkeep.errors import ConfigError
from airkeep.export.run import export
from airkeep.lake.connect import OpenLake, connect
from airkeep.models.athena import AthenaLake, athena_lake, question
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import id_time
from airkeep.store.local import LocalStore
from servers import airflow_sqlite
from written_lake import Written

BOTH = ("airflow-2.11.2", "airflow-3.3.2")


@dataclass(frozen=True)
class Asked:
    """A lake of both Airflows, exported before and after a task failed; by environment what for.

    Attributes:
        task: dag_id, task_id and run_id of the row.
        was: its state before.
        took: when the two snapshots were.
        own: how many rows Airflow's own table of histories has.
    """

    lake: Path
    task: dict[str, tuple[str, str, str]]
    was: dict[str, str]
    took: dict[str, tuple[datetime, datetime]]
    own: dict[str, int]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder = tmp_path_factory.mktemp("histories")
    made = Asked(folder / "lake", {}, {}, {}, {})
    for name in BOTH:
        file = airflow_sqlite(name, folder)

        def snapshot(file: Path = file, name: str = name) -> datetime:
            saved = export(str(file), str(made.lake), environment=name, allow_plain=True)
            return id_time(saved.id).replace(tzinfo=None)

        first = snapshot()
        with closing(sqlite3.connect(file)) as db, db:
            *task, made.was[name] = db.execute(
                "SELECT dag_id, task_id, run_id, state FROM task_instance "
                "WHERE state = 'success' ORDER BY 1, 2, 3 LIMIT 1"
            ).fetchone()
            db.execute(
                "UPDATE task_instance SET state = 'failed' "
                "WHERE (dag_id, task_id, run_id) = (?, ?, ?)",
                task,
            )
            [made.own[name]] = db.execute("SELECT count(*) FROM task_instance_history").fetchone()
        made.task[name] = tuple(task)
        made.took[name] = (first, snapshot())
    return made


@pytest.fixture
def opened(asked: Asked, tmp_path: Path) -> Iterator[OpenLake]:
    with connect(Lake(str(asked.lake)), folder=tmp_path) as connected:
        yield connected


def rows(opened: OpenLake, statement: str) -> list[tuple[Any, ...]]:
    return list(opened.query(statement).rows())


@pytest.mark.parametrize("name", BOTH)
def test_both_versions_of_a_row_are_there_beside_airflows_own_rows(
    asked: Asked, opened: OpenLake, name: str
) -> None:
    versions = rows(
        opened,
        "SELECT state, valid_from, history.task_instance.valid_to FROM history.task_instance "
        f"WHERE environment = '{name}' AND (dag_id, task_id, run_id) = {asked.task[name]} "
        "ORDER BY valid_from",
    )
    own = rows(
        opened,
        f"SELECT count(*) FROM task_instance_history WHERE environment = '{name}'",
    )
    first, second = asked.took[name]

    assert versions == [(asked.was[name], first, second), ("failed", second, None)]
    assert own == [(asked.own[name],)]
    assert asked.own[name] > 0


def test_the_columns_are_those_of_the_answer_before_and_after_it(opened: OpenLake) -> None:
    names = (
        "task_instance_history", "history.task_instance", "history.task_instance_history",
        "dag_run_history", "history.dag_run", "dag_run",
    )  # fmt: skip
    before = {name: opened.columns(name) for name in names}
    found = {name: list(opened.query(f"FROM {name} LIMIT 0").columns) for name in names}

    assert before == found == {name: opened.columns(name) for name in names}
    assert "valid_to" not in found["task_instance_history"]
    assert "valid_to" in found["history.task_instance"]


def test_every_table_has_its_history_there_and_its_short_one_where_that_is_free(
    opened: OpenLake,
) -> None:
    labels = opened.tables()
    assert {"task_instance_history", "hitl_detail_history"} <= set(labels)
    for label in labels:
        versions = rows(opened, f'SELECT count(*), count(valid_from) FROM history."{label}"')
        if f"{label}_history" not in labels:
            short = rows(opened, f'SELECT count(*), count(valid_from) FROM "{label}_history"')
            assert versions == short


@pytest.mark.parametrize(
    "statement",
    [
        "FROM HISTORY.Task_Instance",
        'FROM "history"."TASK_INSTANCE"',
        "WITH task_instance AS (FROM history.task_instance) FROM task_instance",
        "WITH task_instance AS (SELECT 1) FROM history.task_instance",
    ],
)
def test_the_name_is_one_of_sql(opened: OpenLake, statement: str) -> None:
    assert "valid_from" in opened.query(statement).columns


def test_a_history_that_is_not_there_is_told_with_what_is_near(opened: OpenLake) -> None:
    with pytest.raises(ConfigError, match=r"no table 'history.dag_rum'.*did you mean dag_run\?"):
        opened.query("FROM history.dag_rum")


def test_a_table_of_ones_own_in_that_schema_is_asked(opened: OpenLake) -> None:
    opened.query("FROM history.dag LIMIT 0")
    opened.query("CREATE TABLE history.mine AS SELECT 7 AS n")
    assert rows(opened, "FROM history.mine") == [(7,)]


def test_a_table_of_a_databases_own_schema_of_that_name_goes_before(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    written = Written(LocalStore(lake))
    for v in ("a", "b"):
        written.save(
            "prod",
            {
                "x": pa.table({"id": [1], "v": [f"main {v}"]}),
                "history.x": pa.table({"id": [1], "v": [f"theirs {v}"]}),
            },
        )
    with connect(Lake(str(lake)), folder=tmp_path) as opened:
        assert rows(opened, "SELECT v FROM history.x") == [("theirs b",)]
        assert rows(opened, 'SELECT v FROM "history.x"') == [("theirs b",)]
        assert rows(opened, "SELECT v FROM x_history ORDER BY v") == [("main a",), ("main b",)]
        theirs = "SELECT v FROM history.x_history ORDER BY v"
        assert rows(opened, theirs) == [("theirs a",), ("theirs b",)]
        assert opened.columns("history.x") == ["environment", "snapshot", "id", "v"]


def test_the_shell_completes_and_describes_it(asked: Asked, opened: OpenLake) -> None:
    tables = opened.tables()
    short = set(words(opened, tables, "SELECT * FROM hist"))
    asked_for = set(words(opened, tables, "SELECT * FROM history."))
    columns = list(words(opened, tables, "SELECT * FROM history.task_instance WHERE val"))
    assert {"history.task_instance", "dag_run_history"} <= short
    assert "history.dag_run" not in short
    assert "history.dag_run" in asked_for
    assert "valid_from" in columns
    assert "valid_from" not in words(opened, tables, "SELECT * FROM task_instance_history WHERE v")

    commands = ".schema history.task_instance\n.schema task_instance_history\n"
    done = CliRunner().invoke(cli, ["shell", str(asked.lake)], input=commands)
    assert done.exit_code == 0, done.output
    assert done.stdout.count("valid_from") == 1


def test_a_command_and_the_library_answer(asked: Asked) -> None:
    statement = "SELECT count(*) AS n FROM history.task_instance WHERE valid_to IS NOT NULL"
    done = CliRunner().invoke(cli, ["query", str(asked.lake), statement, "--format", "csv"])
    assert done.stdout.split() == ["n", "2"]
    assert airkeep.query(str(asked.lake), statement).to_pylist() == [{"n": 2}]


@pytest.fixture(scope="module")
def for_athena(asked: Asked) -> AthenaLake:
    return athena_lake(Lake(str(asked.lake)))


def test_athena_is_given_a_with_of_one_name(for_athena: AthenaLake) -> None:
    statement = (
        "SELECT history.task_instance.state, h.state FROM history.task_instance "
        "JOIN HISTORY.dag_run h USING (run_id), task_instance_history"
    )
    with pytest.raises(ConfigError, match=r"no table 'history\.dag_rum'"):
        question(for_athena, "FROM history.dag_rum")
    text = " ".join(question(for_athena, statement).split())
    tree = sqlglot.parse_one(text, dialect="athena")
    assert isinstance(tree, exp.Query)
    made = {cte.alias: set(cte.this.named_selects) for cte in tree.ctes}

    assert "valid_from" in made["history.task_instance"]
    assert "valid_from" not in made["task_instance_history"]
    assert text.rpartition(") SELECT ")[2] == (
        'task_instance.state, h.state FROM "history.task_instance" AS task_instance '
        'JOIN "history.dag_run" AS h USING (run_id), task_instance_history'
    )
