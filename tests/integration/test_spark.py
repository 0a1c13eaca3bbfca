"""Spark answers as DuckDB does: here, and by the script that a cluster runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airkeep.export.run import export
from airkeep.lake.connect import connect
from airkeep.models.build import make_models
from airkeep.models.catalog import models
from airkeep.models.script import job_of, script_of
from airkeep.snapshot.lake import Lake
from grid import Row, same_rows
from servers import Databases, Templates, airflow_sqlite, query

TIMEOUT_S = 900


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


def run_script(python: Path, script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it where no airkeep is to be imported: in an empty folder, without site's own paths."""
    keep = ("PATH", "HOME", "JAVA_HOME", "LANG")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    return subprocess.run(
        [str(python), str(script), *arguments],
        env={
            **environment,
            "PYSPARK_PYTHON": str(python),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "TZ": "America/New_York",
            "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false "
            "--conf spark.sql.shuffle.partitions=2 pyspark-shell",
        },
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def saved(output: Path, name: str) -> list[Row]:
    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(output / name).to_pylist()
    return rows


def test_the_script_counts_on_spark_3_as_duckdb_does(asked: Asked, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(script_of(job_of(list(models()))), encoding="utf-8")
    output = tmp_path / "out"
    done = run_script(
        Path(sys.executable), script, "--JOB_NAME", "nightly", "--lake", str(asked.lake),
        "--output", str(output), "--models", ",".join(models()), "--enable-metrics",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(p.name for p in output.iterdir()) == sorted(models())
    for name, model in models().items():
        same_rows(saved(output, name), asked.rows[name], model.key)
