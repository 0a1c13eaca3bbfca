"""The models' SQL as other engines take it: transpiled, never written twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sqlglot import exp

Engine = Literal["duckdb", "spark", "athena"]

_MICROSECONDS = {"spark": "unix_micros", "athena": "to_unixtime"}


def transpile(sql: str, engine: Engine) -> str:
    """One SELECT of ours in another engine's SQL.

    Times are UTC in a session whose zone is UTC. Trino knows an instant's seconds as a double:
    exact to the microsecond until the year 2242.
    """
    import sqlglot

    if engine == "duckdb":
        return sql
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    text: str = tree.transform(_translated, engine).sql(dialect=engine, pretty=True)
    return text


def _translated(node: exp.Expression, engine: Engine) -> exp.Expression:
    """What sqlglot leaves as it is: DuckDB's microseconds since 1970, and what Trino has not."""
    from sqlglot import exp

    if isinstance(node, exp.Anonymous) and node.name.lower() == "epoch_us":
        called = exp.Anonymous(this=_MICROSECONDS[engine], expressions=node.expressions)
        if engine == "athena":
            return exp.Mul(this=called, expression=exp.Literal.number(1_000_000))
        return called
    return _for_trino(node) if engine == "athena" else node


def _for_trino(node: exp.Expression) -> exp.Expression:
    """Text as bytes, the number of bytes, and a hash of several values."""
    from sqlglot import exp

    if isinstance(node, exp.Unhex) and isinstance(node.this, exp.Hex):
        return exp.Anonymous(this="to_utf8", expressions=[node.this.this])
    if isinstance(node, exp.Anonymous) and node.name.lower() == "octet_length":
        return exp.Anonymous(this="length", expressions=node.expressions)  # of bytes only
    if isinstance(node, exp.Anonymous) and node.name.lower() == "hash":
        row = exp.Anonymous(this="row", expressions=node.expressions)
        text = exp.Anonymous(this="json_format", expressions=[exp.cast(row, "json")])
        data = exp.Anonymous(this="to_utf8", expressions=[text])
        return exp.Anonymous(this="xxhash64", expressions=[data])
    return node
