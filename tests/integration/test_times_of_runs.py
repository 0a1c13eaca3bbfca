"""Delays, landings and slots of runs that old Airflows, upgrades, clears and sensors left behind.

From snapshots' files to marts: nothing between is handed in.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airkeep.models.query import query
from airkeep.snapshot.lake import Lake
from airkeep.store import open_store
from written_lake import Written

DAY = timedelta(days=1)
BEGIN = datetime(2015, 6, 1)
KEYS = {"dag": ("dag_id",), "task_instance": ("dag_id", "task_id", "run_id", "map_index")}
KINDS: dict[type, pa.DataType] = {
    int: pa.int64(), str: pa.string(), datetime: pa.timestamp("us"),
}  # fmt: skip
Rows = list[dict[str, Any]]


class Tables:
    """One environment of one snapshot."""

    def __init__(self, folder: Path) -> None:
        self._url = str(folder / "lake")

    def save(self, **tables: Rows) -> None:
        Written(open_store(self._url)).save(
            "prod", {name: _table(rows) for name, rows in tables.items()}, keys=KEYS
        )

    def ask(self, sql: str) -> Rows:
        answer: Rows = query(Lake(self._url), sql).to_pylist()
        return answer


@pytest.fixture
def lake(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


def _table(rows: Rows) -> pa.Table:
    kinds = {
        name: KINDS[type(value)] for row in rows for name, value in row.items() if value is not None
    }
    columns = {n: pa.array([row.get(n) for row in rows], kind) for n, kind in kinds.items()}
    return pa.table(columns)


def run(number: int, started_at: datetime, **more: Any) -> dict[str, Any]:
    """A daily run of an hour, as Airflow before 2.2 has it; by default of the day `number`."""
    return {
        "id": number,
        "dag_id": "d",
        "run_id": f"r{number}",
        "run_type": "scheduled",
        "state": "success",
        "execution_date": BEGIN + number * DAY,
        "start_date": started_at,
        "end_date": started_at + timedelta(hours=1),
        **more,
    }


def on_time(number: int, **more: Any) -> dict[str, Any]:
    return run(number, BEGIN + (number + 1) * DAY + timedelta(seconds=3.6), **more)


def interval(number: int) -> dict[str, Any]:
    """What Airflow from 2.2 on says of it."""
    return {
        "data_interval_start": BEGIN + number * DAY,
        "data_interval_end": BEGIN + (number + 1) * DAY,
    }


def test_an_old_run_is_late_since_the_end_of_its_interval(lake: Tables) -> None:
    lake.save(dag_run=[on_time(n) for n in range(4)])

    [found] = lake.ask("SELECT runs, p50_s, worst_s FROM scheduling_delay")

    assert found == {
        "runs": 3,
        "p50_s": 3.6,
        "worst_s": 3.6,
    }  # when the newest was due is not known


def test_no_run_is_due_a_day_later_because_of_an_upgrade(lake: Tables) -> None:
    old, new = [on_time(n) for n in range(3)], [on_time(n, **interval(n)) for n in (3, 4)]
    lake.save(dag_run=[*old, *new])

    due = lake.ask("SELECT due_at FROM scheduled_runs ORDER BY due_at")
    [found] = lake.ask("SELECT runs, worst_s FROM landing_time")

    assert [row["due_at"] for row in due] == [BEGIN + n * DAY for n in range(1, 6)]
    assert found == {"runs": 5, "worst_s": 3603.6}


def test_no_run_is_missed_because_of_an_upgrade(lake: Tables) -> None:
    old, new = [on_time(n) for n in range(3)], [on_time(n, **interval(n)) for n in (3, 4, 6)]
    daily = {"dag_id": "d", "schedule_interval": '"0 0 * * *"'}
    lake.save(dag=[daily], dag_run=[*old, *new])

    [missed] = lake.ask("SELECT due_at FROM missed_runs")

    assert missed == {
        "due_at": BEGIN + 6 * DAY
    }  # the sixth day's, which is the one that is not there


def test_a_cleared_run_is_not_late_by_the_month_until_somebody_cleared_it(lake: Tables) -> None:
    later = BEGIN + 30 * DAY
    lake.save(
        dag_run=[
            on_time(0, clear_number=0, **interval(0)),
            run(1, later, clear_number=1, **interval(1)),
        ]
    )

    assert lake.ask("SELECT runs, worst_s FROM scheduling_delay") == [{"runs": 1, "worst_s": 3.6}]
    assert lake.ask("SELECT runs, worst_s FROM landing_time") == [{"runs": 1, "worst_s": 3603.6}]
    assert lake.ask("SELECT max(late_runs) AS n FROM catchup_backlog") == [{"n": 0}]


def test_a_dag_that_runs_once_is_not_late_since_its_start_date(lake: Tables) -> None:
    start = {"data_interval_start": BEGIN, "data_interval_end": BEGIN}
    lake.save(
        dag=[{"dag_id": "d", "schedule_interval": '"@once"', "timetable_summary": "@once"}],
        dag_run=[run(0, BEGIN + 1000 * DAY, clear_number=0, **start)],
    )

    assert lake.ask("SELECT due_at FROM runs") == [{"due_at": BEGIN}]
    for mart in ("scheduling_delay", "landing_time", "catchup_backlog"):
        assert lake.ask(f"SELECT * FROM {mart}") == []


def instance(try_number: int, began: datetime, ended: datetime, state: str) -> dict[str, Any]:
    return {
        "dag_id": "d", "task_id": "s", "run_id": "r0", "map_index": -1, "state": state,
        "try_number": try_number, "operator": "PythonSensor", "pool": "default_pool",
        "pool_slots": 1, "start_date": began, "end_date": ended,
    }  # fmt: skip


def pokes(try_number: int, began: datetime, *, first_id: int) -> Rows:
    """Two pokes of 18 seconds, one hour apart; the third comes an hour later."""
    hour = timedelta(hours=1)
    return [
        {
            "id": first_id + n, "dag_id": "d", "task_id": "s", "run_id": "r0", "map_index": -1,
            "try_number": try_number, "start_date": began + n * hour,
            "end_date": began + n * hour + timedelta(seconds=18),
            "reschedule_date": began + (n + 1) * hour,
        }
        for n in range(2)
    ]  # fmt: skip


def test_a_sensor_that_failed_loses_its_pokes_and_not_its_waits(lake: Tables) -> None:
    end = BEGIN + timedelta(hours=2, seconds=18)
    lake.save(
        dag_run=[on_time(0)],
        task_instance=[instance(1, BEGIN, end, "failed")],
        task_reschedule=pokes(1, BEGIN, first_id=1),
    )

    [waste] = lake.ask("SELECT all_slot_h, failed_slot_h, waste, retries FROM retry_waste")
    [lost] = lake.ask("SELECT failed_tries, lost_h FROM lost_hours")

    held_h = pytest.approx(3 * 18 / 3600)
    assert waste == {"all_slot_h": held_h, "failed_slot_h": held_h, "waste": 1.0, "retries": 0}
    assert lost == {"failed_tries": 1, "lost_h": held_h}


def test_a_failed_sensor_that_only_task_fail_remembers_waited_too(lake: Tables) -> None:
    end = BEGIN + timedelta(hours=2, seconds=18)
    again = BEGIN + timedelta(hours=5)
    lake.save(
        dag_run=[on_time(0)],
        task_instance=[instance(2, again, again + timedelta(seconds=54), "success")],
        task_fail=[
            {
                "id": 1, "dag_id": "d", "task_id": "s", "run_id": "r0", "map_index": -1,
                "start_date": BEGIN, "end_date": end,
            }
        ],
        task_reschedule=pokes(1, BEGIN, first_id=1),
    )  # fmt: skip

    [waste] = lake.ask("SELECT all_slot_h, failed_slot_h, waste, retries FROM retry_waste")
    [lost] = lake.ask("SELECT failed_tries, lost_h FROM lost_hours")

    held_h = pytest.approx(3 * 18 / 3600)
    assert waste["failed_slot_h"] == held_h
    assert waste["waste"] == pytest.approx(0.5)
    assert waste["retries"] == 1
    assert lost == {"failed_tries": 1, "lost_h": held_h}


def test_a_week_without_runs_leaves_the_week_before_behind(lake: Tables) -> None:
    lake.save(dag_run=[on_time(0, state="failed", **interval(0)), on_time(8, **interval(8))])

    found = lake.ask("SELECT success_rate_7d FROM success_by_dag_day ORDER BY day")

    assert [row["success_rate_7d"] for row in found] == [0.0, 1.0]


def test_a_cluster_is_of_no_pool_where_one_of_its_failures_is_of_an_unknown_one(
    lake: Tables,
) -> None:
    failed = {**instance(1, BEGIN, BEGIN + timedelta(minutes=1), "failed"), "hostname": "h"}
    forgotten = {n: failed[n] for n in ("task_id", "run_id", "map_index", "start_date", "end_date")}
    lake.save(
        dag_run=[on_time(0), on_time(1, dag_id="e"), on_time(2, dag_id="f")],
        task_instance=[failed, {**failed, "dag_id": "e"}],
        task_fail=[{"id": 1, "dag_id": "f", **forgotten}],
    )

    found = lake.ask("SELECT dags, hosts, hostname, pools, pool FROM failure_clusters")

    assert found == [{"dags": 3, "hosts": 1, "hostname": None, "pools": 1, "pool": None}]
