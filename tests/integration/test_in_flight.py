"""What a restore leaves of runs in flight, beside what Airflow's own clearing leaves of them.

The dumps were taken from Airflows at work: running, deferred, queued, waiting for a retry.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import airkeep
from airflows import Airflow
from airkeep.cli.main import cli
from airkeep.database.server import Cluster
from airkeep.errors import ConfigError
from compare import AS_IT_WAS
from running import for_airflow
from servers import Databases, emptied, query

DUMPS = {"2.11.2": "airflow-2112", "3.3.2": "airflow-332"}
# What `airflow tasks clear` calls, for all but the running: it would wait for their processes.
CLEAR = """
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.utils.session import create_session
ends = ("success", "failed", "skipped", "upstream_failed", "removed", "running")
with create_session() as session:
    found = session.query(TaskInstance).filter(TaskInstance.state.not_in(ends)).all()
    clear_task_instances(found, session)
"""
TASKS = """
SELECT dag_id, task_id, run_id, map_index, state, try_number, max_tries, external_executor_id,
  next_method, next_kwargs::text, start_date, hostname, pid, pool FROM task_instance
WHERE (dag_id, task_id, run_id, map_index) IN (SELECT dag_id, task_id, run_id, map_index FROM {})
"""
TRIES = """
SELECT dag_id, task_id, run_id, map_index, try_number, state, start_date, max_tries, hostname
FROM task_instance_history
WHERE (dag_id, task_id, run_id, map_index) IN (SELECT dag_id, task_id, run_id, map_index FROM {})
"""
KEY_COLUMNS = "dag_id text, task_id text, run_id text, map_index int"


@pytest.mark.parametrize("version", DUMPS)
def test_clear_leaves_tasks_as_that_airflow_clears_them(
    version: str, databases: Databases, tmp_path: Path
) -> None:
    airflow = Airflow(version)
    airflow.install()
    lake, ours, theirs = str(tmp_path / "lake"), databases.empty(), databases.empty()
    source = databases.airflow(DUMPS[version])
    airkeep.export(source, lake, environment="prod")
    airkeep.restore(lake, "latest", theirs, create_schema=True, **AS_IT_WAS)
    result = airkeep.restore(
        lake, "latest", ours, create_schema=True, in_flight="clear", missed_runs="make"
    )
    python(airflow, tmp_path, theirs, CLEAR)

    flying = query(
        source, "SELECT dag_id, task_id, run_id, map_index FROM task_instance WHERE state NOT IN "
                "('success', 'failed', 'skipped', 'upstream_failed', 'removed', 'running')"
    )  # fmt: skip
    assert flying
    keys = f"jsonb_to_recordset('{json.dumps([list_of(k) for k in flying])}') AS k({KEY_COLUMNS})"
    for sql in (TASKS, TRIES):
        assert rows(ours, sql.format(keys)) == rows(theirs, sql.format(keys))
    cleared = {f.table: f.rows for f in result.outcomes if f.fate == "cleared"}
    assert cleared["task_instance"] > len(flying), "the running ones as well"
    running = "SELECT count(*) FROM task_instance WHERE state = 'running'"
    assert query(ours, running) == [(0,)]


@pytest.mark.parametrize("dump", ["airflow-263", "airflow-2112", "airflow-306", "airflow-332"])
@pytest.mark.parametrize("policy", ["fail", "clear", "keep"])
def test_a_dry_run_counts_what_a_restore_then_does(
    dump: str, policy: Any, databases: Databases, tmp_path: Path
) -> None:
    lake, target = str(tmp_path / "lake"), databases.empty()
    airkeep.export(databases.airflow(dump), lake, environment="prod")

    planned = airkeep.restore(
        lake, "latest", target, create_schema=True, in_flight=policy, dry_run=True
    )
    done = airkeep.restore(lake, "latest", target, create_schema=True, in_flight=policy)

    assert planned.outcomes == done.outcomes
    unfinished = query(
        target, "SELECT count(*) FROM dag_run WHERE state NOT IN ('success', 'failed')"
    )
    flying = sum(f.rows for f in done.outcomes if f.table == "dag_run" and f.fate in HOW[policy])
    assert flying
    assert unfinished == [(0 if policy == "fail" else flying,)]


HOW = {"fail": {"failed"}, "clear": {"cleared"}, "keep": {"kept"}}


@pytest.mark.parametrize("policy", ["fail", "clear"])
def test_a_sqlite_file_is_settled_the_same_way(
    policy: Any, airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    source, target = airflow_file("airflow-3.3.2"), tmp_path / "target.db"
    with sqlite3.connect(source) as db:
        db.execute("UPDATE task_instance SET state = 'running' WHERE state = 'failed'")
        db.execute("UPDATE dag_run SET state = 'running' WHERE state = 'failed'")
    db.close()
    lake = str(tmp_path / "lake")
    airkeep.export(str(source), lake, environment="laptop")
    result = airkeep.restore(lake, "latest", str(target), create_schema=True, in_flight=policy)

    db = sqlite3.connect(target)
    states = dict(db.execute("SELECT state, count(*) FROM dag_run GROUP BY 1").fetchall())
    orphans = db.execute("PRAGMA foreign_key_check").fetchall()
    db.close()
    assert not [row for row in orphans if row[0] in ("task_instance", "task_instance_note")]
    fates = {f.fate: f.rows for f in result.outcomes if f.table == "dag_run"}
    assert fates["failed" if policy == "fail" else "cleared"]
    assert ("running" in states) is (policy == "clear")


def test_the_command_says_what_became_of_them_and_unpauses_whom_it_is_told(
    databases: Databases, tmp_path: Path
) -> None:
    lake, target = str(tmp_path / "lake"), databases.empty()
    airkeep.export(databases.airflow("airflow-332"), lake, environment="prod")
    names = tmp_path / "active.txt"
    names.write_text("lab_flaky\n\n")
    flags = ["--create-schema", "--active-from", str(names), "--active", "lab_defer"]
    ran = CliRunner().invoke(cli, ["restore", lake, "latest", target, *flags])

    assert ran.exit_code == 0, ran.output
    assert "failed" in ran.stdout
    assert "lab_flaky scheduled__" in ran.stdout
    active = query(target, "SELECT dag_id FROM dag WHERE NOT is_paused ORDER BY 1")
    assert active == [("lab_defer",), ("lab_flaky",)]


def test_a_dag_that_is_not_there_changes_nothing(databases: Databases, tmp_path: Path) -> None:
    lake, target = str(tmp_path / "lake"), databases.empty()
    airkeep.export(databases.airflow("airflow-332"), lake, environment="prod")
    flags = ["--create-schema", "--active", "lab_flakey"]
    ran = CliRunner().invoke(cli, ["restore", lake, "latest", target, *flags])

    assert isinstance(ran.exception, ConfigError)
    assert "did you mean lab_flaky?" in str(ran.exception)
    assert query(target, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


@pytest.mark.parametrize("tables", [["dag"], ["dag", "dag_run", "log_template"], ["variable"]])
def test_a_part_of_the_tables_is_settled_as_far_as_it_goes(
    tables: list[str], databases: Databases, server: Cluster, tmp_path: Path
) -> None:
    lake, target = str(tmp_path / "lake"), emptied(server, databases.airflow("airflow-2112"))
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="prod")
    result = airkeep.restore(lake, "latest", target, tables=tables)

    slept = [o for o in result.outcomes if o.fate == "slept through"]
    assert bool(slept) is ("dag_run" in tables)


def list_of(key: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(("dag_id", "task_id", "run_id", "map_index"), key, strict=True))


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    return sorted(query(url, sql), key=repr)


def python(airflow: Airflow, home: Path, url: str, script: str) -> None:
    """Run a script as this Airflow."""
    done = subprocess.run(
        [str(airflow.folder / "bin" / "python"), "-c", script],
        env={
            "PATH": "/usr/bin:/bin", "HOME": str(home), "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": for_airflow(url),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        },
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("policy", ["fail", "clear", "keep"])
def test_the_run_whose_task_the_export_was_ends_well(
    policy: str, databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target, lake = databases.airflow("airflow-332"), databases.empty(), str(tmp_path / "l")
    [(dag_id, run_id, *_)] = query(
        source,
        "SELECT dag_id, run_id, count(*) FROM task_instance GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 1",
    )
    own = f"dag_id = '{dag_id}' AND run_id = '{run_id}'"
    query(source, f"UPDATE dag_run SET state = 'running', end_date = NULL WHERE {own} RETURNING 1")
    query(source, f"UPDATE task_instance SET state = 'running' WHERE {own} RETURNING 1")
    # As Airflow has them in a task's environment.
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", dag_id)
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", run_id)
    done = CliRunner().invoke(cli, ["export", source, lake, "-e", "prod", "-q"])
    assert done.exit_code == 0, done.stderr
    words = ("restore", lake, "latest", target, "--create-schema", "--in-flight", policy, "-q")
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert query(target, f"SELECT state FROM dag_run WHERE {own}") == [("success",)]
    ended = f"SELECT count(*) FROM task_instance WHERE {own} AND state = 'running'"
    assert query(target, ended) == [(0,)]
