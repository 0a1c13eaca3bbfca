"""Which columns of a model the others read: what nobody reads is not computed, nor written.

Told by names alone: a column counts as read when any word of a reader's SQL is its name. That is
sometimes more than is read, and never less.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from airkeep.database.sql import ident
from airkeep.models.catalog import Model

if TYPE_CHECKING:
    from sqlglot import exp


def narrowed(model: Model, readers: Collection[Model], *, where: str | None = None) -> str:
    """The model's SQL, with those of its columns that the readers name.

    All of its columns without a reader, or where a reader's rows depend on more than it names: it
    gives all that it reads, or asks for rows that differ in any column, or is given them in Python.

    Args:
        where: a condition on the model's columns; only rows that meet it are made.
    """
    own = _tree(model.sql).named_selects
    condition = f" WHERE {where}" if where else ""
    if not readers or "*" in own or any(_takes_all(reader, model.name) for reader in readers):
        return f"SELECT * FROM ({model.sql}) AS whole{condition}" if where else model.sql
    named = {word for reader in readers for word in _words(reader.sql)}
    wanted = [name for name in own if name.lower() in named] or own[:1]
    return f"SELECT {', '.join(map(ident, wanted))} FROM ({model.sql}) AS whole{condition}"


def read_once(model: Model, readers: Sequence[Model]) -> bool:
    """Whether one reader reads it, in one place: then it need not be kept."""
    from sqlglot import exp

    if len(readers) != 1 or any(model.name in made.sources for made in readers[0].made):
        return False
    tables = _tree(readers[0].sql).find_all(exp.Table)
    return sum(table.name == model.name for table in tables) == 1


def _takes_all(reader: Model, name: str) -> bool:
    from sqlglot import exp

    tree = _tree(reader.sql)
    differ = (select for select in tree.find_all(exp.Select) if select.args.get("distinct"))
    return (
        "*" in tree.named_selects
        or any(select.is_star for select in differ)
        or any(name in made.sources for made in reader.made)
    )


def _words(sql: str) -> set[str]:
    from sqlglot import exp

    return {found.name.lower() for found in _tree(sql).find_all(exp.Identifier)}


def _tree(sql: str) -> exp.Query:
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, dialect="duckdb")
    assert isinstance(tree, exp.Query)  # noqa: S101 (our own files; a test reads them all)
    return tree
