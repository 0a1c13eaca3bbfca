"""What must be equal before and after a migration: which columns of which rows, by which key.

A fact has the same name and the same key in every version, whatever table and column hold it:
a run is (dag_id, run_id), a task instance (dag_id, task_id, run_id, map_index), though Airflow up
to 2.1 keeps its run's time instead, and 3.x keeps the notes of a task by a uuid. Here is the
`SELECT` that gives a fact's rows from one side's tables; it is pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from airkeep.database.sql import ident
from airkeep.snapshot.sides import Field, Side

Tables = Mapping[str, Mapping[str, Field]]
"""The columns of each table of one side, by label."""
Kept = Literal["", "conf", "xcom"]


@dataclass(frozen=True)
class Fact:
    """One kind of rows.

    Attributes:
        key, values: columns; `new|old` for one that was renamed.
        kept: the last value is JSON that Airflow 2 kept in another way.
    """

    what: str
    table: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    kept: Kept = ""


@dataclass(frozen=True)
class _Link:
    """How a row finds its parent, which has what of the key it lacks."""

    parent: str
    on: tuple[tuple[str, str], ...]


_RUN = ("dag_id", "run_id")
_TASK = ("dag_id", "task_id", "run_id", "map_index")
_RUN_VALUES = (
    "state", "run_type", "start_date", "end_date", "queued_at", "logical_date|execution_date",
    "data_interval_start", "data_interval_end", "clear_number", "creating_job_id",
)  # fmt: skip
_TRY = (
    "state", "start_date", "end_date", "duration", "max_tries", "hostname", "unixname", "pool",
    "pool_slots", "queue", "priority_weight", "operator", "custom_operator_name", "queued_dttm",
    "pid", "external_executor_id", "trigger_id", "next_method", "rendered_map_index",
    "task_display_name", "executor",
)  # fmt: skip
_NOTE = ("content", "created_at", "user_id")
_CONNECTION = (
    "conn_type", "description", "host", "schema", "login", "password", "port", "is_encrypted",
    "is_extra_encrypted", "extra",
)  # fmt: skip

FACTS = (
    Fact("runs", "dag_run", _RUN, _RUN_VALUES),
    Fact("confs", "dag_run", _RUN, ("conf",), kept="conf"),
    Fact("task instances", "task_instance", _TASK, ("try_number", *_TRY)),
    Fact("attempts", "task_instance_history", (*_TASK, "try_number"), _TRY),
    Fact("run notes", "dag_run_note", _RUN, _NOTE),
    Fact("task notes", "task_instance_note", _TASK, _NOTE),
    Fact("XComs", "xcom", (*_TASK, "key"), ("timestamp", "value"), kept="xcom"),
    Fact("connections", "connection", ("conn_id",), _CONNECTION),
    Fact("variables", "variable", ("key",), ("val", "description", "is_encrypted")),
    Fact("pools", "slot_pool", ("pool",), ("slots", "description", "include_deferred")),
    Fact("DAGs", "dag", ("dag_id",), ("is_paused", "fileloc", "owners", "description")),
    Fact("users", "ab_user", ("username",), ("first_name", "last_name", "password", "email")),
    Fact("roles", "ab_role", ("name",), ()),
    Fact(
        "events",
        "log",
        ("id",),
        ("dttm", "dag_id", "task_id", "event", "logical_date|execution_date", "owner", "extra"),
    ),
)

_BY_TIME = _Link("dag_run", (("dag_id", "dag_id"), ("execution_date", "execution_date")))
_LINKS = {
    "task_instance": (_BY_TIME,),
    "xcom": (_BY_TIME,),
    "dag_run_note": (_Link("dag_run", (("dag_run_id", "id"),)),),
    "task_instance_note": (_Link("task_instance", (("ti_id", "id"),)),),
}
# Before 2.3 every task instance was what an unmapped one is now.
_UNMAPPED = Field("map_index", "integer", "INTEGER")


def tables_of(fact: Fact, tables: Tables) -> tuple[str, ...]:
    """The tables that a fact is read from, the fact's own first; none where it is not there."""
    if fact.table not in tables:
        return ()
    link = _link(fact, tables)
    return (fact.table,) if link is None else (fact.table, link.parent)


def side_of_fact(fact: Fact, tables: Tables, prefix: str) -> Side | None:
    """A fact's rows as one side holds them; None where it does not hold such rows.

    Args:
        prefix: of the views that the tables are, `old_` or `new_`.
    """
    if fact.table not in tables:
        return None
    link = _link(fact, tables)
    own = tables[fact.table]
    parents = tables[link.parent] if link is not None else {}
    chosen: list[tuple[str, Field]] = []
    for name in (*fact.key, *fact.values):
        found = _find(name, own, parents)
        if found is None and name in fact.key:
            if name != "map_index":
                return None
            found = ("-1", _UNMAPPED)
        if found is not None:
            output = name.partition("|")[0]
            chosen.append((f"{found[0]} AS {ident(output)}", replace(found[1], name=output)))
    source = f"{ident(prefix + fact.table)} t"
    if link is not None:
        same = " AND ".join(f"t.{ident(ours)} = p.{ident(its)}" for ours, its in link.on)
        source += f" JOIN {ident(prefix + link.parent)} p ON {same}"
    columns = ", ".join(expression for expression, _ in chosen)
    whole = " AND ".join(f"{ident(name)} IS NOT NULL" for name in fact.key)
    query = f"SELECT * FROM (SELECT {columns} FROM {source}) WHERE {whole}"
    return Side(query, tuple(field for _, field in chosen), fact.key)


def _link(fact: Fact, tables: Tables) -> _Link | None:
    """The way to what of the key the fact's own table lacks, where there is one."""
    own = tables[fact.table]
    if all(name in own for name in fact.key if name != "map_index"):
        return None
    for link in _LINKS.get(fact.table, ()):
        there = tables.get(link.parent, {})
        if all(ours in own and its in there for ours, its in link.on):
            return link
    return None


def _find(
    name: str, own: Mapping[str, Field], parents: Mapping[str, Field]
) -> tuple[str, Field] | None:
    for one in name.split("|"):
        for alias, columns in (("t", own), ("p", parents)):
            if one in columns and (alias == "t" or name in _TASK):
                return f"{alias}.{ident(one)}", columns[one]
    return None
