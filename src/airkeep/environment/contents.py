"""What of a snapshot a journey must know: its DAGs, and a run that proves a restore."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airkeep.snapshot.fold import fold
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.read import SnapshotReader

_NEEDED = ("dag_id", "run_id", "start_date")


@dataclass(frozen=True)
class Run:
    """A run of a DAG."""

    dag_id: str
    run_id: str
    started: datetime


def dags(snapshot: Snapshot, *, spool: Path | None = None) -> frozenset[str]:
    """Every DAG that it has."""
    found: set[str] = set()
    with private_folder(spool) as folder, SnapshotReader(snapshot, folder=folder) as reader:
        for batch in reader.batches("dag"):
            found.update(batch.column("dag_id").to_pylist())
    return frozenset(found)


def newest_run(snapshot: Snapshot, *, spool: Path | None = None) -> Run | None:
    """The run that began last; None where no run has begun."""
    entry = snapshot.manifest.table("dag_run")
    if entry is None or not entry.rows:
        return None
    if not {c.name for c in entry.columns}.issuperset(_NEEDED):
        return None
    with private_folder(spool) as folder, SnapshotReader(snapshot, folder=folder) as reader:
        rows = fold(reader.fetch(entry.label), _NEEDED)
        newest = (
            f"SELECT dag_id, run_id, start_date FROM ({rows}) "
            f"WHERE start_date IS NOT NULL ORDER BY start_date DESC, dag_id, run_id LIMIT 1"
        )
        found = reader.arrow(newest, doing="looking for its newest run").read_all().to_pylist()
    return next((Run(r["dag_id"], r["run_id"], r["start_date"]) for r in found), None)
