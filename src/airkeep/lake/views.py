"""The statements behind a table's views: its newest state, and every version of every row.

They are text, made from pieces, that DuckDB takes and Spark (in ANSI mode, with identifiers in
double quotes). What differs is how files are named and how rows are hashed: both are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from airkeep.database.sql import ident, literal
from airkeep.lake.columns import SQL_TYPE, Kind, kind_of, united, value
from airkeep.lake.pieces import Piece, Span, by_environment, spans_of, state_of
from airkeep.snapshot.manifest import ColumnEntry, FileEntry

Source = Callable[[Sequence[FileEntry], Sequence[ColumnEntry]], str]
"""A relation of Parquet files that have these columns, and of `environment` and `snapshot`."""

Digest = Callable[[Sequence[str]], str]
"""An expression of 64 bits that stand for the values of these columns."""

OWN = ("environment", "snapshot")


@dataclass(frozen=True)
class Shape:
    """The columns of a view: those of every piece, united by name, the newest piece's first."""

    kinds: dict[str, Kind]
    _rows: dict[object, str] = field(default_factory=dict, compare=False, repr=False)

    def row(self, piece: Piece, names: Sequence[str]) -> str:
        """Columns of a piece's own files as this shape has them."""
        alike = (piece.entry.columns, piece.engine, tuple(names))
        if alike not in self._rows:
            self._rows[alike] = self._row(piece, names)
        return self._rows[alike]

    def _row(self, piece: Piece, names: Sequence[str]) -> str:
        known = {c.name: c for c in piece.entry.columns if not c.generated}
        return ", ".join(
            f"{self._cell(known.get(name), piece, self.kinds[name])} AS {ident(name)}"
            for name in names
        )

    def _cell(self, column: ColumnEntry | None, piece: Piece, kind: Kind) -> str:
        if column is None:
            return f"CAST(NULL AS {SQL_TYPE[kind]})"
        return value(column, piece.engine, kind)


def shape_of(pieces: Sequence[Piece]) -> Shape:
    """The union of the pieces' columns. A column named as one of ours is left out."""
    kinds: dict[str, set[Kind]] = {}
    for piece in sorted(pieces, key=lambda p: p.snapshot, reverse=True):
        for column in piece.entry.columns:
            if not column.generated and column.name not in OWN:
                kinds.setdefault(column.name, set()).add(kind_of(column))
    return Shape({name: united(several) for name, several in kinds.items()})


def state_view(pieces: Sequence[Piece], source: Source) -> str:
    """The newest state of every environment: one SELECT.

    Args:
        pieces: of one table, up to the time that is asked for.
    """
    shape = shape_of(pieces)
    groups: dict[tuple[str, ...], list[Piece]] = {}
    for own in by_environment(pieces).values():
        made_of = state_of(own)
        groups.setdefault(made_of[-1].entry.key, []).extend(made_of)
    parts = [_newest(group, shape, source, key, deleted=True) for key, group in groups.items()]
    return " UNION ALL ".join(parts)


def newest_view(pieces: Sequence[Piece], kinds: Mapping[str, Kind], source: Source) -> str:
    """The wanted columns of the newest state of every environment.

    Args:
        pieces: as for `state_view`; none where no environment has the table.
        kinds: the columns that are wanted; NULL where no piece has them.
    """
    if not pieces:
        return _nothing(Shape(dict(kinds)))
    wanted = _handed_on(shape_of(pieces), kinds)
    return f"SELECT {', '.join(OWN)}, {wanted} FROM ({state_view(pieces, source)})"


def last_view(
    pieces: Sequence[Piece], kinds: Mapping[str, Kind], source: Source, *, key: Sequence[str]
) -> str:
    """Every row ever seen, deleted ones too, as the newest snapshot that had it saw it.

    Args:
        kinds: the columns that are wanted; NULL where a piece has them not.
        key: of these, what tells rows apart, whatever key their table has or had: its id begins
            at 1 again where a database is made anew.
    """
    known = {c.name for p in pieces for c in p.entry.columns}
    return _newest(pieces, Shape(dict(kinds)), source, [k for k in key if k in known])


def _newest(
    pieces: Sequence[Piece],
    shape: Shape,
    source: Source,
    key: Sequence[str],
    *,
    deleted: bool = False,
) -> str:
    """The newest word on each key.

    Args:
        pieces: each environment's oldest first.
        deleted: a deleted key is a word, too, and what a piece says is gone is no row.
    """
    rows = rows_of([p for p in pieces if not (deleted and p.gone)], shape, source)
    later = [p for own in by_environment(pieces).values() for p in own[1:]]
    words = _scans(later, shape, source, key)
    if deleted:
        words += _scans(later, shape, source, key, deleted=True)
    if not words:
        return rows
    same = " AND ".join(["o.environment = n.environment", *(_same(n, pieces) for n in key)])
    return (
        f"SELECT o.* FROM ({rows}) o ANTI JOIN ({' UNION ALL '.join(words)}) n "
        f"ON {same} AND n.snapshot > o.snapshot"
    )


