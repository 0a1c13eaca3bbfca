"""Decide what of a lake to fold: chains of increments, and tables in many small files. Pure.

A *tip* is a snapshot that no other stands on. Its whole chain becomes one full snapshot. An
environment with a manifest that cannot be read is left alone where that one might stand on what
would go: on anything older than it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from airkeep.snapshot.manifest import Manifest, TableEntry
from airkeep.snapshot.names import SnapshotName

_FEW = 4  # files of a table that are never too many: each thread of an export fills one
_SMALL_BYTES = 8 << 20  # half of what the files of an export with little memory grow to


@dataclass(frozen=True)
class Fold:
    """A chain that becomes one full snapshot.

    Attributes:
        chain: what goes, the tip first.
        made: the newest full snapshot that an earlier run made of it, before it ended.
    """

    chain: tuple[SnapshotName, ...]
    made: SnapshotName | None = None

    @property
    def tip(self) -> SnapshotName:
        return self.chain[0]


@dataclass(frozen=True)
class CompactPlan:
    """What there is to do, and why something is left as it is."""

    folds: tuple[Fold, ...]
    warnings: tuple[str, ...] = ()


def plan_compact(
    manifests: Iterable[Manifest],
    unreadable: Collection[SnapshotName] = (),
    pruned: Collection[SnapshotName] = (),
) -> CompactPlan:
    """Decide for every environment, oldest tip first.

    Args:
        pruned: the snapshots that hold rows which left their database: no other one does.
    """
    known = {SnapshotName(m.environment, m.id): m for m in manifests}
    made = {
        SnapshotName(m.environment, m.compacted.id): name
        for name, m in sorted(known.items(), key=lambda one: one[0])
        if m.compacted is not None
    }
    needed = {_parent(name, m) for name, m in known.items()}
    folds: list[Fold] = []
    warnings: list[str] = []
    for tip in sorted(set(known) - needed):
        if known[tip].parent is None and tip not in made and not _is_fragmented(known[tip]):
            continue
        chain = _chain(tip, known)
        if (gone := _parent(chain[-1], known[chain[-1]])) is not None:
            warnings.append(f"{tip}: its parent {gone.id} is gone or cannot be read, left as it is")
        elif blocking := _blocking(chain, unreadable):
            warnings.append(f"{tip}: {blocking} cannot be read and may stand on it, left as it is")
        elif holding := next((n for n in chain if n in pruned), None):
            warnings.append(f"{tip}: {holding} holds what was pruned, left as it is")
        else:
            folds.append(Fold(tuple(chain), made.get(tip)))
    return CompactPlan(tuple(folds), tuple(warnings))


def _parent(name: SnapshotName, manifest: Manifest) -> SnapshotName | None:
    return None if manifest.parent is None else SnapshotName(name.environment, manifest.parent.id)


def _chain(tip: SnapshotName, known: Mapping[SnapshotName, Manifest]) -> list[SnapshotName]:
    """The tip and what it stands on, as far as that is there."""
    chain = [tip]
    while (parent := _parent(chain[-1], known[chain[-1]])) is not None and parent in known:
        chain.append(parent)
    return chain


def _blocking(
    chain: Collection[SnapshotName], unreadable: Collection[SnapshotName]
) -> SnapshotName | None:
    oldest = min(chain)
    return next(
        (u for u in sorted(unreadable) if u.environment == oldest.environment and u > oldest), None
    )


def _is_fragmented(manifest: Manifest) -> bool:
    return any(map(too_many_files, manifest.tables))


def too_many_files(table: TableEntry) -> bool:
    """Whether the table's own files are smaller than they need to be."""
    return len(table.files) > _FEW + table.bytes // _SMALL_BYTES
