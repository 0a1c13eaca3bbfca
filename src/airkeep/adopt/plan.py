"""What an adoption would make, as data: the plan that a dry run prints."""

from __future__ import annotations

from dataclasses import dataclass

from airkeep.adopt.layouts import Backup
from airkeep.snapshot import names
from airkeep.snapshot.names import SnapshotName


@dataclass(frozen=True)
class PlannedTable:
    """A table that a snapshot would have.

    Attributes:
        rows: as the backup counts them; None where only reading its files would tell.
        window: which rows the tool took, in words; None for all.
    """

    label: str
    rows: int | None
    files: tuple[str, ...]
    window: str | None


@dataclass(frozen=True)
class PlannedSnapshot:
    """A snapshot that would be made.

    Attributes:
        name: the id is later by a microsecond where another snapshot has it.
        time: how its instant is known.
    """

    name: str
    time: str
    tables: tuple[PlannedTable, ...]
    notes: tuple[str, ...]


def plan_snapshot(environment: str, backup: Backup) -> PlannedSnapshot:
    """What a backup would become."""
    return PlannedSnapshot(
        str(SnapshotName(environment, names.make_id(backup.at))),
        backup.time,
        tuple(PlannedTable(t.label, t.rows, t.paths, t.window) for t in backup.tables),
        backup.notes,
    )