def _same(name: str, pieces: Sequence[Piece]) -> str:
    """Equal, NULL to NULL; plainly where there is none, as Trino hashes no other comparison."""
    never_null = all(
        p.engine == "postgresql"  # a SQLite value that its type cannot hold becomes NULL
        and any(c.name == name and not c.nullable for c in p.entry.columns)
        for p in pieces
    )
    equal = "=" if never_null else "IS NOT DISTINCT FROM"
    return f"o.{ident(name)} {equal} n.{ident(name)}"


def rows_of(pieces: Sequence[Piece], shape: Shape, source: Source) -> str:
    """All rows of the pieces' own files."""
    selects = _scans(pieces, shape, source, tuple(shape.kinds))
    return " UNION ALL ".join(selects) or _nothing(shape)


def _scans(
    pieces: Sequence[Piece],
    shape: Shape,
    source: Source,
    names: Sequence[str],
    *,
    deleted: bool = False,
) -> list[str]:
    """One SELECT for all files that are read alike.

    Args:
        deleted: not the rows, but the keys of deleted ones.
    """
    scans: dict[tuple[str, str], tuple[list[FileEntry], Sequence[ColumnEntry]]] = {}
    for piece in pieces:
        entry = piece.entry
        if not (found := entry.deleted if deleted else entry.files):
            continue
        stored = [c for c in entry.columns if not c.generated]
        if deleted:
            stored = [c for c in stored if c.name in entry.key]
        alike = (shape.row(piece, names), ", ".join(f"{c.name} {c.parquet}" for c in stored))
        scans.setdefault(alike, ([], stored))[0].extend(found)
    own = ", ".join(OWN)
    return [f"SELECT {own}, {row} FROM {source(*read)}" for (row, _), read in scans.items()]


def _nothing(shape: Shape) -> str:
    empty = ", ".join(f"CAST(NULL AS {SQL_TYPE[k]}) AS {ident(n)}" for n, k in shape.kinds.items())
    own = ", ".join(f"CAST(NULL AS {SQL_TYPE['text']}) AS {name}" for name in OWN)
    return f"SELECT {own}, {empty} WHERE 1 = 0"


def _hash_of(columns: Sequence[str]) -> str:
    return f"hash({', '.join(map(ident, columns))})"


def history_view(pieces: Sequence[Piece], source: Source, *, digest: Digest = _hash_of) -> str:
    """Every version of every row ever seen, with the time it was first seen and first missed.

    `valid_from` is the snapshot that first had the row with these values, `valid_to` the first
    later one that has it no more or with others, NULL while it is there. A version that was seen
    again and again is one. Where a key changes (a migration), all versions before end at the
    first snapshot that has the new one.

    Args:
        digest: 64 bits that stand for a row's values, NULLs too.
    """
    shape = shape_of(pieces)
    eras: dict[tuple[str, ...], list[Span]] = {}
    for own in by_environment(pieces).values():
        for span in spans_of(own):
            eras.setdefault(span.piece.entry.key, []).append(span)
    opaque = {c.name for p in pieces if p.opaque for c in p.entry.columns if c.secret}
    parts = [_versions(key, known, shape, opaque, source, digest) for key, known in eras.items()]
    return " UNION ALL ".join(parts)


def _versions(
    key: tuple[str, ...],
    known: Sequence[Span],
    shape: Shape,
    opaque: set[str],
    source: Source,
    digest: Digest,
) -> str:
    pieces = [span.piece for span in known]
    compared = [n for n in shape.kinds if n not in opaque]
    columns = ", ".join(map(ident, shape.kinds))
    rows = rows_of(pieces, shape, source)
    own = ", ".join(OWN)
    events = f"SELECT {own}, TRUE AS here, {digest(compared)} AS digest, {columns} FROM ({rows})"
    if gone := _scans(pieces, shape, source, key, deleted=True):
        nulls = ", ".join(
            ident(n) if n in key else f"CAST(NULL AS {SQL_TYPE[k]}) AS {ident(n)}"
            for n, k in shape.kinds.items()
        )
        events += f" UNION ALL SELECT {own}, FALSE, NULL, {nulls} FROM ({' UNION ALL '.join(gone)})"
    told = _told(events, known)
    if key and any(span.beside for span in known):
        told = _with_what_is_said_again(told, key, columns)
    same = ", ".join(["environment", *(map(ident, key) if key else ["digest"])])
    return f"""
SELECT environment, snapshot, {_time("snapshot")} AS valid_from, {_time("until")} AS valid_to,
       {columns}
FROM (
  SELECT *, CASE WHEN count(*) OVER run = count(ends) OVER run THEN max(ends) OVER run END AS until
  FROM (
    SELECT *, sum(CASE WHEN is_new THEN 1 ELSE 0 END) OVER (
      PARTITION BY {same} ORDER BY snapshot) AS version
    FROM (
      SELECT *, coalesce(NOT (here AND was_here AND was_until = snapshot AND was = digest), TRUE)
             AS is_new
      FROM (
        SELECT *, lag(here) OVER seen AS was_here, lag(digest) OVER seen AS was,
               lag(ends) OVER seen AS was_until
        FROM (
          SELECT *, CASE WHEN lead(snapshot) OVER seen < closed THEN lead(snapshot) OVER seen
                         ELSE coalesce(closed, lead(snapshot) OVER seen) END AS ends
          FROM ({told})
          WINDOW seen AS (PARTITION BY {same} ORDER BY snapshot)
        ) WINDOW seen AS (PARTITION BY {same} ORDER BY snapshot)
      )
    )
  ) WINDOW run AS (PARTITION BY {same}, version)
) WHERE is_new AND here"""


