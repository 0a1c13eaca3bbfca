"""A DAG goes on having versions in an environment that took older ones of it from a snapshot.

Airflow gives a changed DAG the number after its latest version's. Up to 3.2 that is the one made
last, from 3.3 on the one with the highest number: after a merge they need not be the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import airkeep
from airflows import Airflow
from running import Running
from servers import Databases, query

pytestmark = pytest.mark.slow

DAG = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("changing", schedule=None):
    for number in range({tasks}):
        EmptyOperator(task_id=f"task{{number}}")
"""


def parse(at: Running, dags: Path, tasks: int, run: str) -> None:
    """Parse the DAG with so many tasks, and make a run, so that a change is a new version."""
    (dags / "changing.py").write_text(DAG.format(tasks=tasks))
    at.run("dags", "reserialize")
    at.run("dags", "trigger", "--run-id", run, "changing")


def versions(at: Running) -> list[tuple[int, int]]:
    """The numbers of the DAG's versions, and how many runs began with each."""
    return [
        (int(number), int(runs))
        for number, runs in query(
            at.url, "SELECT version_number, count(r.id) FROM dag_version v LEFT JOIN dag_run r "
                    "ON r.created_dag_version_id = v.id GROUP BY 1 ORDER BY 1"
        )
    ]  # fmt: skip


@pytest.mark.parametrize("version", ["3.0.6", "3.3.2"])
def test_a_dag_that_changes_after_a_restore_gets_a_version_of_its_own(
    version: str, databases: Databases, tmp_path: Path
) -> None:
    airflow = Airflow(version)
    airflow.install()
    dags = tmp_path / "dags"
    dags.mkdir()
    a, b = (Running(airflow, tmp_path / name, databases.empty(), dags) for name in "ab")
    a.run("db", "migrate")
    parse(a, dags, 1, "first")
    parse(a, dags, 2, "second")
    assert versions(a) == [(1, 1), (2, 1)]
    airkeep.export(a.url, tmp_path / "lake", environment="a")

    b.run("db", "migrate")
    parse(b, dags, 2, "own")
    airkeep.restore(tmp_path / "lake", "latest", b.url, on_conflict="skip", in_flight="keep")
    known = [number for number, _ in versions(b)]

    parse(b, dags, 3, "later")
    assert max(versions(b)) == (max(known) + 1, 1)
    assert sum(runs for _, runs in versions(b)) == 4
