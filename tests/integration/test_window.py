"""`--since` end to end: the runs of the window with all that hangs on them, none dangling."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import airkeep
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.read import SnapshotReader
from compare import data_of
from servers import Databases, query

CHILDREN = {
    "airflow-263": ("task_instance", "xcom", "rendered_task_instance_fields"),
    "airflow-2112": ("task_instance", "xcom", "task_instance_history"),
    "airflow-332": ("task_instance", "xcom", "task_instance_history"),
}


@pytest.mark.parametrize("name", CHILDREN)
def test_a_window_holds_its_runs_whole_and_restores_with_every_reference(
    name: str, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.airflow(name), databases.empty()
    age(source)
    lake = str(tmp_path / "lake")
    cutoff = datetime(2020, 1, 1, tzinfo=UTC)
    found = airkeep.export(source, lake, environment="e", since=cutoff)
    assert not found.manifest.complete
    assert found.manifest.window is not None

    runs = {(r["dag_id"], r["run_id"]) for r in rows(found, "dag_run", tmp_path)}
    every = set(query(source, "SELECT dag_id, run_id FROM dag_run"))
    assert runs == every - old_runs(source)
    assert 0 < len(runs) < len(every)
    for table in CHILDREN[name]:
        kept = {(r["dag_id"], r["run_id"]) for r in rows(found, table, tmp_path)}
        assert kept <= runs, table
        count = len(rows(found, table, tmp_path))
        listed = ", ".join(f"('{d}', '{r}')" for d, r in sorted(runs))
        asked = f"SELECT 1 FROM {table} WHERE (dag_id, run_id) IN (VALUES {listed})"
        assert count == len(query(source, asked)), table

    # Every foreign key is built again at the end: nothing dangles.
    airkeep.restore(lake, found, target, create_schema=True)
    assert len(data_of(target)["dag_run"]) == len(runs)


def age(source: str) -> None:
    """Move every second run, with all its dates, twenty years back."""
    dates = [
        name
        for (name,) in query(
            source,
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'dag_run' "
            "AND data_type LIKE 'timestamp%'",
        )
    ]
    moved = ", ".join(f"{d} = {d} - interval '20 years'" for d in dates)
    query(
        source,
        f"UPDATE dag_run SET {moved} WHERE id % 2 = 0 AND state IN ('success', 'failed')",
    )


def old_runs(source: str) -> set[tuple[str, str]]:
    asked = "SELECT dag_id, run_id FROM dag_run WHERE start_date < '2020-01-01'"
    return {(d, r) for d, r in query(source, asked)}


def rows(snapshot: Snapshot, table: str, folder: Path) -> list[dict[str, object]]:
    with SnapshotReader(snapshot, folder=folder) as reader:
        return [row for batch in reader.batches(table) for row in batch.to_pylist()]
