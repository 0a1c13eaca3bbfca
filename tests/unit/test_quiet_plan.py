"""Which DAGs wake how: decided from one row a DAG, with every schedule's own text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_schemas import ALL, columns_of, database
from airkeep.errors import ConfigError
from airkeep.restore.quiet import Dag, plan_quiet, quiet_question, read_dags
from airkeep.restore.quiet_sql import past_question, quiet_statements
from airkeep.restore.statements import Dialect

NOW = datetime(2026, 11, 22, 15, 20, 30, tzinfo=UTC)
THEN = datetime(2026, 11, 19, 13, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def dag(name: str = "d", schedule: str = "0 * * * *", **more: object) -> Dag:
    given: dict[str, object] = {
        "root": name, "is_paused": False, "partitioned": False, "due": THEN + HOUR, "begins": THEN,
        "ends": THEN + HOUR, "last_run_id": "last", "last_logical": THEN - HOUR, "last_end": THEN,
    }  # fmt: skip
    return Dag(dag_id=name, schedule=schedule, **{**given, **more})  # type: ignore[arg-type]


def test_a_run_that_fell_due_is_slept_through_from_the_last_ones_end_to_now() -> None:
    [slept] = plan_quiet([dag()], now=NOW).sleeps

    assert (slept.start, slept.end) == (THEN, NOW)
    assert slept.logical == THEN - HOUR + timedelta(microseconds=1), "the newest, and before others"


@pytest.mark.parametrize("due", [None, NOW + timedelta(seconds=1)])
def test_nothing_is_added_where_nothing_fell_due(due: datetime | None) -> None:
    assert not plan_quiet([dag(due=due)], now=NOW).sleeps


@pytest.mark.parametrize(
    "schedule", ["1:00:00", '{"type": "timedelta", "attrs": {"days": 0, "seconds": 3600}}']
)
def test_a_timedelta_keeps_its_beat(schedule: str) -> None:
    since = THEN + timedelta(minutes=7, seconds=3)
    [slept] = plan_quiet([dag(schedule=schedule, last_end=since)], now=NOW).sleeps

    assert NOW - HOUR < slept.end <= NOW
    assert (slept.end - since) % HOUR == timedelta(0)


def test_a_timetable_of_somebodys_own_finds_a_last_interval_of_its_own_length() -> None:
    [slept] = plan_quiet([dag(schedule="AfterWorkdayTimetable")], now=NOW).sleeps

    assert (slept.start, slept.end) == (NOW - HOUR, NOW)


@pytest.mark.parametrize("schedule", ["@daily", '"@daily"', "0 0 * * 1-5", '"*/5 8,9 * * * *"'])
def test_a_cron_schedule_is_known_in_both_majors_spelling(schedule: str) -> None:
    assert plan_quiet([dag(schedule=schedule)], now=NOW).sleeps[0].start == THEN


@pytest.mark.parametrize("schedule", ["@once", '"@once"'])
def test_a_dag_that_runs_once_still_does(schedule: str) -> None:
    assert not plan_quiet([dag(schedule=schedule)], now=NOW).sleeps


def test_the_first_run_of_all_is_slept_through_as_well() -> None:
    never = dag(last_run_id=None, last_logical=None, last_end=None)
    [slept] = plan_quiet([never], now=NOW).sleeps

    assert (slept.start, slept.end, slept.after) == (THEN, NOW, None)


def test_exactly_the_named_dags_are_active_and_only_theirs_is_slept_through() -> None:
    dags = [dag("a"), dag("b", is_paused=True), dag("b.sub", root="b", is_paused=True), dag("c")]
    plan = plan_quiet(dags, now=NOW, active=["b"])

    assert plan.active == ("b", "b.sub")
    assert [s.dag_id for s in plan.sleeps] == ["b", "b.sub"]
    assert plan_quiet(dags, now=NOW, active=[]).active == ()


def test_dags_that_the_snapshot_does_not_have_are_refused_by_name() -> None:
    said = r"--active dialy \(did you mean daily\?\), zzz: the snapshot has no such DAG"
    with pytest.raises(ConfigError, match=said):
        plan_quiet([dag("daily")], now=NOW, active=["dialy", "daily", "zzz"])


def test_what_cannot_be_kept_from_catching_up_is_named() -> None:
    plan = plan_quiet([dag("old", ends=None), dag("parts", partitioned=True)], now=NOW)

    assert not plan.sleeps
    assert "old, parts: runs were due" in plan.notes()[0]
    assert not plan_quiet([dag("old", ends=None)], now=NOW, missed_runs="make").notes()


@pytest.mark.parametrize("version", ALL)
def test_every_version_is_asked_and_written_by_the_columns_it_has(version: str) -> None:
    db, columns = database(version), columns_of(version)
    wanted = {
        "dag_id": "d", "is_paused": 0, "next_dagrun": str(THEN), "next_dagrun_create_after":
        str(THEN + HOUR), "next_dagrun_data_interval_start": str(THEN),
        "next_dagrun_data_interval_end": str(THEN + HOUR), "schedule_interval": '"0 * * * *"',
    }  # fmt: skip
    row = {n: v for n, v in wanted.items() if n in columns["dag"]}
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO dag ({', '.join(row)}) VALUES ({marks})", list(row.values()))

    question = quiet_question(columns, lambda table: table)
    assert question is not None
    plan = plan_quiet(read_dags(db.execute(question).fetchall()), now=NOW, active=["d"])
    past = past_question(columns, lambda table: table)
    assert past is None or db.execute(past).fetchall() == []
    for statement in quiet_statements(
        plan, columns, lambda table: table, dialect=Dialect("sqlite")
    ):
        db.execute(statement.sql)

    slept = db.execute("SELECT run_id, state FROM dag_run").fetchall()
    has_intervals = "next_dagrun_data_interval_end" in columns["dag"]
    assert len(slept) == has_intervals
    assert all("asleep" in run and state == "failed" for run, state in slept)
    if has_intervals:
        [(due,)] = db.execute("SELECT next_dagrun_create_after FROM dag").fetchall()
        assert due is None


def test_a_dag_that_is_going_already_has_slept_through_nothing() -> None:
    plan = plan_quiet([dag("a"), dag("b")], now=NOW, going=["a"])

    assert plan.active == ("a", "b")
    assert [s.dag_id for s in plan.sleeps] == ["b"]
