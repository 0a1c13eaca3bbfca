"""An adopted snapshot beside an ordinary export of the same database, column by column."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from airkeep.adopt import values
from airkeep.snapshot.lake import Snapshot

_UTC = ZoneInfo("UTC")  # as Arrow gives it


def _unquoted(value: Any) -> Any:
    """A JSON text that looks like something else is read as that."""
    if value is None or not value.startswith('"'):
        return value
    text = json.loads(value)
    try:
        json.loads(text)
    except ValueError:
        return value
    return text


# What the ordinary value becomes where the manifest reports this of the column; a column of which
# nothing is reported has to be equal. JSON is compared by value where only its spelling is lost.
ALLOWED: dict[str, Callable[[Any], Any]] = {
    values.EMPTY: lambda v: None if v == "" else v,
    values.EMPTY_JSON: lambda v: None if v in ("null", '""') else v,
    values.FLOAT: lambda v: v,
    values.BYTES: lambda v: v,
    values.LOST: lambda _v: None,
    values.PYTHON: lambda v: v,
    values.SCALAR: _unquoted,
    values.TEXT: lambda v: v,
    values.NO_ZONE: lambda v: v,
}


def columns(lake: Path, snapshot: Snapshot, label: str) -> dict[str, list[Any]]:
    """The rows of a table that is whole, by column."""
    entry = snapshot.manifest.table(label)
    assert entry is not None
    found = [pq.read_table(lake / f.path) for f in entry.files]
    names = [c.name for c in entry.columns]
    return pa.concat_tables(found).to_pydict() if found else {n: [] for n in names}


def assert_told(
    lake: Path, ordinary: Snapshot, adopted: Snapshot, label: str, *, new: int | None = None
) -> None:
    """The adopted rows are the ordinary ones but for what the manifest reports.

    Args:
        new: where the backup has only some of the rows: how many the ordinary snapshot lacks.
    """
    entry, own = adopted.manifest.table(label), ordinary.manifest.table(label)
    assert entry is not None
    assert own is not None
    assert adopted.manifest.adopted is not None
    told: dict[str, set[str]] = {c.name: set() for c in entry.columns}
    for repair in adopted.manifest.adopted.repairs:
        if repair.table == label:
            told[repair.column].add(repair.what)
    ours, theirs = columns(lake, ordinary, label), columns(lake, adopted, label)
    shared = [c.name for c in entry.columns if c.name in ours]
    for name in shared:
        assert told[name] <= ALLOWED.keys(), (label, name, told[name])
        kind = entry.column(name).parquet
        if ordinary.manifest.server.engine == "sqlite":  # it keeps no times and no booleans
            ours[name] = [_FROM_SQLITE.get(kind, _same)(v) for v in ours[name]]
        else:
            assert kind == own.column(name).parquet, name
        for what in told[name]:
            ours[name] = [ALLOWED[what](v) for v in ours[name]]
        if told[name] & {values.PYTHON, values.SCALAR}:
            ours[name], theirs[name] = _loaded(ours[name]), _loaded(theirs[name])
    mine, yours = _bag(ours, shared), _bag(theirs, shared)
    if new is None:
        assert yours == mine, label
    else:
        assert (yours - mine).total() == new, label


def _same(value: Any) -> Any:
    return value


_FROM_SQLITE: dict[str, Callable[[Any], Any]] = {
    "TIMESTAMPTZ": lambda v: None if v is None else datetime.fromisoformat(v).replace(tzinfo=_UTC),
    "BOOLEAN": lambda v: None if v is None else bool(v),
}


def _loaded(texts: list[str | None]) -> list[str | None]:
    return [None if t is None else json.dumps(json.loads(t), sort_keys=True) for t in texts]


def _bag(rows: dict[str, list[Any]], names: list[str]) -> Counter[tuple[Any, ...]]:
    return Counter(zip(*(map(repr, rows[n]) for n in names), strict=True))
