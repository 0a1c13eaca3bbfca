"""How a PostgreSQL value travels: the reader's expression and the Parquet type.

`PARQUET` types are named as DuckDB names them. Only types that every reader of a lake
takes are used (Spark knows no Parquet TIME or UUID, so those travel as text), and only
where the way out and back was proved exact (tests/integration/test_types.py). Everything
else, known or not, travels as the text that the database itself prints, which it takes
back with a cast: unconstrained numeric, interval, arrays, ranges, composites, money, ...
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from airkeep.database.catalog import Column


@dataclass(frozen=True)
class Travel:
    """A column's way.

    Attributes:
        parquet: the type in the file.
        encoding: `same`, `text` (as the database prints it) or `literal` (SQLite's, see `sqlite`).
    """

    parquet: str
    encoding: Literal["same", "text", "literal"] = "same"


_EXACT = {
    "boolean": "BOOLEAN",
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "text": "VARCHAR",
    "character varying": "VARCHAR",
    "json": "VARCHAR",
    "jsonb": "VARCHAR",
    "uuid": "VARCHAR",
    "bytea": "BLOB",
    "date": "DATE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
}

_MODIFIER = re.compile(r"\(\d+(?:,\d+)?\)")

# What the text of a value, ours in a statement too, depends on: the same for every session.
TEXT_SETTINGS = {
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "lc_monetary": "C",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}

TEXT = Travel("VARCHAR", "text")


def travel(column: Column) -> Travel:
    """How the column's values travel, from the type as `format_type` prints it.

    That is with its schema for whatever is no type of PostgreSQL's own (the search path is empty).
    """
    if column.type_kind == "e":
        return Travel("VARCHAR")
    parquet = _EXACT.get(_MODIFIER.sub("", column.type))
    return TEXT if parquet is None else Travel(parquet)


# Types whose every value another one takes, by a cast of its text: an upgraded database has `json`
# where a fresh one of the same Airflow has `jsonb`, and the other way round.
_TAKES = {
    "json": {"jsonb"},
    "jsonb": {"json"},
    "smallint": {"integer", "bigint"},
    "integer": {"bigint"},
    "real": {"double precision"},
    "character varying": {"text"},
    "text": {"character varying"},
}


def takes(target: str, source: str) -> bool:
    """Whether a column of the target's type can hold what the source's type holds.

    A shorter `character varying` may still refuse a value, and does so with an error.
    """
    wanted, given = _MODIFIER.sub("", target), _MODIFIER.sub("", source)
    if wanted == given:
        return target == source or wanted == "character varying"
    return wanted in _TAKES.get(given, ())


def same_wire(source: str, target: str) -> bool:
    """Whether a value travels in the same bytes into both."""
    texts = {"text", "character varying"}
    one, other = _MODIFIER.sub("", source), _MODIFIER.sub("", target)
    return one == other or {one, other} <= texts


# How a value goes into the server's binary COPY, as DuckDB's expression of the Parquet value `{}`
# (PostgreSQL documentation, "Binary Format" of COPY; the types' send and recv functions).
# Sent are bytes that the type's recv takes: times as microseconds since 2000 with the extreme
# integers for infinity, uuid as 16 bytes, jsonb as version 1 and its text. ADBC writes integers
# and bytes as they are, so nothing of the way depends on how it understands the types.
_EPOCH_US = 946_684_800_000_000
_MICROSECONDS = (
    "CASE WHEN isinf({0}) THEN CASE WHEN {0} > TIMESTAMP '2000-01-01' "
    "THEN 9223372036854775807 ELSE -9223372036854775808 END "
    f"ELSE epoch_us({{0}}) - {_EPOCH_US} END"
)
_WIRE = {
    "uuid": "unhex(replace({0}, '-', ''))",
    "jsonb": "'\\x01'::BLOB || encode({0})",
    "timestamp with time zone": _MICROSECONDS,
    "timestamp without time zone": _MICROSECONDS,
    "date": (
        "CASE WHEN isinf({0}) THEN CASE WHEN {0} > DATE '2000-01-01' "
        "THEN 2147483647 ELSE -2147483648 END ELSE {0} - DATE '2000-01-01' END::INTEGER"
    ),
}


def wire(column_type: str) -> str:
    """The template of DuckDB's expression that makes the bytes of a COPY field."""
    return _WIRE.get(_MODIFIER.sub("", column_type), "{0}")
