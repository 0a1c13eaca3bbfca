"""Which files speak of a table, and how: a pure function of the manifests.

A *piece* is what one snapshot says of one table. It *covers* the table when a row that it does
not have is not there: a full snapshot and an increment do, a window does not. So the state of a
table at a time is the newest piece that covers it, with its chain, and the windows after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airkeep.errors import MissingFileError
from airkeep.snapshot import names
from airkeep.snapshot.manifest import Manifest, TableEntry


@dataclass(frozen=True)
class Piece:
    """What one snapshot says of one table.

    Attributes:
        parent: the id of the snapshot that an increment's entry stands on; None when it is whole.
        engine: `postgresql` or `sqlite`, which decides what its values mean.
        opaque: secrets were encrypted anew or dropped, so they say nothing of a change.
    """

    environment: str
    snapshot: str
    entry: TableEntry
    parent: str | None
    engine: str
    opaque: bool

    @property
    def covers(self) -> bool:
        return self.entry.window is None


def pieces_of(manifests: Iterable[Manifest], label: str) -> list[Piece]:
    """Every piece of a table, by environment and then oldest first."""
    found = [
        Piece(
            environment=manifest.environment,
            snapshot=manifest.id,
            entry=entry,
            parent=None if entry.whole or manifest.parent is None else manifest.parent.id,
            engine=manifest.server.engine,
            opaque=manifest.secrets.mode in ("seal", "drop"),
        )
        for manifest in manifests
        if (entry := manifest.table(label)) is not None
    ]
    return sorted(found, key=lambda p: (p.environment, p.snapshot))


def state_of(pieces: Sequence[Piece]) -> list[Piece]:
    """Those of one environment's pieces, oldest first, that its newest state is made of.

    Without a piece that covers the table, all windows together are what is known. Windows of
    another key, or without one, cannot be told apart from what is there: they are passed over.
    """
    known = {p.snapshot: p for p in pieces}
    tip = next((p for p in reversed(pieces) if p.covers), None)
    later = [p for p in pieces if tip is None or p.snapshot > tip.snapshot]
    newest = tip or later[-1]
    if not newest.entry.key:
        return chain_of(newest, known)
    later = [p for p in later if p.entry.key == newest.entry.key]
    return later if tip is None else [*chain_of(tip, known), *later]


def chain_of(tip: Piece, known: dict[str, Piece]) -> list[Piece]:
    """The pieces that fold into the tip's rows, oldest first.

    Raises:
        MissingFileError: a parent's manifest is gone.
    """
    chain = [tip]
    while (parent := chain[-1].parent) is not None:
        if parent not in known:
            raise MissingFileError(names.manifest_path(tip.environment, parent))
        chain.append(known[parent])
    return chain[::-1]


def by_environment(pieces: Iterable[Piece]) -> dict[str, list[Piece]]:
    """The pieces of each environment, in their order."""
    grouped: dict[str, list[Piece]] = {}
    for piece in pieces:
        grouped.setdefault(piece.environment, []).append(piece)
    return grouped
