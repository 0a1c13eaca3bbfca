"""SQLite's values as text that PostgreSQL casts to the target's own types.

SQLite types values, so the target's columns decide: its `uuid` is 32 digits there, its `boolean` 0
or 1, its `timestamp` text in UTC, its `json` text, or a bare number where SQLite's affinity made
one of it (a JSON column is NUMERIC to it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airkeep.database.catalog import Table
from airkeep.database.sqlite_value import RawText, Value, value_of
from airkeep.errors import RestoreError
from airkeep.restore.rows import TableRows

if TYPE_CHECKING:
    import pyarrow as pa

_MODIFIER = re.compile(r"\(.*\)")


def text_rows(table: Table, rows: TableRows) -> pa.RecordBatchReader:
    """The rows with every value as PostgreSQL's text of the target's type."""
    import pyarrow as pa

    found = rows.read()
    schema = pa.schema([(name, pa.string()) for name in found.schema.names])
    types = {c.name: _MODIFIER.sub("", c.type) for c in table.columns}
    literal = {c.name for c in rows.columns if c.encoding == "literal"}

    def texts() -> Iterator[pa.RecordBatch]:
        for batch in found:
            columns = []
            for name in schema.names:
                values = batch.column(batch.schema.get_field_index(name)).to_pylist()
                if name in literal:
                    values = [value_of(v) for v in values]
                where = f"{table.name}.{name}"
                columns.append(
                    pa.array([text_of(v, types[name], where) for v in values], type=pa.string())
                )
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, texts())


def text_of(value: Value, kind: str, where: str) -> str | None:
    r"""One value; bytes of a `bytea` as `\x...`.

    Args:
        kind: the target's type, without a length.
        where: table and column, for messages.

    Raises:
        RestoreError: text that PostgreSQL cannot hold.
    """
    if value is None:
        return None
    if kind == "bytea":
        raw = value if isinstance(value, bytes) else str(value).encode()
        return "\\x" + raw.hex()
    if isinstance(value, RawText | bytes):
        raise RestoreError(
            f"{where} holds bytes that are no text, and PostgreSQL's {kind} takes text only: leave "
            f"the table out with --skip"
        )
    if isinstance(value, float):
        return _number(value, kind)
    if isinstance(value, str) and "\0" in value:
        raise RestoreError(
            f"{where} holds a zero character, which PostgreSQL's {kind} cannot: leave the table "
            f"out with --skip"
        )
    return str(value)


def _number(value: float, kind: str) -> str:
    if kind in ("integer", "bigint", "smallint") and value.is_integer():
        return str(int(value))
    return repr(value).replace("inf", "Infinity")
