"""What is read of serialized DAGs: every shape that Airflow gave them since 1.10."""

from __future__ import annotations

import json
import zlib
from datetime import datetime
from typing import Any

import pytest

from airkeep.models.serialized import MOST_BYTES, schedules, task_edges, task_slas

SINCE = datetime(2026, 11, 1)


def row(dag: Any, **values: Any) -> dict[str, Any]:
    return {
        "environment": "prod",
        "dag_id": "a",
        "dag_version_id": None,
        "dag_hash": "h",
        "created_at": None,
        "last_updated": SINCE,
        "data": json.dumps({"__version": 1, "dag": dag}),
        "data_compressed": None,
        **values,
    }


def edges(serialized: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(task, downstream) for *_, task, downstream in task_edges([serialized])]


OLD = {
    "_dag_id": "a",
    "tasks": [
        {"task_id": "x", "_downstream_task_ids": ["z", "y"]},
        {"task_id": "y", "_downstream_task_ids": {"__type": "set", "__var": ["z"]}},
        {"task_id": "z", "_downstream_task_ids": []},
    ],
}
NEW = {
    "dag_id": "a",
    "tasks": [
        {"__type": "operator", "__var": {"task_id": "x", "downstream_task_ids": ["y", "z"]}},
        {"__type": "operator", "__var": {"task_id": "y", "downstream_task_ids": ["z"]}},
        {"__type": "operator", "__var": {"task_id": "z"}},
    ],
}
EDGES = [("x", "y"), ("x", "z"), ("y", "z"), ("z", None)]


@pytest.mark.parametrize("dag", [OLD, NEW], ids=["1.10", "3"])
def test_tasks_and_their_order_are_read_of_every_shape(dag: dict[str, Any]) -> None:
    assert edges(row(dag)) == EDGES


def test_a_compressed_dag_is_read_alike() -> None:
    packed = zlib.compress(json.dumps({"dag": NEW}).encode())
    assert edges(row(None, data=None, data_compressed=packed)) == EDGES


@pytest.mark.parametrize(
    "values",
    [
        {"data": None},
        {"data": "{"},
        {"data": "[]"},
        {"data": '{"dag": 3}'},
        {"data": '{"dag": {"tasks": [3, {"__var": 3}, {"task_id": null}]}}'},
        {"data_compressed": b"no zlib"},
        {"data": None, "data_compressed": zlib.compress(b"\xff")},
    ],
)
def test_what_cannot_be_read_gives_no_rows(values: dict[str, Any]) -> None:
    assert edges(row({}, **values)) == []


def test_what_unpacks_to_more_than_any_dag_has_gives_no_rows() -> None:
    packer, blanks = zlib.compressobj(), b" " * (1 << 20)
    parts = [packer.compress(json.dumps({"dag": NEW}).encode())]
    parts += [packer.compress(blanks) for _ in range(MOST_BYTES >> 20)]
    packed = b"".join([*parts, packer.flush()])
    assert len(packed) < 1 << 20
    assert edges(row(None, data=None, data_compressed=packed)) == []
    cut_off = zlib.compress(json.dumps({"dag": NEW}).encode())[:-1]
    assert edges(row(None, data=None, data_compressed=cut_off)) == []


def test_a_version_is_named_and_dated() -> None:
    old = next(task_edges([row(NEW)]))
    new = next(task_edges([row(NEW, dag_version_id="v", created_at=datetime(2026, 10, 1))]))
    assert old[:5] == ("prod", "a", None, "h", SINCE)
    assert new[:5] == ("prod", "a", "v", "h", datetime(2026, 10, 1))


def timetable(name: str, **values: Any) -> dict[str, Any]:
    return {"timetable": {"__type": f"airflow.timetables.{name}", "__var": values}}


