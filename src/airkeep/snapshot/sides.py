"""A table as one side of a comparison, and its values in a form that both sides share.

Two sides may hold one value in two ways: another integer type after an upgrade, SQLite's text for
a time, a literal where a column mixes storage classes. `canonical` gives the DuckDB expression
that is equal on both sides exactly where the value is.
"""

from __future__ import annotations

from dataclasses import dataclass

from airkeep.database.sql import ident
from airkeep.tables.secrets import Secret

_INTEGERS = frozenset({"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT"})
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_TIMES = frozenset({"DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"})


@dataclass(frozen=True)
class Field:
    """A column of one side: the database's type, the Parquet one, and how it is encoded.

    Attributes:
        dynamic: SQLite's: the Parquet type follows the values, so 5 and '5' may meet.
    """

    name: str
    type: str
    parquet: str
    encoding: str = "same"
    secret: Secret | None = None
    dynamic: bool = False


@dataclass(frozen=True)
class Side:
    """One of two tables: a SELECT of DuckDB, its columns and its key."""

    query: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]

    def field(self, name: str) -> Field:
        return next(f for f in self.fields if f.name == name)


def canonical(ours: Field, theirs: Field) -> str:
    """The expression of a column that is equal where the other side's value is the same one."""
    name = ident(ours.name)
    if ours.secret is not None:
        return name
    if _as_literals(ours, theirs):
        if ours.encoding == "literal":
            return _of_literal(name, theirs, strict=ours.dynamic and theirs.dynamic)
        return _as_literal(name, ours.parquet)
    if {ours.parquet, theirs.parquet} & _TIMES and "VARCHAR" in (ours.parquet, theirs.parquet):
        return _time_text(name) if ours.parquet == "VARCHAR" else _as_literal(name, ours.parquet)
    kind = _common_type(ours.parquet, theirs.parquet)
    value = name if kind == ours.parquet else f"{name}::{kind}"
    return _float_text(value) if kind in _FLOATS else value


def _as_literals(ours: Field, theirs: Field) -> bool:
    """Whether a value's storage class must be compared too, or one side knows nothing else."""
    if (ours.encoding == "literal") is not (theirs.encoding == "literal"):
        return True
    return ours.dynamic and theirs.dynamic and ours.parquet != theirs.parquet


def _common_type(ours: str, theirs: str) -> str:
    pair = {ours, theirs}
    if len(pair) == 1:
        return ours
    for kinds, widest in ((_INTEGERS, "BIGINT"), (_FLOATS, "DOUBLE"), (_TIMES, "TIMESTAMPTZ")):
        if pair <= kinds:
            return widest
    return "VARCHAR"


def _float_text(value: str) -> str:
    """DuckDB takes -0.0 for 0.0; their texts differ, and those of NaNs do not matter."""
    return f"CASE WHEN isnan({value}) THEN 'nan' ELSE ({value})::VARCHAR END"


def _as_literal(value: str, parquet: str) -> str:
    """A typed value as the SQLite literal that the other side has for it (sqlite_value)."""
    if parquet in _FLOATS:
        return "'r' || " + _float_text(value)
    if parquet in _TIMES:
        return f"'t' || {value}::TIMESTAMPTZ::VARCHAR"
    if parquet == "BOOLEAN":
        return f"{value}::TINYINT::VARCHAR"
    if parquet == "BLOB":
        return f"'X''' || hex({value}) || ''''"
    if parquet == "VARCHAR":
        return (
            f"CASE WHEN contains({value}, chr(0)) THEN 'CAST(X''' || hex({value}) || ''' AS TEXT)' "
            f"ELSE '''' || replace({value}, '''', '''''') || '''' END"
        )
    return f"{value}::VARCHAR"


def _of_literal(value: str, theirs: Field, *, strict: bool) -> str:
    """A SQLite literal so that it equals `_as_literal` of the same value; else left as it is.

    Args:
        strict: 5 is not 5.0; not so where the other side's column can hold one of them only.
    """
    if theirs.parquet in _FLOATS:
        shape = "-?[0-9]*[.e][0-9.e+-]*" if strict else "-?[0-9.][0-9.e+-]*"
        infinite = f"replace(replace({value}, '-9e999', 'r-inf'), '9e999', 'rinf')"
        return (
            f"CASE WHEN {value} IN ('9e999', '-9e999') THEN {infinite} "
            f"WHEN regexp_full_match({value}, '{shape}') "
            f"THEN 'r' || {_float_text(f'TRY_CAST({value} AS DOUBLE)')} ELSE {value} END"
        )
    if theirs.parquet in _TIMES:
        inner = f"trim({value}, '''')"
        return f"CASE WHEN {value} LIKE '''%' THEN {_time_text(inner)} ELSE {value} END"
    return value


def _time_text(value: str) -> str:
    """SQLite's times are text, UTC."""
    time = f"TRY_CAST({value} AS TIMESTAMPTZ)"
    return f"CASE WHEN {time} IS NULL THEN {value} ELSE 't' || {time}::VARCHAR END"
