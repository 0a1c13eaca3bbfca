"""Remove the snapshot that another one was made of, as `clean` removes one: manifest first."""

from __future__ import annotations

from airkeep.errors import MissingFileError, RekeyError, SnapshotError
from airkeep.snapshot import names
from airkeep.snapshot.clean import run_clean
from airkeep.snapshot.clean_plan import CleanPlan, Kept
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import SnapshotName
from airkeep.snapshot.pruned import marked


def check_removable(lake: Lake, old: SnapshotName) -> None:
    """Refuse where an increment stands on it, or may.

    Raises:
        RekeyError: which one.
    """
    if holds_pruned(lake, old):
        raise RekeyError(
            f"{old} cannot be removed: it is marked as holding rows that a prune deleted. Leave "
            f"--remove-old out"
        )
    for name in lake.committed(old.environment):
        if name != old:
            _check_stands_elsewhere(lake, name, old)


def holds_pruned(lake: Lake, old: SnapshotName) -> bool:
    """Whether a prune marked it, which keeps it from being removed."""
    folder = names.snapshot_folder(old.environment, old.id) + "/"
    return old in marked(entry.path for entry in lake.store.list(folder))


def remove_old(lake: Lake, old: SnapshotName) -> bool:
    """Remove its manifest; its data is garbage from then on.

    Returns:
        Whether it is gone: one that an increment was made on just now is put back.

    Raises:
        RekeyError: an increment stands on it, or may.
    """
    there = lake.committed(old.environment)
    check_removable(lake, old)
    kept = tuple(Kept(str(name), ()) for name in there if name != old)
    return str(old) in run_clean(lake, CleanPlan((old,), kept, (), (), ())).removed


def _check_stands_elsewhere(lake: Lake, name: SnapshotName, old: SnapshotName) -> None:
    try:
        parent = lake.outline(name).parent
    except MissingFileError:
        return  # removed meanwhile
    except SnapshotError:
        raise RekeyError(
            f"{old} cannot be removed: {name} may stand on it, and cannot be read. Leave "
            f"--remove-old out"
        ) from None
    if parent is not None and parent.id == old.id:
        raise RekeyError(
            f"{old} cannot be removed: {name} stands on it. Rekey and remove that one first, or "
            f"leave --remove-old out"
        )
