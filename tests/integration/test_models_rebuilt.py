"""What models count where an environment had several databases, whose ids begin at 1 each.

Snapshots are written, not exported: tables of a few columns, as Airflow has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airkeep.lake.connect import connect
from airkeep.models.build import ask
from airkeep.snapshot.lake import Lake
from airkeep.store import open_store
from written_lake import Written

Rows = Sequence[dict[str, Any]]


@pytest.fixture
def lake() -> Written:
    return Written(open_store("memory://"))


def saved(lake: Written, tables: Mapping[str, Rows], key: tuple[str, ...] = ("id",)) -> None:
    """A full snapshot of tables in which everything is a number or a text."""
    lake.save("prod", {n: pa.Table.from_pylist(list(rows)) for n, rows in tables.items()}, key=key)


def asked(lake: Written, folder: Path, question: str) -> list[tuple[Any, ...]]:
    with connect(Lake(lake.store), folder=folder) as opened:
        return list(ask(opened, question, folder).rows())


def run(n: int, run_id: str, **more: Any) -> dict[str, Any]:
    return {"id": n, "dag_id": "a", "run_id": run_id, "state": "success", **more}


def test_a_rebuilt_environment_keeps_its_past(lake: Written, tmp_path: Path) -> None:
    def told(runs: Rows, run_id: str, at: str) -> dict[str, Rows]:
        fail = {"id": 1, "dag_id": "a", "task_id": "t", "run_id": run_id, "map_index": -1}
        return {
            "dag_run": runs,
            "log": [{"id": 1, "event": "trigger", "owner": "o", "dttm": at}],
            "job": [{"id": 1, "job_type": "SchedulerJob", "start_date": at}],
            "task_fail": [{**fail, "start_date": at}],
        }

    before = [run(1, "old"), run(2, "again", state="failed")]
    saved(lake, told(before, "old", "2026-01-01 00:00:00"))
    saved(lake, told([run(1, "again"), run(2, "new")], "new", "2026-02-01 00:00:00"))

    runs = asked(lake, tmp_path, "SELECT run_id, state FROM runs ORDER BY run_id")
    assert runs == [("again", "success"), ("new", "success"), ("old", "success")]
    for model, rows in (("events", 2), ("jobs", 2), ("attempts", 2)):
        assert asked(lake, tmp_path, f"SELECT count(*) FROM {model}") == [(rows,)]


def test_a_restored_environment_counts_once(lake: Written, tmp_path: Path) -> None:
    at = "2026-01-01 00:00:00"
    for _ in range(2):
        saved(
            lake,
            {
                "dag_run": [run(1, "r")],
                "log": [{"id": 1, "event": "e", "dttm": at}],
                "job": [{"id": 1, "job_type": "SchedulerJob", "start_date": at}],
            },
        )

    for model in ("runs", "events", "jobs"):
        assert asked(lake, tmp_path, f"SELECT count(*) FROM {model}") == [(1,)]


def test_a_backup_without_keys_counts_beside_a_snapshot_with_them(
    lake: Written, tmp_path: Path
) -> None:
    saved(lake, {"dag_run": [run(1, "forgotten"), run(2, "kept")]}, key=())
    saved(lake, {"dag_run": [run(2, "kept"), run(3, "newer")]}, key=())
    saved(lake, {"dag_run": [run(3, "newer"), run(4, "newest")]})

    found = asked(lake, tmp_path, "SELECT run_id FROM runs ORDER BY ALL")
    assert [name for (name,) in found] == ["forgotten", "kept", "newer", "newest"]


def test_what_names_a_run_by_its_id_means_that_of_its_own_database(
    lake: Written, tmp_path: Path
) -> None:
    def told(run_id: str, asset: str, at: str, deadline: str, *, skipped: bool) -> dict[str, Rows]:
        reason = {"exception_reason": "in flight"} if skipped else {}
        return {
            "dag_run": [run(5, run_id), run(1, f"{run_id}_2")],
            "asset": [{"id": 7, "name": asset, "uri": asset}],
            "asset_event": [{"id": 3, "asset_id": 7, "timestamp": at}],
            "dagrun_asset_event": [{"id": 3, "dag_run_id": 5, "event_id": 3}],
            "deadline": [{"id": deadline, "dagrun_id": 5, "deadline_time": at}],
            "backfill": [{"id": 1, "dag_id": "a", "created_at": at}],
            "backfill_dag_run": [
                {"id": n, "backfill_id": 1, "dag_run_id": n, **reason}
                for n in range(2 if skipped else 1)
            ],
        }

    old = told("one", "x", "2026-01-01 00:00:00", "d1", skipped=True)
    new = told("two", "y", "2026-02-01 00:00:00", "d2", skipped=False)
    # The run of the old database is there anew under another id, and is none of these.
    new["dag_run"] = [*new["dag_run"], run(9, "one")]
    new["dagrun_asset_event"] = [{"id": 4, "dag_run_id": 1, "event_id": 3}]
    new["backfill_dag_run"] = [{**new["backfill_dag_run"][0], "id": 8}]
    saved(lake, old)
    saved(lake, new)

    fed = asked(lake, tmp_path, "SELECT run_id, asset FROM asset_runs ORDER BY ALL")
    due = asked(lake, tmp_path, "SELECT deadline_id, run_id FROM deadlines ORDER BY ALL")
    filled = asked(lake, tmp_path, "SELECT runs, skipped_runs FROM backfills ORDER BY created_at")

    assert fed == [("one", "x"), ("two_2", "y")]
    assert due == [("d1", "one"), ("d2", "two")]
    assert filled == [(2, 2), (1, 0)]


def test_an_increment_does_not_say_again_whom_its_rows_name(lake: Written, tmp_path: Path) -> None:
    """What was there before an increment has an older snapshot than what names it."""
    at = "2026-01-01 00:00:00"
    later = "2026-02-01 00:00:00"

    def table(rows: Rows, of: Rows | None = None) -> pa.Table:
        schema = pa.Table.from_pylist(list(of or rows)).schema
        return pa.Table.from_pylist(list(rows), schema=schema)

    event = [{"id": 3, "asset_id": 7, "timestamp": at}]
    backfill = [{"id": 1, "dag_id": "a", "created_at": at}]
    asset = [{"id": 7, "name": "x", "uri": "x"}]
    parent = lake.save(
        "prod",
        {
            "dag_run": table([run(5, "one")]),
            "asset": table(asset),
            "asset_event": table(event),
            "backfill": table(backfill),
            "dagrun_asset_event": table([{"dag_run_id": 5, "event_id": 99}]),
            "backfill_dag_run": table([{"id": 1, "backfill_id": 1, "dag_run_id": 5}]),
            "deadline": table([{"id": "d0", "dagrun_id": 99, "deadline_time": at}]),
        },
    )
    lake.save(
        "prod",
        {
            "dag_run": table([run(6, "two")]),
            "asset": table([], asset),
            "asset_event": table([], event),
            "backfill": table([], backfill),
            "dagrun_asset_event": table([{"dag_run_id": 5, "event_id": 3}]),
            "backfill_dag_run": table([{"id": 2, "backfill_id": 1, "dag_run_id": 6}]),
            "deadline": table([{"id": "d1", "dagrun_id": 5, "deadline_time": at}]),
        },
        parent=parent,
    )
    lake.save(
        "prod",
        {
            "dag_run": table([run(5, "made anew")]),
            "asset": table([{"id": 7, "name": "y", "uri": "y"}]),
            "asset_event": table([{"id": 3, "asset_id": 7, "timestamp": later}]),
            "backfill": table([{"id": 1, "dag_id": "b", "created_at": later}]),
            "dagrun_asset_event": table([{"dag_run_id": 5, "event_id": 77}]),
            "backfill_dag_run": table([{"id": 9, "backfill_id": 1, "dag_run_id": 5}]),
            "deadline": table([{"id": "d2", "dagrun_id": 5, "deadline_time": later}]),
        },
    )

    fed = asked(lake, tmp_path, "SELECT run_id, asset FROM asset_runs")
    due = asked(lake, tmp_path, "SELECT deadline_id, run_id FROM deadlines ORDER BY ALL")
    filled = asked(lake, tmp_path, "SELECT dag_id, runs FROM backfills ORDER BY ALL")

    assert fed == [("one", "x")]
    assert due == [("d1", "one"), ("d2", "made anew")]
    assert filled == [("a", 2), ("b", 1)]


def test_what_a_failure_and_an_entry_are_called_by_may_change(
    lake: Written, tmp_path: Path
) -> None:
    """Airflow 2.3 names a failure by its run, not by its date; a backup may lack a log's ids."""
    began, ended = "2026-01-01 00:00:00", "2026-01-01 01:00:00"
    runs = [run(1, "r", execution_date=began)]
    fail = {"id": 1, "dag_id": "a", "task_id": "t", "start_date": began, "end_date": ended}
    entry = {"dttm": began, "event": "e", "dag_id": "a", "owner": "o"}
    saved(lake, {"dag_run": runs, "task_fail": [{**fail, "execution_date": began}], "log": [entry]})
    saved(
        lake,
        {
            "dag_run": runs,
            "task_fail": [{**fail, "run_id": "r", "map_index": -1}],
            "log": [{"id": 4, **entry}],
        },
    )

    assert asked(lake, tmp_path, "SELECT run_id, state FROM attempts") == [("r", "failed")]
    assert asked(lake, tmp_path, "SELECT id FROM events") == [(4,)]
