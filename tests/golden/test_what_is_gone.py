"""What a lake saw and what is there no more, from snapshots to answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import airkeep
from airkeep.lake.columns import arrow_type
from airkeep.models.query import query
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.manifest import Manifest
from airkeep.snapshot.names import id_time
from airkeep.store.local import LocalStore
from grid import parse
from written_lake import Written

# Snapshots are of 2015; each is an hour later than the one before.
KEYS = {
    "dag": ("dag_id",),
    "dag_tag": ("name", "dag_id"),
    "task_instance": ("dag_id", "task_id", "run_id", "map_index"),
}
Ask = Callable[[str], list[tuple[Any, ...]]]


class Saved(Written):
    """Snapshots of tables that are written as text."""

    def text(self, text: str, *, deleted: str = "", **options: Any) -> Manifest:
        return self.save("prod", _tables(text), deleted=_tables(deleted), keys=KEYS, **options)


def _tables(text: str) -> dict[str, pa.Table]:
    return {
        name: pa.Table.from_pylist(
            list(grid.rows), schema=pa.schema([(n, arrow_type(k)) for n, k in grid.kinds.items()])
        )
        for name, grid in parse(text).items()
    }


@pytest.fixture
def lake(tmp_path: Path) -> Saved:
    (tmp_path / "lake").mkdir()
    return Saved(LocalStore(tmp_path / "lake"))


@pytest.fixture
def ask(lake: Saved) -> Ask:
    def rows(statement: str) -> list[tuple[Any, ...]]:
        found = query(Lake(lake.store), statement)
        return sorted((tuple(row.values()) for row in found.to_pylist()), key=str)

    return rows


RUNS = """
== dag_run
id      | dag_id | run_id | run_type  | state   | start_date       | end_date
integer | text   | text   | text      | text    | instant          | instant
"""
GOING = "1 | d | r | scheduled | running | 2015-06-01 00:00 | -\n"
LONGER = "2 | e | r | scheduled | running | 2015-06-01 01:00 | -\n"
ENDED = "3 | e | s | scheduled | success | 2015-06-04 00:00 | 2015-06-04 01:00\n"
TASKS = """
== task_instance
dag_id | task_id | run_id | map_index | state   | try_number | start_date
text   | text    | text   | integer   | text    | integer    | instant
"""
STUCK = "SELECT dag_id, run_id, unfinished_tasks, why FROM stuck_runs"
ZOMBIES = "SELECT dag_id, task_id, map_index, why FROM zombies"


def test_a_run_that_was_deleted_is_not_stuck(lake: Saved, ask: Ask) -> None:
    first = lake.text(RUNS + GOING + LONGER + ENDED)
    assert [row[0] for row in ask(STUCK)] == ["d", "e"]
    lake.text(RUNS + LONGER + ENDED)
    assert [row[0] for row in ask(STUCK)] == ["e"]
    del first


def test_a_run_that_an_increment_deletes_is_not_stuck(lake: Saved, ask: Ask) -> None:
    first = lake.text(RUNS + GOING + LONGER + ENDED)
    lake.text(RUNS + ENDED, deleted="== dag_run\nid\ninteger\n1", parent=first)
    assert [row[0] for row in ask(STUCK)] == ["e"]


def test_a_run_that_a_window_leaves_out_may_still_be_stuck(lake: Saved, ask: Ask) -> None:
    lake.text(RUNS + GOING + ENDED)
    lake.text(RUNS + ENDED, window="start_date >= 2015-06-02")
    assert [row[0] for row in ask(STUCK)] == ["d"]


def test_a_task_that_was_deleted_is_no_zombie(lake: Saved, ask: Ask) -> None:
    there = "d | there | r | -1 | running | 1 | 2015-06-01 00:00\n"
    gone = "d | gone  | r | -1 | running | 1 | 2015-06-01 00:00\n"
    lake.text(RUNS + ENDED + TASKS + there + gone)
    lake.text(RUNS + ENDED + TASKS + there)
    assert ask(ZOMBIES) == [("d", "there", -1, "silent")]


def test_a_task_that_was_expanded_keeps_no_run_waiting(lake: Saved, ask: Ask) -> None:
    lake.text(RUNS + GOING + ENDED + TASKS + "d | t | r | -1 | - | 0 | -\n")
    lake.text(RUNS + GOING + ENDED + TASKS + "d | t | r | 0 | queued | 1 | -\n")
    assert ask(STUCK) == [("d", "r", 1, "queued")]


DAGS = """
== dag
dag_id | schedule_interval | last_parsed_time
text   | text              | instant
"""
DUE_RUNS = RUNS.replace("end_date", "end_date | run_after").replace(
    "instant\n", "instant | instant\n"
)
HOURS = [datetime(2015, 6, 1) + timedelta(hours=n) for n in range(48)]
_ids = count(1)
EVERY_HOUR = '"0 * * * *"'
STALE = "SELECT dag_id FROM stale_dags"


def due(dag: str, *times: datetime) -> str:
    """Runs that started when they were due."""
    rows = (
        f"{next(_ids)} | {dag} | {at} | scheduled | success | {at} | {at} | {at}\n" for at in times
    )
    return "".join(rows)


def dags(**parsed_at: datetime | str) -> str:
    return DAGS + "".join(f"{d} | {EVERY_HOUR} | {at}\n" for d, at in parsed_at.items())


def test_a_dag_that_is_gone_is_not_stale_until_it_is_there_again(lake: Saved, ask: Ask) -> None:
    lake.text(dags(a="-", b="-"))
    lake.text(dags(a="-"))
    assert ask(STALE) == [("a",)]
    assert ask("SELECT dag_id FROM dags WHERE gone_at IS NOT NULL") == [("b",)]
    lake.text(dags(a="-", b="-"))
    assert ask(STALE) == [("a",), ("b",)]


def test_a_dag_that_is_gone_misses_no_run_after_its_last_parsing(lake: Saved, ask: Ask) -> None:
    parsed = HOURS[3] + timedelta(minutes=30)
    runs = due("a", *HOURS[:30]) + due("gone", *HOURS[:3])
    lake.text(dags(a=parsed, gone=parsed) + DUE_RUNS + runs)
    missed = "SELECT dag_id, due_at FROM missed_runs"
    assert len(ask(missed)) == 26
    lake.text(dags(a=parsed) + DUE_RUNS + runs)
    assert ask(missed) == [("gone", HOURS[3])]


def test_a_dag_without_a_time_of_parsing_was_to_run_until_it_was_gone(
    lake: Saved, ask: Ask
) -> None:
    runs = due("a", *HOURS[:3]) + due("gone", *HOURS[:3])
    lake.text(dags(a="-", gone="-") + DUE_RUNS + runs)
    without = lake.text(dags(a="-") + DUE_RUNS + runs)
    gone_at = id_time(without.id).replace(tzinfo=None)
    lake.text(dags(a="-") + DUE_RUNS + runs + due("a", gone_at + timedelta(minutes=30)))
    assert ask("SELECT until_at FROM schedule_spans WHERE dag_id = 'gone'") == [(gone_at,)]


def test_no_run_waits_for_one_that_was_deleted(lake: Saved, ask: Ask) -> None:
    parsed = HOURS[12] + timedelta(minutes=30)
    runs = due("a", *HOURS[:6], *HOURS[7:10])
    going = f"999 | a | by_hand | manual | running | {HOURS[2]} | - | -\n"
    lake.text(dags(a=parsed) + DUE_RUNS + runs + going)
    why = f"SELECT why FROM missed_runs WHERE due_at = TIMESTAMP '{HOURS[6]}'"
    assert ask(why) == [("earlier run",)]
    lake.text(dags(a=parsed) + DUE_RUNS + runs)
    assert ask(why) == [("unknown",)]


def test_a_run_that_was_deleted_before_it_began_is_in_no_backlog(lake: Saved, ask: Ask) -> None:
    runs = due("a", *HOURS[:3], HOURS[9])
    queued = f"999 | a | queued | scheduled | queued | - | - | {HOURS[5]}\n"
    late = "SELECT sum(late_runs) FROM catchup_backlog"
    lake.text(DUE_RUNS + runs + queued)
    assert ask(late) == [(1,)]
    lake.text(DUE_RUNS + runs)
    assert ask(late) == [(0,)]


POOLS = """
== slot_pool
id      | pool | slots
integer | text | integer
"""
TAGS = """
== dag_tag
name | dag_id
text | text
"""
TRIES = TASKS.replace("start_date", "start_date | end_date").replace("instant", "instant | instant")


def test_a_pool_that_is_gone_is_no_limit(lake: Saved, ask: Ask) -> None:
    ran = "d | t | r | -1 | success | 1 | 2015-06-01 00:00:10 | 2015-06-01 00:00:20\n"
    lake.text(POOLS + "1 | default_pool | 8\n2 | old | 50\n" + TRIES + ran)
    lake.text(POOLS + "1 | default_pool | 8\n" + TRIES + ran)
    assert ask("SELECT slot_limit FROM concurrency_by_minute") == [(8,)]


def test_hours_go_to_tags_that_a_dag_has_or_had_when_it_went(lake: Saved, ask: Ask) -> None:
    ran = "".join(
        f"{dag} | t | r | -1 | success | 1 | 2015-06-01 00:00 | 2015-06-01 01:00\n"
        for dag in ("a", "b", "gone")
    )
    tags = "old | a\nkept | a\nold | b\n"
    lake.text(dags(a="-", b="-", gone="-") + TAGS + tags + "last | gone\n" + TRIES + ran)
    lake.text(dags(a="-", b="-") + TAGS + "kept | a\n" + TRIES + ran)
    assert ask("SELECT tag FROM slot_hours_by_tag") == [("",), ("kept",), ("last",)]


JOBS = """
== job
id      | job_type | state | start_date | latest_heartbeat
integer | text     | text  | instant    | instant
"""


def test_an_environment_that_is_dead_has_no_gap_until_its_copy_was_saved(
    lake: Saved, ask: Ask
) -> None:
    jobs = "1 | SchedulerJob | running | 2010-01-01 00:00 | 2010-01-02 00:00\n"
    lake.text(JOBS + jobs)
    assert ask("SELECT * FROM heartbeat_gaps") == []
    lake.text(JOBS + jobs + "2 | TriggererJob | running | 2010-01-01 00:00 | 2010-01-02 00:10\n")
    assert ask("SELECT job_type, ended_at, gap_s FROM heartbeat_gaps") == [
        ("SchedulerJob", None, 600.0)
    ]


def test_a_start_in_the_future_is_believed_nowhere(lake: Saved, ask: Ask) -> None:
    runs = due("a", HOURS[0], datetime(2041, 1, 1)) + due("b", HOURS[24])
    lake.text(dags(a="-", b="-") + DUE_RUNS + runs)
    assert ask("SELECT dag_id, runs, last_started_at FROM dag_week") == [
        ("a", 1, HOURS[0]), ("b", 1, HOURS[24]),
    ]  # fmt: skip
    assert ask("SELECT dag_id, runs, idle_d FROM stale_dags") == [("a", 2, 1.0), ("b", 1, 0.0)]
    assert ask("SELECT alive_at FROM environments") == [(HOURS[24],)]


def test_a_table_that_is_saved_in_windows_now_keeps_its_size(lake: Saved, ask: Ask) -> None:
    lake.text(RUNS + GOING + LONGER + JOBS)
    lake.text(RUNS + ENDED + JOBS, window="start_date >= 2015-06-02", windowed=["dag_run"])
    assert ask("SELECT table_name, rows FROM table_growth") == [("dag_run", 2), ("job", 0)]
    lake.text(RUNS + ENDED)
    assert ask("SELECT table_name, rows FROM table_growth") == [("dag_run", 1)]


CLEANED = "id,dag_id,run_id,run_type,state,start_date,end_date\n"


def archive(lake: Saved, folder: Path, after: Manifest, rows: str) -> datetime:
    """Adopt what `airflow db export-archived` writes of runs deleted half an hour later."""
    at = id_time(after.id) + timedelta(minutes=30)
    at = at.replace(microsecond=0)
    folder.mkdir()
    file = folder / f"_airflow_deleted__dag_run__{at:%Y%m%d%H%M%S}.csv"
    file.write_text(CLEANED + rows, encoding="utf-8")
    airkeep.adopt(folder, Lake(lake.store), environment="prod")
    return at.replace(tzinfo=None)


def test_a_run_of_an_archive_is_known_and_not_there(lake: Saved, ask: Ask, tmp_path: Path) -> None:
    first = lake.text(RUNS + LONGER + ENDED)
    began = id_time(first.id).replace(tzinfo=None)
    seen = "2,e,r,scheduled,running,2015-06-01 01:00:00+00:00,\n"
    never_seen = "9,x,r,scheduled,success,2015-05-01 00:00:00+00:00,2015-05-01 01:00:00+00:00\n"
    at = archive(lake, tmp_path / "old", first, seen + never_seen)

    assert ask("SELECT id FROM dag_run") == [(3,)]
    assert ask("SELECT id, valid_from, valid_to FROM dag_run_history") == [
        (2, began, at), (3, began, None), (9, at, at),
    ]  # fmt: skip
    assert ask("SELECT dag_id, run_id FROM runs") == [("e", "r"), ("e", "s"), ("x", "r")]
    assert ask("SELECT * FROM unfinished_runs") == []
    lake.text(RUNS + ENDED)
    assert ask("SELECT id FROM dag_run") == [(3,)]
    assert ask("SELECT id FROM dag_run_history WHERE valid_to IS NULL") == [(3,)]


def test_archives_alone_leave_no_row_that_is_there(lake: Saved, ask: Ask, tmp_path: Path) -> None:
    none = lake.text(DAGS)
    archive(lake, tmp_path / "old", none, "9,x,r,scheduled,running,2015-05-01 00:00:00+00:00,\n")
    assert ask("SELECT * FROM dag_run") == []
    assert ask("SELECT dag_id FROM runs") == [("x",)]
    assert ask(STUCK) == []
