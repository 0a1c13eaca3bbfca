"""Read a PostgreSQL database's own catalogue into a `Catalog`.

Every question is one SELECT that answers with one JSON text, so the same statements run through
DuckDB (inside the export's transaction) and through ADBC (at a restore's target); questions that
need no other's answer are asked as one. Servers from 12 on are understood. PostgreSQL 18 lists NOT
NULL among the constraints; here it stays what older servers know, a property of the column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from airkeep.database import questions
from airkeep.database.catalog import (
    Catalog,
    Column,
    Constraint,
    EnumType,
    ForeignKey,
    Index,
    Lineage,
    NumberSequence,
    Table,
)
from airkeep.database.sql import ident, literal, qualified
from airkeep.errors import NotAirflowError

Ask = Callable[[str], str]
"""Runs a SELECT of one text value and returns it."""

AIRFLOW_CORE = frozenset({"dag", "dag_run", "task_instance"})

_PARTS = ("columns", "constraints", "indexes", "triggers")
_KINDS = {
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
}


def read_catalog(ask: Ask) -> Catalog:
    """Everything about the database, as it is inside the caller's transaction.

    Raises:
        NotAirflowError: no schema, or more than one, holds dag, dag_run and task_instance.
    """
    told = _answers(ask, questions.CATALOG)
    found = told["tables"]
    kept = [t for t in found if _is_ordinary(t)]
    main = _main_schema(kept)
    parts = {name: _by_oid(told[name]) for name in _PARTS}
    tables = tuple(_table(t, parts) for t in kept)
    return Catalog(
        engine="postgresql",
        server_version=told["server"],
        main_schema=main,
        tables=tables,
        revisions=_revisions(ask, main, {t.name for t in tables if t.schema == main}),
        sequences=_sequences(ask, told["sequences"]),
        enums=tuple(
            EnumType(e["schema"], e["name"], tuple(e["labels"] or ())) for e in told["enums"]
        ),
        functions=tuple(told["functions"]),
        schemas=tuple(told["schemas"]),
        left_out=(*(_left_out(t) for t in found if t not in kept), *told["beside"]),
    )


def table_names(ask: Ask) -> list[tuple[str, str]]:
    """The (schema, name) of every ordinary table: what an export locks before it looks closer."""
    return [(t["schema"], t["name"]) for t in _rows(ask, questions.TABLES) if _is_ordinary(t)]


def ordinary_tables(ask: Ask) -> tuple[str, list[tuple[str, str]]]:
    """Airflow's schema, and the (schema, name) of every ordinary table.

    Raises:
        NotAirflowError: as `read_catalog` does.
    """
    found = [t for t in _rows(ask, questions.TABLES) if _is_ordinary(t)]
    return _main_schema(found), [(t["schema"], t["name"]) for t in found]


def _is_ordinary(table: Mapping[str, Any]) -> bool:
    return table["kind"] == "r" and not table["partition"] and not table["inherits"]


def read_lineage(ask: Ask) -> Lineage:
    """The database's identity and the transaction horizon of the caller's snapshot."""
    server = _answers(ask, questions.ABOUT_SERVER)
    names = (
        ("pg_snapshot_xmin(pg_current_snapshot())", "pg_snapshot_xmax(pg_current_snapshot())")
        if server["version"] >= 130000
        else (
            "txid_snapshot_xmin(txid_current_snapshot())",
            "txid_snapshot_xmax(txid_current_snapshot())",
        )
    )
    asked = {key: q.format(xmin=names[0], xmax=names[1]) for key, q in questions.LINEAGE.items()}
    # To ask without the right would abort the transaction.
    if server["may_ask_system"]:
        asked["system_identifier"] = questions.SYSTEM
    if server["may_ask_checkpoint"]:
        asked["timeline"] = questions.TIMELINE
    return Lineage(**{"system_identifier": "", "timeline": None, **_answers(ask, asked)})


def _answers(ask: Ask, statements: Mapping[str, str]) -> dict[str, Any]:
    """The answers of several questions in one round trip."""
    parts = (f"{literal(name)}, ({statement})::json" for name, statement in statements.items())
    answers: dict[str, Any] = json.loads(ask(f"SELECT json_build_object({', '.join(parts)})::text"))
    return answers


def _rows(ask: Ask, statement: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(ask(statement))
    return rows


def _by_oid(rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    grouped: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(row["oid"], []).append(row)
    return grouped


def _main_schema(found: Collection[Mapping[str, Any]]) -> str:
    """The schema that holds an Airflow: where several do, the one that this user may use."""
    names: dict[str, set[str]] = {}
    for table in found:
        names.setdefault(table["schema"], set()).add(table["name"])
    homes = sorted(schema for schema, tables in names.items() if tables >= AIRFLOW_CORE)
    usable = {table["schema"] for table in found if table["usable"]}
    homes = [schema for schema in homes if schema in usable] or homes
    if not homes:
        seen = sum(len(tables) for tables in names.values())
        raise NotAirflowError(
            f"this is not an Airflow metadata database: no schema holds dag, dag_run and "
            f"task_instance ({seen} other tables seen). Check the database name in the address."
        )
    if len(homes) > 1:
        raise NotAirflowError(
            f"several schemas hold an Airflow: {', '.join(homes)}. Give the address of a database "
            f"user who has USAGE on only one of them, and add --airflow-only."
        )
    return homes[0]


def _left_out(table: Mapping[str, Any]) -> str:
    kind = _KINDS.get(table["kind"], "partition or inherited table")
    return f"{kind} {table['schema']}.{table['name']}"


def _table(
    row: Mapping[str, Any], parts: Mapping[str, Mapping[int, list[dict[str, Any]]]]
) -> Table:
    oid = row["oid"]
    columns = tuple(_column(c) for c in parts["columns"].get(oid, []))
    raw = parts["constraints"].get(oid, [])
    constraints = tuple(
        Constraint(k["name"], k["kind"], k["definition"], tuple(k["columns"] or ())) for k in raw
    )
    return Table(
        schema=row["schema"],
        name=row["name"],
        columns=columns,
        key=next((k.columns for k in constraints if k.kind == "p"), ()),
        constraints=constraints,
        foreign_keys=tuple(
            ForeignKey(
                k["name"],
                tuple(k["columns"]),
                k["target_schema"],
                k["target"],
                tuple(k["target_columns"]),
                k["deferrable"],
            )
            for k in raw
            if k["kind"] == "f"
        ),
        indexes=tuple(
            Index(i["name"], i["definition"], i["unique"], i["clustered"])
            for i in parts["indexes"].get(oid, [])
        ),
        triggers=tuple(t["definition"] for t in parts["triggers"].get(oid, [])),
        oid=oid,
        persistence=row["persistence"],
        has_children=row["has_children"],
    )


def _column(row: Mapping[str, Any]) -> Column:
    generated = row["default"] if row["generated"] else None
    return Column(
        name=row["name"],
        type=row["type"],
        nullable=not row["notnull"],
        default=None if generated else row["default"],
        identity=row["identity"],
        generated=generated,
        virtual=row["generated"] == "v",
        collation=row["collation"],
        not_null_name=row["not_null_name"],
        type_kind=row["type_kind"],
    )


def _sequences(ask: Ask, rows: list[dict[str, Any]]) -> tuple[NumberSequence, ...]:
    readable = [r for r in rows if r.pop("readable")]
    states = _states(ask, [qualified(r["schema"], r["name"]) for r in readable])
    known = {(r["schema"], r["name"]): s for r, s in zip(readable, states, strict=True)}
    return tuple(_sequence(row, known.get((row["schema"], row["name"]))) for row in rows)


def _sequence(row: dict[str, Any], state: tuple[int, bool] | None) -> NumberSequence:
    value, called = state or (row["start"], False)
    return NumberSequence(**row, last_value=value, is_called=called)


def _states(ask: Ask, names: list[str]) -> list[tuple[int, bool]]:
    if not names:
        return []
    parts = (
        f"SELECT {n} AS n, last_value AS v, is_called AS c FROM {name}"
        for n, name in enumerate(names)
    )
    union = " UNION ALL ".join(parts)
    found = ask(f"SELECT json_agg(json_build_array(v, c) ORDER BY n)::text FROM ({union}) AS s")
    return [(value, called) for value, called in json.loads(found)]


def _revisions(ask: Ask, schema: str, names: Collection[str]) -> tuple[str, ...]:
    if "alembic_version" not in names:
        return ()
    table = f"{ident(schema)}.alembic_version"
    found = ask(f"SELECT coalesce(json_agg(version_num), '[]')::text FROM {table}")
    return tuple(sorted(json.loads(found)))
