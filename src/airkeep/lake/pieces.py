"""Which files speak of a table, and how: a pure function of the manifests.

A *piece* is what one snapshot says of one table. It *covers* the table when a row that it does
not have is not there: a full snapshot and an increment do, a window does not. So the state of a
table at a time is the newest piece that covers it, with its chain, and the windows after it.

The rows of an adopted archive of `airflow db clean` are those that were deleted at its instant:
they are known, and there no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airkeep.errors import MissingFileError
from airkeep.snapshot import names
from airkeep.snapshot.manifest import Manifest, TableEntry

if TYPE_CHECKING:
    from airkeep.snapshot.outline import Outline


@dataclass(frozen=True)
class Piece:
    """What one snapshot says of one table.

    Attributes:
        parent: the id of the snapshot that an increment's entry stands on; None when it is whole.
        engine: `postgresql` or `sqlite`, which decides what its values mean.
        opaque: secrets were encrypted anew or dropped, so they say nothing of a change.
        gone: its rows were deleted at its instant.
    """

    environment: str
    snapshot: str
    entry: TableEntry
    parent: str | None
    engine: str
    opaque: bool
    gone: bool = False

    @property
    def covers(self) -> bool:
        return self.entry.window is None


def piece_of(manifest: Manifest | Outline, entry: TableEntry) -> Piece:
    """What a snapshot says of one of its tables."""
    return Piece(
        environment=manifest.environment,
        snapshot=manifest.id,
        entry=entry,
        parent=None if entry.whole or manifest.parent is None else manifest.parent.id,
        engine=manifest.server.engine,
        opaque=manifest.secrets.mode in ("seal", "drop"),
        gone=manifest.adopted is not None and manifest.adopted.layout == "archive-csv",
    )


def gone_after(piece: Piece, manifest: Manifest | Outline) -> Piece:
    """What a snapshot says of a table that an earlier one had and this one has not: no row."""
    empty = replace(
        piece.entry, rows=0, files=(), deleted=(), deleted_rows=0, whole=True, window=None
    )
    return replace(piece, snapshot=manifest.id, entry=empty, parent=None, gone=False)


def state_of(pieces: Sequence[Piece]) -> list[Piece]:
    """Those of one environment's pieces, oldest first, that its newest state is made of.

    Without a piece that covers the table, all windows together are what is known. Windows of
    another key, or without one, cannot be told apart from what is there: they are passed over.
    """
    known = {p.snapshot: p for p in pieces}
    tip = next((p for p in reversed(pieces) if p.covers), None)
    later = [p for p in pieces if tip is None or p.snapshot > tip.snapshot]
    newest = tip or next((p for p in reversed(later) if not p.gone), later[-1])
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


@dataclass(frozen=True)
class Span:
    """How long a piece's word counts, where nothing later speaks of a row.

    Attributes:
        closed: the first later snapshot that covers the table and does not stand on the piece;
            None while there is none.
        beside: that one is an increment, so rows that it does not speak of are as its own chain
            had them: the piece is a window, or stands on the same parent.
    """

    piece: Piece
    closed: str | None = None
    beside: bool = False


def spans_of(pieces: Sequence[Piece]) -> list[Span]:
    """The spans of one environment's pieces, in their order, oldest first.

    An increment whose parent is not known here stands on what was there before it.
    """
    closed: dict[str, tuple[str, bool]] = {}
    chain: list[str] = []
    windows: list[str] = []
    for piece in pieces:
        if piece.gone:
            closed[piece.snapshot] = (piece.snapshot, False)
            continue
        if not piece.covers:
            windows.append(piece.snapshot)
            continue
        stays = chain.index(piece.parent) + 1 if piece.parent in chain else len(chain)
        if piece.entry.whole:
            stays = 0
        for ended in (*chain[stays:], *windows):
            closed[ended] = (piece.snapshot, not piece.entry.whole)
        chain, windows = [*chain[:stays], piece.snapshot], []
    return [Span(p, *closed.get(p.snapshot, (None, False))) for p in pieces]
