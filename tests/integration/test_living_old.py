"""Runs of one name are not mixed where no foreign key says that a task is a part of a run.

Tables are made as Airflow's own migrations left them: up to 2.1 a task instance names its run by
the date, in 2.2 XComs and failures do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import airkeep
from airflow_schemas import schema
from airkeep.database.sql import ident, literal
from airkeep.restore.run import RestoreResult
from airkeep.tables.revisions import revisions_of
from compare import AS_IT_WAS
from renumbered import run_script
from servers import Databases, query

VERSION = "1.10.12"
DAY = "'2020-05-0{n}T00:00:00Z'"


def made(databases: Databases, rows: str) -> str:
    """A database of that Airflow with some rows."""
    url = databases.empty()
    run_script(url, "; ".join(_tables()) + "; " + rows)
    return url


def _tables() -> list[str]:
    found = []
    for table, about in schema(VERSION).items():
        lines = [
            f"{ident(name)} {_type(c)} {'' if c['nullable'] else 'NOT NULL'}"
            for name, c in about["columns"].items()
        ]
        if key := about["primary_key"]:
            lines.append(f"PRIMARY KEY ({', '.join(key['columns'])})")
        lines += [f"UNIQUE ({', '.join(key['columns'])})" for key in about["unique"]]
        found.append(f"CREATE TABLE {ident(table)} ({', '.join(lines)})")
    revisions = ", ".join(f"({literal(revision)})" for revision in revisions_of(VERSION))
    return [*found, f"INSERT INTO alembic_version VALUES {revisions}"]


def _type(column: dict[str, Any]) -> str:
    return "serial" if "nextval(" in column.get("default", "") else str(column["type"])


def runs(*found: tuple[int, str, int, str]) -> str:
    """Runs as (number, run_id, day, state)."""
    values = ", ".join(
        f"({number}, 'd', {DAY.format(n=day)}, '{state}', '{name}')"
        for number, name, day, state in found
    )
    return f"INSERT INTO dag_run (id, dag_id, execution_date, state, run_id) VALUES {values}; "


def tasks(*found: tuple[str, int, str]) -> str:
    """Task instances as (task, day of the run, state), each with an XCom."""
    values = ", ".join(
        f"('{task}', 'd', {DAY.format(n=day)}, '{state}', 'p')" for task, day, state in found
    )
    xcoms = ", ".join(
        f"('k', '{task}', 'd', {DAY.format(n=day)}, now(), '1')" for task, day, _ in found
    )
    return (
        "INSERT INTO task_instance (task_id, dag_id, execution_date, state, pool) "
        f"VALUES {values}; "
        'INSERT INTO xcom (key, task_id, dag_id, execution_date, "timestamp", value) '
        f"VALUES {xcoms}; "
    )


def restored(source: str, target: str, lake: Path, policy: str) -> RestoreResult:
    airkeep.export(source, lake, environment="old", allow_plain=True)
    return airkeep.restore(lake, "latest", target, on_conflict=policy, **AS_IT_WAS)


def of_day(url: str, day: int) -> list[tuple[Any, ...]]:
    """The tasks of a day's run with their states, and how many XComs each has."""
    return query(
        url,
        "SELECT t.task_id, t.state, count(x.key) FROM task_instance t LEFT JOIN xcom x "
        "USING (dag_id, task_id, execution_date) "
        f"WHERE t.execution_date = {DAY.format(n=day)} GROUP BY 1, 2 ORDER BY 1",
    )


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("skip", [("a", "success", 1), ("mine", "success", 1)]),
        ("replace", [("a", "failed", 1), ("b", "failed", 1)]),
    ],
)
def test_a_run_that_both_have_is_one_of_them_whole(
    databases: Databases, tmp_path: Path, policy: str, expected: list[tuple[Any, ...]]
) -> None:
    source = made(
        databases,
        runs((1, "same", 1, "failed"), (2, "more", 2, "success"))
        + tasks(("a", 1, "failed"), ("b", 1, "failed"), ("a", 2, "success")),
    )
    target = made(
        databases,
        runs((2, "same", 1, "success")) + tasks(("a", 1, "success"), ("mine", 1, "success")),
    )
    restored(source, target, tmp_path, policy)
    assert of_day(target, 1) == expected
    assert of_day(target, 2) == [("a", "success", 1)]


@pytest.mark.parametrize("policy", ["skip", "replace"])
def test_a_run_whose_date_is_taken_takes_its_tasks_with_it(
    databases: Databases, tmp_path: Path, policy: str
) -> None:
    source = made(databases, runs((1, "theirs", 1, "success")) + tasks(("m", 1, "success")))
    target = made(databases, runs((1, "mine", 1, "running")) + tasks(("a", 1, "running")))
    result = restored(source, target, tmp_path, policy)
    assert of_day(target, 1) == [("a", "running", 1)]
    told = {t.label: [f.kind for f in t.fates] for t in result.plan.tables if t.fates}
    assert told["dag_run"] == told["task_instance"] == told["xcom"] == ["dropped"]


def test_a_task_that_is_of_no_run_there_comes_into_no_run_here(
    databases: Databases, tmp_path: Path
) -> None:
    source = made(
        databases,
        runs((1, "other", 2, "success")) + tasks(("tested", 1, "success"), ("b", 3, "success")),
    )
    target = made(databases, runs((1, "mine", 1, "success")) + tasks(("a", 1, "success")))
    result = restored(source, target, tmp_path, "skip")
    assert of_day(target, 1) == [("a", "success", 1)]
    assert of_day(target, 3) == [("b", "success", 1)]
    [kept_out] = [f for t in result.plan.tables if t.label == "task_instance" for f in t.fates
                  if f.kind == "skipped"]  # fmt: skip
    assert (kept_out.rows, kept_out.why) == (1, "its dag_run is another one here")
