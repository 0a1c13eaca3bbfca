"""Tables of the Glue catalog, made as they should be: again and again with one result.

What is there is looked at first and compared, so a second run changes nothing. A table is ours when
its parameter `airkeep.lake` names the lake: one that is not is never changed, and one that should
be there no more is deleted (no file is). A table comes before its partitions; what a stopped run
has left undone, the next one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from airkeep.aws.hive import INPUT, OUTPUT, SERDE, HivePartition, HiveTable
from airkeep.aws.session import client, explained
from airkeep.errors import CatalogError

OWNER = "airkeep.lake"
_AT_ONCE = 100  # partitions that Glue creates or updates in one call
_DELETERS = 8


@dataclass(frozen=True)
class Changes:
    """What a run did to a database, in numbers of tables and partitions."""

    tables: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    partitions: int = 0
    partitions_added: int = 0
    partitions_updated: int = 0
    partitions_removed: int = 0

    def __add__(self, other: Changes) -> Changes:
        return Changes(*(a + b for a, b in zip(_numbers(self), _numbers(other), strict=True)))


def _numbers(changes: Changes) -> list[int]:
    return list(vars(changes).values())


def register(database: str, tables: Sequence[HiveTable], lake: str) -> Changes:
    """Make a database's tables and partitions exactly these.

    Args:
        lake: its URL, the mark of what is ours.

    Raises:
        CatalogError: the database has a table of one of these names that is not ours; nothing
            was changed.
        AwsError: AWS refused or failed; running it again goes on.
    """
    glue = client("glue")
    there = _tables(glue, database)
    if there is None:
        with explained(f"creating the database {database}"):
            glue.create_database(DatabaseInput={"Name": database})
        there = {}
    foreign = [t.name for t in tables if t.name in there and _owner(there[t.name]) != lake]
    if foreign:
        raise CatalogError(
            f"the database {database} has tables that are not of {lake}: "
            f"{', '.join(foreign[:5])}{', ...' if len(foreign) > 5 else ''}. Name another database"
        )
    changes = Changes(tables=len(tables), partitions=sum(len(t.partitions) for t in tables))
    wanted = {table.name for table in tables}
    for name, known in there.items():
        if name not in wanted and _owner(known) == lake:
            with explained(f"deleting the table {database}.{name}"):
                glue.delete_table(DatabaseName=database, Name=name)
            changes += Changes(deleted=1)
    for table in tables:
        changes += _put_table(glue, database, table, there.get(table.name), lake)
        changes += _put_partitions(glue, database, table)
    return changes


def check_registered(database: str, tables: Iterable[HiveTable]) -> None:
    """See that the catalog has these tables with exactly their partitions.

    Raises:
        CatalogError: it has not: an answer would be of another state of the lake.
    """
    glue = client("glue")
    there = _tables(glue, database)
    if there is None:
        raise CatalogError(f"there is no database {database}: {_REGISTER} {database}")
    for table in tables:
        known = there.get(table.name)
        if known is None or _described(known) != _described(_table_input(table, "")):
            raise CatalogError(
                f"{database} lacks the table {table.name}, or some of its columns: "
                f"{_REGISTER} {database}"
            )
        if _partitions(glue, database, table.name).keys() != {p.values for p in table.partitions}:
            raise CatalogError(
                f"{database}.{table.name} has other snapshots than the lake has now: "
                f"{_REGISTER} {database}"
            )


_REGISTER = "run `airkeep register LAKE --glue"


def _put_table(
    glue: Any, database: str, table: HiveTable, known: dict[str, Any] | None, lake: str
) -> Changes:
    wanted = _table_input(table, lake)
    with explained(f"registering the table {database}.{table.name}"):
        if known is None:
            glue.create_table(DatabaseName=database, TableInput=wanted)
            return Changes(created=1)
        if _described(known) != _described(wanted):
            glue.update_table(DatabaseName=database, TableInput=wanted)
            return Changes(updated=1)
    return Changes()


def _put_partitions(glue: Any, database: str, table: HiveTable) -> Changes:
    known = _partitions(glue, database, table.name)
    wanted = {p.values: _partition_input(table, p) for p in table.partitions}
    missing = [one for values, one in wanted.items() if values not in known]
    other = [
        {"PartitionValueList": list(values), "PartitionInput": one}
        for values, one in wanted.items()
        if values in known and _storage(known[values]) != _storage(one)
    ]
    gone = [list(values) for values in known if values not in wanted]
    at: dict[str, str] = {"DatabaseName": database, "TableName": table.name}

    def call(one: Callable[..., Any], name: str, entries: list[Any], many: int) -> None:
        for start in range(0, len(entries), many):
            with explained(f"registering partitions of {database}.{table.name}"):
                answer = one(**at, **{name: entries[start : start + many]})
            for error in answer.get("Errors", []):
                code = error["ErrorDetail"]["ErrorCode"]
                if code not in _DONE_BY_ANOTHER:
                    raise CatalogError(
                        f"a partition of {database}.{table.name} was refused ({code}): try again"
                    )

    call(glue.batch_create_partition, "PartitionInputList", missing, _AT_ONCE)
    call(glue.batch_update_partition, "Entries", other, _AT_ONCE)
    with ThreadPoolExecutor(_DELETERS) as pool:
        list(pool.map(partial(_delete_partition, glue, at), gone))
    return Changes(
        partitions_added=len(missing), partitions_updated=len(other), partitions_removed=len(gone)
    )


def _delete_partition(glue: Any, at: dict[str, str], values: list[str]) -> None:
    with (
        explained(f"removing a partition of {at['DatabaseName']}.{at['TableName']}"),
        suppress(glue.exceptions.EntityNotFoundException),
    ):
        glue.delete_partition(**at, PartitionValues=values)


_DONE_BY_ANOTHER = ("AlreadyExistsException", "EntityNotFoundException")


def _tables(glue: Any, database: str) -> dict[str, dict[str, Any]] | None:
    """The database's tables by name; None when it is not there."""
    found: dict[str, dict[str, Any]] = {}
    with explained(f"reading the database {database}"):
        try:
            glue.get_database(Name=database)
        except glue.exceptions.EntityNotFoundException:
            return None
        for table in _pages(glue, "get_tables", "TableList", DatabaseName=database):
            found[str(table["Name"])] = table
    return found


