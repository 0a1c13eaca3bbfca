"""Which columns of a model the others read: what nobody reads is not computed, nor written.

Told by names alone: a column counts as read when any word of a SELECT from the model is its name,
or of the whole reader where that SELECT takes all. That is sometimes more than is read, and never
less: no model names columns by place, by pattern or by what two tables share, and a test looks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING

from airkeep.database.sql import ident
from airkeep.models.catalog import RAW, Model, models

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
    named = {word for reader in readers for word in _named_of(model.name, reader.sql)}
    wanted = [name for name in own if name.lower() in named] or own[:1]
    whole = model.sql
    if is_selection(model):
        # What a selection reads it reads of another model, which is narrowed by it in turn.
        kept = {*wanted, *(name for name in own if name in _words(f"SELECT 1{condition}"))}
        whole = _of(model.sql, [one for one in own if one in kept])
    return f"SELECT {', '.join(map(ident, wanted))} FROM ({whole}) AS whole{condition}"


def needs_no_table(model: Model, readers: Sequence[Model]) -> bool:
    """Whether one reader reads it, in one place, or it is a selection: it need not be kept."""
    from sqlglot import exp

    if any(model.name in made.sources for reader in readers for made in reader.made):
        return False
    if is_selection(models()[model.name]):
        return True
    if len(readers) != 1:
        return False
    tables = _tree(readers[0].sql).find_all(exp.Table)
    return sum(table.name == model.name for table in tables) == 1


def is_selection(model: Model) -> bool:
    """Whether it only chooses rows of one other model: to keep them once more gains nothing."""
    from sqlglot import exp

    tree = _tree(model.sql)
    read = [table.name for table in tree.find_all(exp.Table)]
    more = ("joins", "group", "distinct", "windows", "with_", "order", "limit")
    return (
        isinstance(tree, exp.Select)
        and len(read) == 1
        and not read[0].startswith(RAW)
        and read[0] in model.needs
        and not any(tree.args.get(part) for part in more)
        and tree.find(exp.Subquery, exp.Window, exp.AggFunc) is None
    )


def _of(sql: str, names: Collection[str]) -> str:
    """A SELECT with some of its columns."""
    from sqlglot import exp

    tree = _tree(sql).copy()
    assert isinstance(tree, exp.Select)  # noqa: S101
    tree.set("expressions", [one for one in tree.selects if one.alias_or_name in names])
    return tree.sql(dialect="duckdb")


def _takes_all(reader: Model, name: str) -> bool:
    from sqlglot import exp

    tree = _tree(reader.sql)
    differ = (select for select in tree.find_all(exp.Select) if select.args.get("distinct"))
    return (
        "*" in tree.named_selects
        or any(select.is_star for select in differ)
        or any(name in made.sources for made in reader.made)
    )


def _named_of(name: str, sql: str) -> set[str]:
    """The words of the SELECTs that read a model: its columns are nowhere else called by name."""
    from sqlglot import exp

    words: set[str] = set()
    for table in _tree(sql).find_all(exp.Table):
        if table.name == name:
            reading = table.find_ancestor(exp.Select)
            words |= _words_in(_tree(sql) if reading is None or reading.is_star else reading)
    return words


def _words(sql: str) -> set[str]:
    return _words_in(_tree(sql))


def _words_in(tree: exp.Expr) -> set[str]:
    from sqlglot import exp

    return {found.name.lower() for found in tree.find_all(exp.Identifier)}


@cache
def _tree(sql: str) -> exp.Query:
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, dialect="duckdb")
    assert isinstance(tree, exp.Query)  # noqa: S101 (our own files; a test reads them all)
    return tree
