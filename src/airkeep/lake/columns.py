"""One type for a column whatever database and version a piece of it came from.

PostgreSQL types its columns, SQLite its values, and Airflow changed both over the years. Here every
value gets one of seven kinds. Times are UTC, without a zone: a TIMESTAMP says the same to DuckDB,
Spark and Trino.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Literal

from airkeep.database.sql import ident
from airkeep.snapshot.manifest import ColumnEntry

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["boolean", "integer", "float", "text", "bytes", "date", "instant"]

SQL_TYPE: dict[Kind, str] = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "text": "STRING",
    "bytes": "BINARY",
    "date": "DATE",
    "instant": "TIMESTAMP",
}
"""Names that DuckDB and Spark both know."""

_PARQUET: dict[Kind, str] = {**SQL_TYPE, "text": "VARCHAR", "bytes": "BLOB"}

_ARROW_TYPE: dict[Kind, str] = {
    "boolean": "bool",
    "integer": "int64",
    "float": "float64",
    "text": "string",
    "bytes": "binary",
    "date": "date32",
    "instant": "timestamp[us]",
}

_KINDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("instant", ("timestamp", "datetime")),
    ("boolean", ("boolean", "bool")),
    ("integer", ("integer", "bigint", "smallint", "int")),
    ("float", ("double precision", "double", "real", "float")),
    ("bytes", ("bytea", "blob")),
    ("date", ("date",)),
)
_UUID = "char(32)"  # SQLite's, for PostgreSQL's uuid; a digest is varchar(32)


def kind_of(column: ColumnEntry) -> Kind:
    """What a column holds, by the type that its database declares."""
    return _kind_of(column.type.lower())


@cache
def _kind_of(declared: str) -> Kind:
    word = declared.partition("(")[0].partition(" with")[0].strip()
    return next((kind for kind, words in _KINDS if word in words), "text")


def arrow_type(kind: Kind) -> pa.DataType:
    """The kind as Arrow has it."""
    import pyarrow as pa

    return pa.type_for_alias(_ARROW_TYPE[kind])


def united(kinds: Collection[Kind]) -> Kind:
    """The kind that holds all of these."""
    several = set(kinds)
    if len(several) == 1:
        return several.pop()
    return "float" if several == {"integer", "float"} else "text"


def value(column: ColumnEntry, engine: str, to: Kind) -> str:
    """The column's value as that kind, as an expression that DuckDB and Spark both take.

    A SQLite value that its declared type cannot hold becomes NULL, save in text.
    """
    name = ident(column.name)
    if column.encoding == "literal":
        if to == "bytes":
            text = _utf8(_plain(name))
            return f"CASE WHEN {name} LIKE 'X%' THEN {_unquoted(name)} ELSE {text} END"
        name = _plain(name)
    if column.parquet == "BLOB" and to == "text":
        return _as_hex(name)
    if engine == "sqlite":
        return _sqlite(name, column, to)
    if kind_of(column) == to and column.parquet == _PARQUET[to]:
        return name
    if to == "bytes" and column.parquet == "VARCHAR":
        return _utf8(name)
    return f"CAST({name} AS {SQL_TYPE[to]})"


def _sqlite(name: str, column: ColumnEntry, to: Kind) -> str:
    own = kind_of(column)
    if column.parquet == "BLOB":
        return name if to == "bytes" else f"CAST(NULL AS {SQL_TYPE[to]})"
    if own == "text" and column.type.lower() == _UUID:
        parts = ", '-', ".join(f"substr({name}, {at}, {n})" for at, n in _UUID_PARTS)
        return f"CASE WHEN length({name}) = 32 THEN concat({parts}) ELSE {name} END"
    text = f"CAST({name} AS STRING)"
    if to == "bytes":
        return _utf8(text)
    if to == "text" or column.parquet == _PARQUET[to]:
        return text if to == "text" else name
    if to == "boolean" and column.parquet == "BIGINT":
        return f"CAST({name} AS BOOLEAN)"
    return f"TRY_CAST({text} AS {SQL_TYPE[to]})"


_UUID_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))


def _utf8(text: str) -> str:
    """The bytes of a text; DuckDB's cast would read escapes in it."""
    return f"unhex(hex({text}))"


def _unquoted(name: str) -> str:
    """The bytes of a literal that is written as `X'00FF'`."""
    return f"unhex(substr({name}, 3, length({name}) - 3))"


def _as_hex(name: str) -> str:
    """Bytes as text, as PostgreSQL writes them; every engine's cast does something else."""
    return f"chr(92) || 'x' || lower(hex({name}))"


def _plain(name: str) -> str:
    """A SQLite literal as the text that it stands for; bytes stay as they are written."""
    quote = "chr(39)"  # Spark 3.5 does not read two quotes within a literal as one
    inside = f"replace(substr({name}, 2, length({name}) - 2), concat({quote}, {quote}), {quote})"
    return f"CASE WHEN substr({name}, 1, 1) = {quote} THEN {inside} ELSE {name} END"
