"""Spark answers as DuckDB does: here, and by the script that a cluster runs."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from airkeep.cli.main import cli
from airkeep.export.run import export
from airkeep.lake.connect import connect
from airkeep.lake.spark import own_session
from airkeep.lake.spark_aside import folder_aside
from airkeep.lake.spark_here import SparkRows
from airkeep.models.build import ask, make_models
from airkeep.models.catalog import models
from airkeep.models.job import answer, main, opened
from airkeep.models.script import job_of, script_of
from airkeep.models.spread import spread
from airkeep.snapshot.lake import Lake
from grid import Row, same_rows
from servers import Databases, Templates, airflow_sqlite, query
from sparks import QUICK, SPARK_4, libraries_of_spark_3, quick_session, submit

# One of each kind: versions of rows, rows that are there, tries, whole manifests, rows that Python
# makes of others.
SOME = (
    "attempts", "config_changes", "critical_path", "lost_hours", "missed_runs", "runs",
    "table_growth", "unfinished_tasks", "who_did_what", "xcom_hogs",
)  # fmt: skip

COMPILED = {"spark.sql.shuffle.partitions": "4"}


@dataclass(frozen=True)
class Asked:
    """A lake, and what DuckDB counts in it."""

    lake: Path
    rows: dict[str, list[Row]]


@pytest.fixture(scope="module")
def asked(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Airflow 2.6 to 3.3, PostgreSQL and SQLite, with increments, deleted rows and garbage."""
    folder = tmp_path_factory.mktemp("spark")
    lake = folder / "the lake"
    databases = Databases(templates)
    export(databases.airflow("airflow-263"), str(lake), environment="007")
    url = databases.airflow("airflow-332")
    export(url, str(lake), environment="prod")
    query(url, "UPDATE dag_run SET state = 'failed' WHERE id % 3 = 0")
    query(url, "DELETE FROM log WHERE id % 5 = 0")
    export(url, str(lake), environment="prod", increment=True)
    query(url, "UPDATE task_instance SET try_number = try_number + 1 WHERE state = 'success'")
    last = export(url, str(lake), environment="prod", increment=True)
    query(url, "UPDATE dag_run SET state = 'running' WHERE id % 2 = 0")
    export(url, str(lake), environment="prod", since=datetime(2020, 1, 1, tzinfo=UTC))
    query(url, "UPDATE dag_run SET state = 'failed' WHERE id % 2 = 0")
    export(url, str(lake), environment="prod", increment=True)
    databases.drop()
    for name in ("airflow-2.11.2", "airflow-3.3.2"):
        file = airflow_sqlite(name, folder)
        export(str(file), str(lake), environment=f"sqlite-{name}", allow_plain=True)
    entry = last.manifest.table("task_instance")
    assert entry is not None
    file = lake / entry.files[0].path
    shutil.copy(file, file.with_name("09999.parquet"))  # no manifest names it
    return Asked(lake, duckdb_rows(lake, folder))


def duckdb_rows(lake: Path, folder: Path) -> dict[str, list[Row]]:
    with connect(Lake(str(lake)), folder=folder) as opened:
        make_models(opened, list(models()), folder)
        return {name: rows_of(opened.query(f"SELECT * FROM {name}")) for name in models()}


def rows_of(answer: Any) -> list[Row]:
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows()]


def saved(output: Path, name: str) -> list[Row]:
    rows: list[Row] = pq.read_table(output / name).to_pylist()
    return rows