def versions_view(
    pieces: Sequence[Piece],
    kinds: Mapping[str, Kind],
    source: Source,
    *,
    digest: Digest = _hash_of,
) -> str:
    """The wanted columns of a history. All columns tell the versions apart, these are handed on.

    Args:
        kinds: the columns that are wanted; NULL where no piece has them.
        digest: as for `history_view`.
    """
    if not pieces:
        return _nothing(Shape({"valid_from": "instant", "valid_to": "instant", **kinds}))
    wanted = _handed_on(shape_of(pieces), kinds)
    own = ", ".join((*OWN, "valid_from", "valid_to"))
    return f"SELECT {own}, {wanted} FROM ({history_view(pieces, source, digest=digest)})"


def _handed_on(shape: Shape, kinds: Mapping[str, Kind]) -> str:
    return ", ".join(
        f"CAST({ident(n) if n in shape.kinds else 'NULL'} AS {SQL_TYPE[k]}) AS {ident(n)}"
        for n, k in kinds.items()
    )


def _told(events: str, known: Sequence[Span]) -> str:
    """Events, each with the snapshot that its piece is closed by."""
    never = f"CAST(NULL AS {SQL_TYPE['text']})"
    values = ", ".join(
        f"({literal(s.piece.environment)}, {literal(s.piece.snapshot)}, "
        f"{literal(s.closed) if s.closed else never}, {s.beside})"
        for s in known
    )
    # Not USING: Trino leaves the columns that it names out of `e.*`.
    return (
        f"SELECT e.*, c.closed, c.beside FROM ({events}) e "
        f"JOIN (VALUES {values}) c(of_environment, of_snapshot, closed, beside) "
        f"ON c.of_environment = e.environment AND c.of_snapshot = e.snapshot"
    )


def _with_what_is_said_again(told: str, key: Sequence[str], columns: str) -> str:
    """Add what an increment says in silence of rows that a piece beside its chain speaks of.

    They are as the chain had them: still so, or not there.
    """

    def same(one: str, other: str) -> str:
        return " AND ".join(f"{one}.{n} = {other}.{n}" for n in ("environment", *map(ident, key)))

    named = ", ".join(f"j.{column}" for column in columns.split(", "))
    partition = ", ".join(f"i.{n}" for n in ("environment", *map(ident, key), "closed"))
    return f"""
WITH told AS ({told})
SELECT * FROM told
UNION ALL
SELECT environment, snapshot, here, digest, {columns}, closed, FALSE
FROM (
  SELECT i.environment, i.closed AS snapshot, j.here, j.digest, {named}, j.closed,
         row_number() OVER (PARTITION BY {partition} ORDER BY j.snapshot DESC) AS place
  FROM told i
  JOIN told j ON {same("i", "j")} AND j.snapshot < i.snapshot
             AND (j.closed IS NULL OR j.closed > i.closed)
  ANTI JOIN told x ON {same("i", "x")} AND x.snapshot = i.closed
  WHERE i.beside
) WHERE place = 1"""


def _time(snapshot: str) -> str:
    """The time that an id says, NULL for none, in SQL that every engine takes."""
    parts = " || ".join(f"'{mark}' || substr({snapshot}, {at}, {n})" for mark, at, n in _ID_PARTS)
    # An engine's concat, which || becomes there, may pass over NULL.
    return f"CASE WHEN {snapshot} IS NOT NULL THEN CAST({parts} AS TIMESTAMP) END"


_ID_PARTS = (
    ("", 1, 4), ("-", 5, 2), ("-", 7, 2), (" ", 10, 2), (":", 12, 2), (":", 14, 2), (".", 17, 6),
)  # fmt: skip
