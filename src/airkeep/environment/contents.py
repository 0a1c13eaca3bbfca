"""What of a snapshot a journey must know: its DAGs, how they begin, a run that proves a restore."""

from __future__ import annotations

from pathlib import Path

from airkeep.snapshot.fold import fold
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import DagRunEntry
from airkeep.snapshot.read import SnapshotReader

_NEEDED = ("dag_id", "run_id", "start_date")
_ACTIVE = '"is_paused_upon_creation": false'  # as Airflow writes it, 1.10 to 3.3


def dags(snapshot: Snapshot, *, spool: Path | None = None) -> frozenset[str]:
    """Every DAG that it has."""
    found: set[str] = set()
    with private_folder(spool) as folder, SnapshotReader(snapshot, folder=folder) as reader:
        for batch in reader.batches("dag"):
            found.update(batch.column("dag_id").to_pylist())
    return frozenset(found)


def begins_active(snapshot: Snapshot, *, spool: Path | None = None) -> bool:
    """Whether a DAG says that it is not paused when it is created, or may: its form is packed."""
    entry = snapshot.manifest.table("serialized_dag")
    if entry is None or not entry.rows or "data" not in {c.name for c in entry.columns}:
        return False
    with private_folder(spool) as folder, SnapshotReader(snapshot, folder=folder) as reader:
        rows = fold(reader.fetch(entry.label), ("data",))
        such = (
            f"SELECT 1 AS one FROM ({rows}) WHERE data IS NULL "
            f"OR CAST(data AS VARCHAR) LIKE '%{_ACTIVE}%' LIMIT 1"
        )
        found = reader.arrow(such, doing="looking for DAGs that begin unpaused").read_all()
    return bool(found.num_rows)


def newest_run(snapshot: Snapshot, *, spool: Path | None = None) -> DagRunEntry | None:
    """The run that began last; None where no run has begun."""
    entry = snapshot.manifest.table("dag_run")
    if entry is None or not entry.rows:
        return None
    if not {c.name for c in entry.columns}.issuperset(_NEEDED):
        return None
    with private_folder(spool) as folder, SnapshotReader(snapshot, folder=folder) as reader:
        rows = fold(reader.fetch(entry.label), _NEEDED)
        newest = (
            f"SELECT dag_id, run_id FROM ({rows}) "
            f"WHERE start_date IS NOT NULL ORDER BY start_date DESC, dag_id, run_id LIMIT 1"
        )
        found = reader.arrow(newest, doing="looking for its newest run").read_all().to_pylist()
    return next((DagRunEntry(r["dag_id"], r["run_id"]) for r in found), None)
