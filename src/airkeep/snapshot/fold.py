"""Fold a chain: the rows of a table that its newest snapshot stands for, as DuckDB's SELECT.

A row of a layer counts unless a newer layer has its key, as a row or as a deleted one. The
statement has the same depth however long the chain is (DuckDB's parser ends at 1,000 levels); what
it joins with are the keys of the increments, never those of the table as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airkeep.database.sql import ident, literal
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import TableEntry

_LAYER, _FILE = "airkeep_layer", "airkeep_file"


@dataclass(frozen=True)
class Layer:
    """What one snapshot of a chain adds to a table, on the local disk."""

    entry: TableEntry
    files: tuple[Path, ...]
    deleted: tuple[Path, ...]


def layers_of(chain: Sequence[Snapshot], label: str) -> list[TableEntry]:
    """A table's entries from the newest down to the one that holds it whole."""
    entries: list[TableEntry] = []
    for snapshot in chain:
        entry = snapshot.manifest.table(label)
        if entry is None:
            break
        entries.append(entry)
        if entry.whole:
            break
    return entries


def fold(layers: Sequence[Layer], columns: Sequence[str] | None = None) -> str:
    """DuckDB's SELECT of the folded table.

    Args:
        layers: newest first, down to the one that is whole.
        columns: only these; all stored ones where it is None.
    """
    newest, base = layers[0].entry, layers[-1]
    names = [c.name for c in newest.columns if not c.generated] if columns is None else columns
    files = {path: n for n, layer in enumerate(layers[:-1]) for path in layer.files}
    deleted = {path: n for n, layer in enumerate(layers[:-1]) for path in layer.deleted}
    if not files and not deleted:
        return _rows(base, names, newest)
    needed = list(dict.fromkeys((*newest.key, *names)))
    rows = [f"SELECT {len(layers)} AS {_LAYER}, * FROM ({_rows(base, needed, newest)})"]
    if files:
        rows.append(_numbered(files, needed))
    keys = " UNION ALL ".join(_numbered(given, newest.key) for given in (files, deleted) if given)
    same = " AND ".join(f"n.{ident(k)} IS NOT DISTINCT FROM o.{ident(k)}" for k in newest.key)
    return (
        f"SELECT {_columns(names)} FROM ({' UNION ALL '.join(rows)}) o "
        f"ANTI JOIN ({keys}) n ON {same} AND n.{_LAYER} < o.{_LAYER}"
    )


def _rows(layer: Layer, names: Sequence[str], newest: TableEntry) -> str:
    if layer.files:
        return f"SELECT {_columns(names)} FROM {_parquet(layer.files)}"
    empty = ", ".join(f"NULL::{newest.column(n).parquet} AS {ident(n)}" for n in names)
    return f"SELECT {empty} WHERE false"


def _numbered(files: dict[Path, int], names: Sequence[str]) -> str:
    """The rows of several layers' files, each with its layer's number; the newest is 0."""
    layers = ", ".join(f"({literal(str(path))}, {n})" for path, n in files.items())
    return (
        f"SELECT {_LAYER}, {_columns(names)} FROM {_parquet(tuple(files), name=_FILE)} "
        f"JOIN (VALUES {layers}) l({_FILE}, {_LAYER}) USING ({_FILE})"
    )


def _columns(names: Sequence[str]) -> str:
    return ", ".join(ident(n) for n in names)


def _parquet(files: Sequence[Path], *, name: str = "") -> str:
    """A scan of files; `name` is a column for each row's file."""
    listed = ", ".join(literal(str(f)) for f in files)
    more = f", filename = '{name}'" if name else ""
    return f"read_parquet([{listed}], hive_partitioning = false{more})"
