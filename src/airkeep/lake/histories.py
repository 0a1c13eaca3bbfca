"""How the history of a table is named: `<table>_history`, and `history.<table>`, which is free.

Airflow has tables of its own that end so (`task_instance_history`), and a lake may have one of a
schema of that name (`history.x`). A table of the lake goes before a history of that name.
"""

from __future__ import annotations

from collections.abc import Collection

from airkeep.database.sql import ident

SUFFIX, SCHEMA = "_history", "history"
PREFIX = f"{SCHEMA}."


def histories(name: str) -> list[str]:
    """The tables whose history a name may mean, likeliest first; none where it means no history.

    `history.x_history` is the one of the table `history.x` where there is such a table.
    """
    lower = name.lower()
    found = [name[: -len(SUFFIX)]] if lower.endswith(SUFFIX) else []
    return [*found, name[len(PREFIX) :]] if lower.startswith(PREFIX) else found


def as_written(name: str, known: Collection[str]) -> str:
    """The name of a table, or of its history, in the capitals that the known tables have."""
    written = {one.lower(): one for one in known}
    lower = name.lower()
    if lower in written:
        return written[lower]
    if (table := lower.removesuffix(SUFFIX)) in written:
        return written[table] + SUFFIX
    if (table := lower.removeprefix(PREFIX)) in written:
        return PREFIX + written[table]
    return name


def in_sql(name: str) -> str:
    """A table's or a history's name as a statement for DuckDB names it."""
    if name.lower().startswith(PREFIX):
        return f"{SCHEMA}.{ident(name[len(PREFIX) :])}"
    return ident(name)
