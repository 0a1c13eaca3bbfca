"""A scheduler on a restored environment: nothing for the past, nothing twice, the rest on time.

The environment's runs are made by the same Airflow's scheduler. Then every time in it is moved
three days back, as if it had slept since, and it is exported and restored; a scheduler works on it
for two minutes while its DAG files are parsed every five seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import airkeep
from airflows import Airflow
from airkeep.restore.run import RestoreResult
from running import Running, for_airflow
from servers import PROJECT, Databases, Templates, query
from shifted import shift

pytestmark = pytest.mark.slow

DAGS = PROJECT / "tests" / "dags"
VERSIONS = ("2.11.2", "3.3.2")
SLEPT = timedelta(days=3)
WATCH_S = 120
EVERY_MINUTE = {
    "minutes", "minutes_catchup", "delta", "delta_catchup", "intervals_catchup",
    "triggers_catchup", "past_catchup",
}  # fmt: skip
NOW_AND_THEN = {"hours", "hours_catchup"}


@dataclass
class Slept:
    """An environment that a scheduler worked in, exported three days later."""

    airflow: Airflow
    home: Path
    lake: str
    start: str  # of its DAGs
    stuck: dict[str, str]
    runs: set[tuple[str, str]]


@pytest.fixture(scope="module")
def databases_of_module(templates: Templates) -> Iterator[Databases]:
    made = Databases(templates)
    yield made
    made.drop()


@pytest.fixture(scope="module", params=VERSIONS)
def slept(
    request: pytest.FixtureRequest,
    databases_of_module: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Slept:
    airflow, home = Airflow(request.param), tmp_path_factory.mktemp("home")
    airflow.install()
    url = databases_of_module.empty()
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=4)
    work = Running(airflow, home, url, DAGS, DAGS_START=begin.isoformat())
    work.run("db", "migrate")
    work.run("pools", "set", "nothing", "0", "for what stays scheduled")
    with work.processes(triggerer=True):
        work.wait("SELECT count(*) FROM dag", lambda n: n >= 13, timeout_s=120)
        query(url, "UPDATE dag SET is_paused = true WHERE dag_id = 'paused_catchup' RETURNING 1")
        work.run("dags", "trigger", "stuck")
        work.run("dags", "trigger", "producer")
        work.wait(
            "SELECT count(DISTINCT dag_id) FROM dag_run WHERE state = 'success'",
            lambda n: n >= len(EVERY_MINUTE | NOW_AND_THEN) + 2, timeout_s=180,
        )  # fmt: skip
        work.wait(
            "SELECT count(DISTINCT state) FROM task_instance WHERE dag_id = 'stuck' AND "
            "state <> 'queued'", lambda n: n >= 6, timeout_s=120,
        )  # fmt: skip
        copy = databases_of_module.empty()
        lake = str(home / "lake")
        airkeep.export(url, lake, environment="live")
    airkeep.restore(lake, "latest", copy, create_schema=True, in_flight="keep", missed_runs="make")
    # The pool without slots holds it back one step too early.
    query(copy, "UPDATE task_instance SET state = 'queued' WHERE task_id = 'queued' RETURNING 1")
    starts = {at: at - SLEPT for at in (begin, begin - timedelta(hours=3))}
    shift(copy, f"{SLEPT.days} days", starts=starts)
    airkeep.export(copy, lake, environment="slept")
    stuck = query(copy, "SELECT task_id, state FROM task_instance WHERE dag_id = 'stuck'")
    runs = query(copy, "SELECT dag_id, run_id FROM dag_run")
    return Slept(airflow, home, lake, (begin - SLEPT).isoformat(), dict(stuck), set(runs))


@pytest.fixture
def awake(slept: Slept, databases: Databases) -> Running:
    """The same Airflow, new, before anything is restored."""
    url = databases.empty()
    slept.airflow.migrate(slept.home, for_airflow(url))
    return Running(slept.airflow, slept.home, url, DAGS, DAGS_START=slept.start)


def test_a_scheduler_makes_no_run_for_the_past_none_twice_and_the_next_on_time(
    slept: Slept, awake: Running
) -> None:
    result = airkeep.restore(slept.lake, "slept/latest", awake.url)
    restored = now(awake)
    with awake.processes():
        check_what_is_made(slept, awake, result, restored)


@pytest.mark.parametrize("policy", ["skip", "replace"])
def test_one_that_is_at_work_while_it_is_restored_does_the_same(
    slept: Slept, awake: Running, policy: str
) -> None:
    """The new environment has parsed the same DAG files; they are paused, as MWAA has them."""
    paused = {"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}
    work = Running(slept.airflow, slept.home, awake.url, DAGS, DAGS_START=slept.start, **paused)
    with work.processes():
        work.wait("SELECT count(*) FROM dag", lambda n: n >= 13, timeout_s=120)
        began = now(work)
        result = airkeep.restore(slept.lake, "slept/latest", awake.url, on_conflict=policy)
        check_what_is_made(slept, work, result, began)


def check_what_is_made(
    slept: Slept, awake: Running, result: RestoreResult, restored: datetime
) -> None:
    """Watch a scheduler that is at work after a restore."""
    asleep = {d for d, r in runs_of(awake) if "asleep" in r}
    assert asleep == EVERY_MINUTE | NOW_AND_THEN, "a DAG of which a run was due, each once"
    begun = now(awake)
    awake.wait(f"SELECT now() > '{begun}'::timestamptz + interval '{WATCH_S} s'",
               bool, timeout_s=WATCH_S + 60)  # fmt: skip
    ended = now(awake)

    new = new_runs(slept, awake)
    made = Counter(dag for dag, _, _ in new)
    assert all(due > restored for _, due, _ in new), f"for the past: {new}"
    assert len({(dag, due) for dag, due, _ in new}) == len(new), f"twice: {new}"
    assert set(made) <= EVERY_MINUTE | NOW_AND_THEN
    ticks = int((ended - begun) / timedelta(minutes=1))
    assert all(ticks - 1 <= made[dag] for dag in EVERY_MINUTE), made
    most = int((ended - restored) / timedelta(minutes=1)) + 1
    assert all(made[dag] <= most for dag in EVERY_MINUTE), made
    assert any(state == "success" for dag, _, state in new if dag == "past_catchup"), (
        "tasks that depend on the past go on"
    )
    assert slept.runs <= runs_of(awake), "none is lost"
    assert {(f.table, f.fate): f.rows for f in result.outcomes}["dag_run", "slept through"] == len(
        asleep
    )


def test_asked_to_make_missed_runs_the_same_scheduler_makes_them(
    slept: Slept, awake: Running
) -> None:
    """What the test above would see, were nothing done."""
    airkeep.restore(slept.lake, "slept/latest", awake.url, missed_runs="make")
    restored = now(awake)
    with awake.processes():
        past = (
            "SELECT count(*) FROM dag_run WHERE dag_id LIKE '%catchup' "
            f"AND data_interval_end < '{restored}' AND queued_at > '{restored}'"
        )
        awake.wait(past, lambda n: n > 2 * len(EVERY_MINUTE), timeout_s=WATCH_S)


def now(work: Running) -> datetime:
    found: datetime = query(work.url, "SELECT clock_timestamp()")[0][0]
    return found


def runs_of(work: Running) -> set[tuple[str, str]]:
    return set(query(work.url, "SELECT dag_id, run_id FROM dag_run"))


def new_runs(slept: Slept, work: Running) -> list[tuple[str, datetime, str]]:
    """DAG, when it was due, and state of each run that was not restored."""
    rows: list[tuple[Any, ...]] = query(
        work.url,
        "SELECT dag_id, run_id, COALESCE(data_interval_end, queued_at), state FROM dag_run",
    )  # fmt: skip
    return sorted(
        (dag, due, state)
        for dag, run, due, state in rows
        if (dag, run) not in slept.runs and "asleep" not in run
    )