DAY = {"__type": "timedelta", "__var": 86400.0}
NIGHTLY = ("cron", "0 0 * * *", "Europe/Berlin", None)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"schedule_interval": None}, ("none", None, None, None)),
        ({}, ("none", None, None, None)),
        ({"schedule_interval": "@daily"}, NIGHTLY),
        ({"schedule_interval": "@once"}, ("once", None, None, None)),
        ({"schedule_interval": "@continuous"}, ("continuous", None, None, None)),
        ({"schedule_interval": "0 0 * * *"}, NIGHTLY),
        ({"schedule_interval": DAY}, ("delta", None, None, 86400.0)),
        ({"schedule_interval": {"__type": "relativedelta", "__var": {"months": 1}}},
         ("other", None, None, None)),
        (timetable("simple.NullTimetable"), ("none", None, None, None)),
        (timetable("simple.OnceTimetable"), ("once", None, None, None)),
        (timetable("simple.DatasetTriggeredTimetable"), ("asset", None, None, None)),
        (timetable("interval.CronDataIntervalTimetable", expression="0 0 * * *",
                   timezone="Europe/Berlin"), NIGHTLY),
        (timetable("trigger.CronTriggerTimetable", expression="@hourly", timezone="UTC"),
         ("cron", "0 * * * *", "UTC", None)),
        (timetable("trigger.DeltaTriggerTimetable", delta=120.0, interval=0.0),
         ("delta", None, None, 120.0)),
        (timetable("interval.DeltaDataIntervalTimetable", delta=DAY),
         ("delta", None, None, 86400.0)),
        (timetable("trigger.MultipleCronTriggerTimetable", timetables=[
            timetable("trigger.CronTriggerTimetable", expression="0 6 * * *")["timetable"],
            timetable("trigger.CronTriggerTimetable", expression="0 3 * * *")["timetable"],
        ]), ("cron", "0 3 * * * | 0 6 * * *", "Europe/Berlin", None)),
        (timetable("assets.AssetOrTimeSchedule", timetable=timetable(
            "trigger.CronTriggerTimetable", expression="0 0 * * *")["timetable"]), NIGHTLY),
        (timetable("events.EventsTimetable", event_dates=[]), ("other", None, None, None)),
        ({"timetable": {"__type": "mine.Workdays", "__var": {}}}, ("other", None, None, None)),
        ({"timetable": 3}, ("other", None, None, None)),
        ({"schedule_interval": {"type": "timedelta", "attrs": {"days": "x"}}},
         ("other", None, None, None)),
        ({"schedule_interval": "@daily", "end_date": 1e18}, NIGHTLY),
    ],
)  # fmt: skip
def test_a_schedule_is_read_of_every_shape(said: dict[str, Any], expected: tuple[Any, ...]) -> None:
    [found] = schedules([row({"timezone": "Europe/Berlin", **said})], [])
    assert found[5:9] == expected


@pytest.mark.parametrize(
    ("dag", "expected"),
    [
        ({"_dag_id": "a", "schedule_interval": "@daily"}, True),  # Airflow 2 leaves its default out
        ({"_dag_id": "a", "catchup": False}, False),
        ({"dag_id": "a", **timetable("simple.NullTimetable")}, False),
        ({"dag_id": "a", "catchup": True, **timetable("simple.NullTimetable")}, True),
    ],
)
def test_whether_missed_times_are_caught_up(dag: dict[str, Any], expected: bool) -> None:
    [found] = schedules([row(dag)], [])
    assert found[9] is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("@daily", ("cron", "0 0 * * *", "UTC", None)),
        ('"@daily"', ("cron", "0 0 * * *", "UTC", None)),
        ('{"type": "timedelta", "attrs": {"days": 1, "seconds": 30}}',
         ("delta", None, None, 86430.0)),
        (None, ("none", None, None, None)),
        ("null", ("none", None, None, None)),
    ],
)  # fmt: skip
def test_a_dag_that_was_never_serialized_is_read_from_its_own_row(
    said: str | None, expected: tuple[Any, ...]
) -> None:
    dags = [{"environment": "prod", "dag_id": n, "schedule_interval": said} for n in ("a", "b")]
    serialized, own = schedules([row({"end_date": 1793491200.0})], dags)
    assert serialized[1] == "a"
    assert serialized[10] == datetime(2026, 11, 1)
    assert own[1] == "b"
    assert own[5:9] == expected


def test_slas_are_seconds() -> None:
    tasks = [{"task_id": "x", "sla": 60.0}, {"task_id": "y", "sla": DAY}, {"task_id": "z"}]
    found = [(task, sla) for *_, task, sla in task_slas([row({"tasks": tasks})])]
    assert found == [("x", 60.0), ("y", 86400.0), ("z", None)]