def _partitions(glue: Any, database: str, table: str) -> dict[tuple[str, ...], dict[str, Any]]:
    with explained(f"reading the partitions of {database}.{table}"):
        pages = _pages(glue, "get_partitions", "Partitions", DatabaseName=database, TableName=table)
        return {tuple(one["Values"]): one for one in pages}


def _pages(glue: Any, call: str, key: str, **arguments: str) -> Iterator[dict[str, Any]]:
    for page in glue.get_paginator(call).paginate(**arguments):
        yield from page[key]


def _owner(table: dict[str, Any]) -> str | None:
    owner: str | None = table.get("Parameters", {}).get(OWNER)
    return owner


def _table_input(table: HiveTable, lake: str) -> dict[str, Any]:
    return {
        "Name": table.name,
        "Description": table.comment,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet", OWNER: lake},
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in table.keys],
        "StorageDescriptor": _descriptor(table, table.location),
    }


def _partition_input(table: HiveTable, partition: HivePartition) -> dict[str, Any]:
    return {
        "Values": list(partition.values),
        "StorageDescriptor": _descriptor(table, partition.location),
    }


def _descriptor(table: HiveTable, location: str) -> dict[str, Any]:
    return {
        "Columns": [{"Name": name, "Type": kind} for name, kind in table.columns],
        "Location": location,
        "InputFormat": INPUT,
        "OutputFormat": OUTPUT,
        "SerdeInfo": {"SerializationLibrary": SERDE, "Parameters": {"serialization.format": "1"}},
    }


def _described(table: dict[str, Any]) -> tuple[Any, ...]:
    """What must be equal; Glue adds fields of its own."""
    keys = [(key["Name"], key["Type"]) for key in table.get("PartitionKeys", [])]
    return keys, _storage(table)


def _storage(one: dict[str, Any]) -> tuple[Any, ...]:
    storage = one["StorageDescriptor"]
    columns = [(column["Name"], column["Type"]) for column in storage.get("Columns", [])]
    serde = storage.get("SerdeInfo", {}).get("SerializationLibrary")
    return columns, str(storage.get("Location", "")).rstrip("/"), serde