def script_counts_as_duckdb(
    asked: Asked, folder: Path, names: Collection[str], **submitted: Any
) -> None:
    script = folder / "job.py"
    script.write_text(script_of(job_of(list(models()))), encoding="utf-8")
    output = folder / "out"
    done = submit(
        script, "--JOB_NAME", "nightly", "--lake", str(asked.lake), "--output", str(output),
        "--models", ",".join(names), "--enable-metrics", **submitted,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(p.name for p in output.iterdir()) == sorted(names)
    for name in names:
        same_rows(saved(output, name), asked.rows[name], models()[name].key)


@pytest.mark.slow
def test_the_script_counts_on_spark_3_as_duckdb_does(asked: Asked, tmp_path: Path) -> None:
    libraries = libraries_of_spark_3(tmp_path / "libraries")
    script_counts_as_duckdb(asked, tmp_path, SOME, libraries=libraries, settings=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_every_model_counts_on_spark_3_as_on_duckdb(asked: Asked, tmp_path: Path) -> None:
    libraries = libraries_of_spark_3(tmp_path / "libraries")
    script_counts_as_duckdb(asked, tmp_path, models(), libraries=libraries, settings=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("names", "how"), [(SOME, QUICK), (models(), COMPILED)], ids=["some", "all"]
)
def test_the_script_counts_on_spark_4_as_duckdb_does(
    asked: Asked, tmp_path: Path, names: Collection[str], how: dict[str, str]
) -> None:
    if not SPARK_4.is_dir():
        pytest.skip(f"{SPARK_4} is not there: `make spark4` installs it")
    script_counts_as_duckdb(asked, tmp_path, names, libraries=SPARK_4, settings=how)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    session = quick_session(tmp_path_factory.mktemp("spark"))
    yield session
    session.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # py4j's sockets
def test_a_script_says_what_is_wrong_and_writes_nothing(
    asked: Asked, spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_of(["runs"], lake=str(asked.lake))
    taken, free = str(tmp_path / "taken"), str(tmp_path / "free")
    (tmp_path / "taken" / "runs").mkdir(parents=True)
    for arguments, status, said in (
        (["--output", taken, "--models", "runs"], 3, "is there already"),
        (["--output", str(asked.lake / "x"), "--models", "runs"], 3, "outside of it"),
        (["--output", free, "--models", "rums"], 3, "did you mean runs"),
        (["--output", free, "--models", "runs", "--environments", "nope"], 34, "of nope"),
        (["--output", free, "--models", "runs", "--as-of", "2001-01-01"], 34, "the oldest is"),
    ):
        assert main(job, arguments) == status
        error = capsys.readouterr().err.splitlines()
        assert said in error[-1]
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # py4j's sockets
def test_a_question_finds_in_spark_what_it_finds_in_duckdb(
    asked: Asked, spark: Any, tmp_path: Path
) -> None:
    for question, named in (
        ("SELECT environment, state, count(*) AS n FROM dag_run GROUP BY ALL", []),
        ("SELECT environment, id, event, dttm FROM log", []),
        ("SELECT environment, id, state, valid_from, valid_to FROM dag_run_history", []),
        ("SELECT environment, dag_id, is_paused, valid_from, valid_to FROM dag_history", []),
        ("SELECT environment, version_num FROM alembic_version_history", []),
        ("SELECT history.task_instance.state, valid_from, valid_to FROM History.task_instance", []),
        ("SELECT environment, task_id, state FROM task_instance_history", []),
        (
            "SELECT r.state, count(*) AS n FROM runs r JOIN dag d USING (dag_id) GROUP BY 1",
            ["runs"],
        ),
    ):
        expected = counted(asked.lake, tmp_path, question)
        job = job_of(named, question=question)
        lake = opened(spark, str(asked.lake), (), None, pytest.fail)
        found = SparkRows(answer(lake, job, str(tmp_path / "aside")), "asked")
        assert found.columns == expected[0]
        assert Counter(found.rows()) == Counter(expected[1])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_snapshot_that_spark_cannot_read_is_passed_over(
    asked: Asked, spark: Any, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(asked.lake, lake)
    newest = max(lake.glob("snapshots/environment=prod/*/manifest.json"))
    newest.write_text("{", encoding="utf-8")
    said: list[str] = []
    job = job_of([], question="SELECT state, count(*) AS n FROM dag_run GROUP BY state")
    opened_here = opened(spark, str(lake), (), None, said.append)
    found = SparkRows(answer(opened_here, job, str(tmp_path / "aside")), "asked")
    rows = Counter(found.rows())

    with connect(Lake(str(lake)), folder=tmp_path, warn=said.append) as connected:
        expected = connected.query("SELECT state, count(*) AS n FROM dag_run GROUP BY state")
        assert rows == Counter(expected.rows())
    assert len(said) == 2
    assert all("was passed over" in one and newest.parent.name in one for one in said)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_read_often_is_set_aside_until_the_job_ends_well_or_not(
    asked: Asked, spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["failure_streaks", "time_to_recover"]
    good = "SELECT count(*) AS n FROM failure_streaks CROSS JOIN time_to_recover"
    opened_here = opened(spark, str(asked.lake), (), None, pytest.fail)
    found = answer(opened_here, job_of(named, question=good), str(tmp_path / "aside"))
    assert {Path(file).parts[-2] for file in found.inputFiles()} == {"failure_streaks"}
    assert [tuple(row) for row in found.collect()] == counted(asked.lake, tmp_path, good)[1]

    bad = "SELECT CAST(max(dag_id) AS INTEGER) AS n FROM failure_streaks"
    for question, status in ((bad, 3), (good, 0)):
        job = job_of(named, lake=str(asked.lake), question=question)
        output = tmp_path / f"out-{status}"
        assert main(job, ["--output", str(output)]) == status
        assert [one.name for one in output.iterdir()] == ["answer"], capsys.readouterr().err

    said: list[str] = []
    with folder_aside(spark, "nowhere://there", said.append) as url:
        assert url.startswith("nowhere://there/_")
    assert url in said[0]
    assert "\n" not in said[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_python_makes_is_made_by_executors_dag_by_dag(spark: Any) -> None:
    def maker(edges: Iterator[Any], tasks: Iterator[Any]) -> Iterator[tuple[Any, ...]]:
        before = sorted((row["environment"], row["dag_id"], row["edge"]) for row in edges)
        for row in tasks:
            yield (row["environment"], row["dag_id"], row["at"], repr(before), os.getpid())

    at = datetime(2026, 11, 1, 12, 30)
    dags = [(e, d) for e in ("prod", "007") for d in ("a", "b", None)]
    edges = [(d, e, n) for e, d in dags if d != "b" for n in range(3)]
    tasks = [(e, d, at) for e, d in dags if e != "007"]
    session = own_session(spark)
    session.conf.set("spark.sql.shuffle.partitions", "4")
    made = spread(
        maker,
        [
            session.createDataFrame(edges, "dag_id string, environment string, edge int"),
            session.createDataFrame(tasks, "environment string, dag_id string, at timestamp_ntz"),
        ],
        "environment string, dag_id string, at timestamp_ntz, before string, pid int",
    )

    assert made.rdd.getNumPartitions() == 4
    rows = [tuple(row) for row in made.collect()]
    assert os.getpid() not in {row[4] for row in rows}
    assert Counter(row[:4] for row in rows) == Counter(
        (e, d, at, repr([(e, d, n) for n in range(3) if d != "b"])) for e, d, at in tasks
    )


def counted(lake: Path, folder: Path, question: str) -> tuple[tuple[str, ...], list[Any]]:
    with connect(Lake(str(lake)), folder=folder) as connected:
        found = ask(connected, question, folder)
        return found.columns, list(found.rows())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_command_line_answers_with_spark(asked: Asked, spark: Any, tmp_path: Path) -> None:
    def rows(*arguments: str) -> Any:
        result = CliRunner().invoke(cli, ["models", "--json", str(asked.lake), "runs", *arguments])
        assert result.exit_code == 0, result.output + str(result.exception)
        return json.loads(result.stdout)

    assert rows("--engine", "spark", "--execute", "-e", "007") == rows("-e", "007")
    file = tmp_path / "found.parquet"
    question = "SELECT run_id, start_date, conf, count(*) OVER () AS n FROM dag_run"
    asking = ["query", str(asked.lake), question, "--format", "parquet", "-o"]
    CliRunner().invoke(cli, [*asking, str(file), "--engine", "spark", "--execute"])
    CliRunner().invoke(cli, [*asking, f"{file}2"])
    there, here = (pq.read_table(f) for f in (file, f"{file}2"))
    assert Counter(map(str, there.to_pylist())) == Counter(map(str, here.to_pylist()))
    failed = CliRunner().invoke(
        cli,
        ["query", str(asked.lake), "SELECT nope FROM dag_run", "--engine", "spark", "--execute"],
    )
    assert "nope" in str(failed.exception)
    assert "\n" not in str(failed.exception)


def test_a_script_is_printed_for_one_model_for_all_and_for_a_question(asked: Asked) -> None:
    for arguments, said in (
        (["models", "--engine", "spark"], '"lake": null'),
        (["models", str(asked.lake), "--engine", "spark"], f'"lake": "file://{asked.lake}"'),
        (["models", str(asked.lake), "runs", "--engine", "spark"], '"name": "runs"'),
        (["models", str(asked.lake), "runs", "tasks", "--engine", "spark"], '"name": "tasks"'),
        (["query", str(asked.lake), "SELECT 1 FROM dag_run", "--engine", "spark"], "FROM dag_run"),
        (["query", str(asked.lake), "SELECT 7 FROM runs", "--engine", "spark"], "FROM runs"),
    ):
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, str(result.exception)
        compile(result.stdout, "job.py", "exec")
        assert said in result.stdout
