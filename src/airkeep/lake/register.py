"""The lake's files as tables of a Hive catalog: what Glue and Athena are told of them. Pure.

`dag_run__files` are the rows that every snapshot saved, `dag_run__deleted` the keys that an
increment found gone. Each manifest's folder is one partition, by environment and snapshot: a folder
that no manifest names (an export that died) is none, so partitions are listed, not projected from
the folders' names.

A catalog has one type a column, the files of several Airflows and databases may have two that no
reader takes for one another (a time and a text): then the later ones are a table of their own,
`dag_run__files_2`. Widths of a number are united.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from airkeep.aws.hive import HivePartition, HiveTable
from airkeep.database.sql import ident, literal
from airkeep.lake.pieces import Piece
from airkeep.lake.views import OWN
from airkeep.snapshot import names
from airkeep.snapshot.manifest import ColumnEntry, FileEntry

_HIVE = {
    "BOOLEAN": "boolean", "SMALLINT": "smallint", "INTEGER": "int", "BIGINT": "bigint",
    "FLOAT": "float", "DOUBLE": "double", "VARCHAR": "string", "BLOB": "binary", "DATE": "date",
    "TIMESTAMP": "timestamp", "TIMESTAMPTZ": "timestamp",
}  # fmt: skip
_WIDTHS = (("smallint", "int", "bigint"), ("float", "double"))
_FOLDERS = {"tables": "files", "deleted": "deleted"}
_PLAIN = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True)
class Registered:
    """The tables that a lake is registered as.

    Attributes:
        tables: as a catalog is told them, by name.
    """

    tables: tuple[HiveTable, ...]
    _by_folder: dict[str, HiveTable] = field(repr=False)

    def source(self, files: Sequence[FileEntry], _: Sequence[ColumnEntry]) -> str:
        """The files' rows, as a relation over the registered tables.

        All files of a snapshot's table are meant when one of them is.
        """
        folders = list(dict.fromkeys(_folder(file) for file in files))
        [table] = {
            self._by_folder[folder].name: self._by_folder[folder] for folder in folders
        }.values()
        wanted: dict[str, set[str]] = {}
        for folder in folders:
            environment, snapshot = _values(folder)
            wanted.setdefault(environment, set()).add(snapshot)
        parts = [_within(table, environment, own) for environment, own in wanted.items()]
        return f"(SELECT * FROM {ident(table.name)} WHERE {' OR '.join(parts)}) f"


def registered(known: Mapping[str, Iterable[Piece]], url: str) -> Registered:
    """The tables of a lake.

    Args:
        known: by label, what every snapshot says of a table.
        url: the lake's.
    """
    tables: list[HiveTable] = []
    by_folder: dict[str, HiveTable] = {}
    for label, name in catalog_names(known).items():
        pieces = sorted(known[label], key=lambda p: (p.snapshot, p.environment))
        for kind in _FOLDERS:
            for number, variant in enumerate(_variants(pieces, kind)):
                table = variant.table(label, name, kind, number, url.rstrip("/"))
                tables.append(table)
                by_folder |= dict.fromkeys(variant.folders, table)
    return Registered(tuple(tables), by_folder)


def catalog_names(labels: Iterable[str]) -> dict[str, str]:
    """What a catalog calls tables: Hive knows lower-case letters, digits and `_`.

    A name that is taken gets a few letters more, which only depend on the label.
    """
    found: dict[str, str] = {}
    for label in sorted(set(labels), key=lambda label: (not _PLAIN.fullmatch(label), label)):
        name = re.sub(r"[^a-z0-9_]", "_", label.lower())
        if name in found.values():
            name = f"{name}_{sha256(label.encode()).hexdigest()[:6]}"
        found[label] = name
    return found


@dataclass
class _Variant:
    """Files that one set of column types describes."""

    columns: dict[str, str]
    folders: list[str]

    def takes(self, columns: dict[str, str]) -> bool:
        return all(_united(self.columns.get(n, t), t) for n, t in columns.items())

    def add(self, columns: dict[str, str], folder: str) -> None:
        for name, kind in columns.items():
            self.columns[name] = _united(self.columns.get(name, kind), kind) or kind
        self.folders.append(folder)

    def table(self, label: str, name: str, kind: str, number: int, url: str) -> HiveTable:
        suffix = f"_{number + 1}" if number else ""
        what = "rows that snapshots saved" if kind == "tables" else "keys that are gone"
        return HiveTable(
            name=f"{name}__{_FOLDERS[kind]}{suffix}",
            comment=f"{label}: {what}, see airkeep register --help",
            columns=tuple(self.columns.items()),
            keys=OWN,
            location=f"{url}/{kind}/{names.table_folder(label)}/",
            partitions=tuple(
                sorted(HivePartition(_values(f), f"{url}/{f}/") for f in self.folders)
            ),
        )


def _variants(pieces: Sequence[Piece], kind: str) -> list[_Variant]:
    """Oldest first, so that a new snapshot renames nothing that is registered."""
    found: list[_Variant] = []
    for piece in pieces:
        entry = piece.entry
        if not (files := entry.files if kind == "tables" else entry.deleted):
            continue
        columns: dict[str, str] = {}
        for column in entry.columns:
            name = column.name.lower()
            stored = not column.generated and (kind == "tables" or column.name in entry.key)
            if stored and name not in OWN:
                columns.setdefault(name, _HIVE.get(column.parquet, "string"))
        variant = next((v for v in found if v.takes(columns)), None)
        if variant is None:
            variant = _Variant({}, [])
            found.append(variant)
        variant.add(columns, _folder(files[0]))
    return found


def _united(one: str, other: str) -> str | None:
    """The type that both can be read as."""
    if one == other:
        return one
    for widths in _WIDTHS:
        if one in widths and other in widths:
            return max(one, other, key=widths.index)
    return None


def _within(table: HiveTable, environment: str, wanted: set[str]) -> str:
    """These snapshots of the environment: by a range where no other one lies between them."""
    known = [p.values[1] for p in table.partitions if p.values[0] == environment]
    ordered = sorted(wanted)
    first, last = ordered[0], ordered[-1]
    if len(ordered) == 1:
        which = f"= {literal(first)}"
    elif [s for s in known if first <= s <= last] == ordered:
        which = f"BETWEEN {literal(first)} AND {literal(last)}"
    else:
        which = f"IN ({', '.join(map(literal, ordered))})"
    return f"(environment = {literal(environment)} AND snapshot {which})"


def _folder(file: FileEntry) -> str:
    return file.path.rpartition("/")[0]


def _values(folder: str) -> tuple[str, str]:
    """The environment and the snapshot of a folder."""
    *_, environment, snapshot = folder.split("/")
    return environment.partition("=")[2], snapshot.partition("=")[2]
