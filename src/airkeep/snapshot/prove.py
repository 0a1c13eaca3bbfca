"""Which rows of a live table a snapshot holds unchanged.

The rows come as the reader spools them, each with its *version* (PostgreSQL's `xmin`). They are
held against the snapshot's by key and by a sha256 of all their values. Who deletes them later says
key and version in the DELETE itself: every change of a row gives it another version, so what was
proved here holds then, or the row stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airkeep.database.duck import explained
from airkeep.database.spool import SpoolFile
from airkeep.database.sql import ident, literal
from airkeep.snapshot.fold import Layer, fold
from airkeep.snapshot.manifest import TableEntry
from airkeep.snapshot.match import digest
from airkeep.snapshot.sides import Field, canonical

if TYPE_CHECKING:
    import duckdb

XMIN = "xmin"
VERSION, STATE = "airkeep_version", "airkeep_state"
SAME, CHANGED, UNKNOWN = 0, 1, 2


def prove(
    db: duckdb.DuckDBPyConnection,
    entry: TableEntry,
    files: Iterable[SpoolFile],
    layers: Sequence[Layer],
    *,
    keep: Sequence[str],
    into: str,
) -> None:
    """Make a DuckDB table of the live rows: key, `keep`, version, and whether they are the same.

    Args:
        files: the live rows, all columns of `entry` and the version; deleted when read.
        layers: the snapshot's files of this table.
        keep: columns to carry along beside the key.

    Raises:
        DatabaseError: memory ran out.
        DiskFullError: the spool folder's disk is full.
    """
    columns = list(dict.fromkeys((*entry.key, *keep)))
    spooled = [file.path for file in files]
    with explained(entry.label, f"comparing {entry.label}"):
        if spooled:
            db.execute(
                f"CREATE TABLE {ident(into)} AS {_statement(entry, spooled, layers, columns)}"
            )
        else:
            types = [f"{ident(c)} {entry.column(c).parquet}" for c in columns]
            listed = ", ".join([*types, f"{VERSION} VARCHAR", f"{STATE} TINYINT"])
            db.execute(f"CREATE TABLE {ident(into)} ({listed})")
    for path in spooled:
        path.unlink()


def has_rows(db: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether a table that `prove` made has a row."""
    return bool(db.execute(f"SELECT 1 FROM {ident(table)} LIMIT 1").fetchall())


def _statement(
    entry: TableEntry, files: Sequence[Path], layers: Sequence[Layer], columns: Sequence[str]
) -> str:
    fields = [
        Field(c.name, c.type, c.parquet, c.encoding) for c in entry.columns if not c.generated
    ]
    whole = digest([canonical(field, field) for field in fields])
    keys = ", ".join(f"{ident(k)} AS k{n}" for n, k in enumerate(entry.key))
    same = " AND ".join(f"l.{ident(k)} = s.k{n}" for n, k in enumerate(entry.key))
    listed = ", ".join(map(ident, columns))
    paths = ", ".join(literal(str(path)) for path in files)
    return (
        f"SELECT {', '.join(f'l.{ident(c)}' for c in columns)}, l.{XMIN} AS {VERSION}, "
        f"(CASE WHEN s.d IS NULL THEN {UNKNOWN} WHEN s.d = l.d THEN {SAME} "
        f"ELSE {CHANGED} END)::TINYINT AS {STATE} "
        f"FROM (SELECT {listed}, {XMIN}, {whole} AS d FROM read_parquet([{paths}])) l "
        f"LEFT JOIN (SELECT {keys}, {whole} AS d FROM ({fold(layers)})) s ON {same}"
    )
