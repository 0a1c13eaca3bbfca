"""A snapshot goes into an environment that is at work: the same DAGs, parsed there, other ids.

For each Airflow one story, told once (about three minutes), on which the tests look back:

1. A runs its DAGs, is noted upon, is exported.
2. B, new and of the same folder, parses them and has runs of its own: one under a run_id that A has
   too, with fewer mapped tasks and more attempts, and one at a logical date at which A has another.
3. A's snapshot goes into B while B is at work, with skip, twice; then with replace.
4. B goes on: a triggerer wakes what waited in A, and a new run is made.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import airkeep
from airflows import Airflow
from airkeep.database.server import Cluster
from named_rows import NamedRows, Row, orphans
from running import Running
from servers import PROJECT, query

pytestmark = pytest.mark.slow

DAGS = PROJECT / "tests" / "living_dags"
PIPELINE, WAITING = "living_pipeline", "living_waiting"
CLASH_DATE = "2026-02-01T00:00:00+00:00"
# What hangs on a run, each row with the run in it.
OF_RUNS = (
    "dag_run", "task_instance", "task_instance_history", "xcom", "dag_run_note",
    "task_instance_note", "task_reschedule", "rendered_task_instance_fields", "task_map",
    "task_fail",
)  # fmt: skip
# What A did, run or no run.
OF_ALL = ("log", "asset_event", "dataset_event", "dagrun_asset_event", "dagrun_dataset_event",
          "variable")  # fmt: skip


@dataclass(frozen=True)
class Story:
    """What was seen.

    Attributes:
        before: B as A's snapshot came; `skipped`: after skip; `replaced`: after replace.
        again: rows that the second restore with skip wrote.
        dropped: how many of A's runs did not go in, by reason.
        locked_s: for how long each of the three restores kept B's processes out.
        errors: tracebacks in what B's processes said.
    """

    a: NamedRows
    before: NamedRows
    skipped: NamedRows
    replaced: NamedRows
    end: NamedRows
    again: int
    dropped: dict[str, int]
    locked_s: list[float]
    orphans: int
    errors: list[str]


@pytest.fixture(scope="module", params=["2.11.2", "3.3.2"])
def story(
    request: pytest.FixtureRequest, server: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    airflow, folder = Airflow(request.param), tmp_path_factory.mktemp("living")
    airflow.install()
    databases = [f"airkeep_living_{name}_{airflow.version.replace('.', '')}" for name in "ab"]
    try:
        a, b = (
            Running(airflow, folder / name[-6:], server.create(name), DAGS) for name in databases
        )
        yield tell(a, b, folder / "lake")
    finally:
        for name in databases:
            server.drop(name)


def tell(a: Running, b: Running, lake: Path) -> Story:
    a.run("db", "migrate")
    with a.processes():
        work(a, {"one": "{}", "shared": '{"numbers": 5}'}, clash="clash_a", waiting="waiting_a")
    note(a.url, "ann")
    a.run("variables", "set", "of_a", "a value")
    airkeep.export(a.url, lake, environment="a")

    b.run("db", "migrate")
    with b.processes():
        work(b, {"shared": '{"failures": 2}'}, clash="clash_b", waiting="waiting_b")
        note(b.url, "bob")
        before = NamedRows(b.url)
        first = airkeep.restore(lake, "latest", b.url, on_conflict="skip", in_flight="keep")
        skipped = NamedRows(b.url)
        again = airkeep.restore(lake, "latest", b.url, on_conflict="skip", in_flight="keep")
        third = airkeep.restore(lake, "latest", b.url, on_conflict="replace", in_flight="keep")
        replaced = NamedRows(b.url)
        go_on(b)
        errors = b.errors()
    return Story(
        NamedRows(a.url), before, skipped, replaced, NamedRows(b.url), again.plan.rows,
        {f.why: f.rows for t in first.plan.tables if t.label == "dag_run"
         for f in t.fates if f.kind == "dropped"},
        [each.locked_s for each in (first, again, third)], orphans(b.url), errors,
    )  # fmt: skip


def work(at: Running, runs: dict[str, str], *, clash: str, waiting: str) -> None:
    """Let the DAGs run to their ends, but for the task that waits for a triggerer.

    Args:
        runs: of the pipeline: run_id and conf.
    """
    at.wait("SELECT count(*) FROM serialized_dag", lambda dags: dags == 3)
    for run, conf in runs.items():
        at.run("dags", "trigger", "--run-id", run, "--conf", conf, PIPELINE)
    date = "--logical-date" if at.airflow.version.startswith("3.") else "--exec-date"
    at.run("dags", "trigger", "--run-id", clash, date, CLASH_DATE, PIPELINE)
    at.run("dags", "trigger", "--run-id", waiting, WAITING)
    at.wait_for_runs(PIPELINE, len(runs) + 1)
    at.wait("SELECT count(*) FROM task_instance WHERE state = 'deferred'", lambda n: n == 1)
    at.wait(f"SELECT count(*) FROM {kind(at)}_event", lambda n: n > len(runs))
    at.wait(f"SELECT count(*) FROM {kind(at)}_dag_run_queue", lambda n: n == 0)
    at.wait("SELECT count(*) FROM dag_run WHERE state IN ('queued', 'running')", lambda n: n == 1)


def kind(at: Running) -> str:
    return "asset" if at.airflow.version.startswith("3.") else "dataset"


def note(url: str, name: str) -> None:
    """A user who writes notes, on the run that both have and on a task of each."""
    has_users = query(url, "SELECT to_regclass('ab_user') IS NOT NULL")[0][0]
    user = f"'{name}'"
    if has_users:
        [(user,)] = query(
            url, "INSERT INTO ab_user (first_name, last_name, username, email) VALUES "
                 f"('{name}', '', '{name}', '{name}') RETURNING id"
        )  # fmt: skip
    query(
        url, "INSERT INTO dag_run_note (dag_run_id, user_id, content, created_at, updated_at) "
             f"SELECT id, {user}, 'run of {name}', now(), now() FROM dag_run "
             f"WHERE dag_id = '{PIPELINE}' RETURNING 1"
    )  # fmt: skip
    of_task = "dag_id, task_id, run_id, map_index" if has_users else "ti_id"
    values = of_task if has_users else "id"
    query(
        url, f"INSERT INTO task_instance_note ({of_task}, user_id, content, created_at, "
             f"updated_at) SELECT {values}, {user}, 'task of {name}', now(), now() "
             f"FROM task_instance WHERE map_index = 1 RETURNING 1"
    )  # fmt: skip


def go_on(b: Running) -> None:
    """B wakes what waits, makes a new run, and parses its folder again, twice."""
    with b.process("triggerer", "--skip-serve-logs"):
        b.wait_for_runs(WAITING, 2)
    b.run("dags", "trigger", "--run-id", "later", PIPELINE)
    b.wait(
        "SELECT count(*) FROM dag_run WHERE run_id = 'later' AND state = 'success'",
        lambda n: n == 1,
    )
    now = query(b.url, "SELECT clock_timestamp()::text")[0][0]
    for _ in range(2):
        b.wait(f"SELECT min(last_parsed_time) > '{now}' FROM dag", bool)
        now = query(b.url, "SELECT max(last_parsed_time)::text FROM dag")[0][0]


def hangs_on(row: Row, dag: str, *runs: str) -> bool:
    """Whether a row is of one of these runs of a DAG."""
    names = [row.get(c) or "" for c in ("ti_id", "dag_run_id")]
    if "run_id" in row:
        return row["dag_id"] == dag and row["run_id"] in runs
    return any(dag in words and set(runs) & words for words in (set(n.split()) for n in names))


def of_runs(rows: NamedRows, table: str, *runs: str, but: bool = False) -> Counter[str]:
    """What a table holds of these runs of the pipeline, or of all others (but no waiting ones)."""
    return Counter(
        json.dumps(row, sort_keys=True)
        for row in rows.rows(table)
        if hangs_on(row, PIPELINE, *runs) != but
        and not hangs_on(row, WAITING, "waiting_a", "waiting_b")
    )


@pytest.mark.parametrize("table", OF_RUNS)
def test_after_skip_b_has_its_own_runs_and_those_of_a_that_it_lacked(
    story: Story, table: str
) -> None:
    arrived = of_runs(story.a, table, "shared", "clash_a", but=True)
    assert (
        of_runs(story.skipped, table, but=True) == of_runs(story.before, table, but=True) + arrived
    )


@pytest.mark.parametrize("table", OF_RUNS)
def test_after_replace_the_run_that_both_have_is_as_in_a(story: Story, table: str) -> None:
    assert of_runs(story.replaced, table, "shared") == of_runs(story.a, table, "shared")
    others = of_runs(story.skipped, table, "shared", but=True)
    assert of_runs(story.replaced, table, "shared", but=True) == others


@pytest.mark.parametrize("table", OF_ALL)
def test_what_a_did_beside_its_runs_is_in_b_too(story: Story, table: str) -> None:
    lost = story.a.of(table) - story.skipped.of(table)
    assert not lost
    assert not story.before.of(table) - story.skipped.of(table)


def test_a_s_jobs_are_in_b_and_not_b_s_own(story: Story) -> None:
    assert not story.a.of("job") - story.skipped.of("job")


def test_a_run_at_a_date_that_b_has_under_another_name_is_left_out_and_told(story: Story) -> None:
    [(why, runs)] = story.dropped.items()
    assert "date" in why
    assert runs == 1


def test_the_second_time_nothing_is_written(story: Story) -> None:
    assert story.again == 0


def test_b_goes_on_as_if_nothing_had_happened(story: Story) -> None:
    assert story.errors == []
    assert story.orphans == 0
    runs = {row["run_id"]: row["state"] for row in story.end.rows("dag_run")}
    assert runs["later"] == runs["waiting_a"] == runs["waiting_b"] == "success"


def test_b_waits_for_less_than_a_heartbeat(story: Story) -> None:
    assert max(story.locked_s) < 5, story.locked_s


def test_no_dag_has_a_second_version(story: Story) -> None:
    versions = Counter(row["dag_id"] for row in story.end.rows("dag_version"))
    assert set(versions.values()) <= {1}
