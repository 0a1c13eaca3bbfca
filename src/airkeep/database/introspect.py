"""Read a PostgreSQL database's own catalogue into a `Catalog`.

Every question is one SELECT that answers with one JSON text, so the same statements run
through DuckDB (inside the export's transaction) and through ADBC (at a restore's target).
Servers from 12 on are understood. PostgreSQL 18 lists NOT NULL among the constraints;
here it stays what older servers know, a property of the column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

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

_USER_SCHEMA = (
    "n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%' ESCAPE '\\'"
    " AND NOT EXISTS (SELECT 1 FROM pg_depend x WHERE x.classid = 'pg_class'::regclass"
    " AND x.objid = c.oid AND x.deptype = 'e')"
)

_TABLES = f"""
SELECT coalesce(json_agg(json_build_object(
    'oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
    'persistence', c.relpersistence, 'partition', c.relispartition,
    'inherits', EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = c.oid),
    'has_children', EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhparent = c.oid),
    'usable', has_schema_privilege(n.oid, 'usage')
  ) ORDER BY n.nspname, c.relname), '[]')::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND {_USER_SCHEMA}
"""

_COLUMNS = f"""
SELECT coalesce(json_agg(json_build_object(
    'oid', a.attrelid::bigint, 'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
    'type_kind', t.typtype,
    'notnull', a.attnotnull, 'identity', a.attidentity, 'generated', a.attgenerated,
    'default', pg_get_expr(d.adbin, d.adrelid),
    'not_null_name', (SELECT k.conname FROM pg_constraint k WHERE k.conrelid = a.attrelid
        AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]),
    'collation', CASE WHEN a.attcollation <> t.typcollation
      THEN (SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname) FROM pg_collation co
            JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) END
  ) ORDER BY a.attrelid, a.attnum), '[]')::text
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' AND {_USER_SCHEMA}
"""

_CONSTRAINTS = f"""
SELECT coalesce(json_agg(json_build_object(
    'oid', k.conrelid::bigint, 'name', k.conname, 'kind', k.contype,
    'definition', pg_get_constraintdef(k.oid),
    'columns', (SELECT json_agg(a.attname ORDER BY u.n)
       FROM unnest(k.conkey) WITH ORDINALITY u(num, n)
       JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num),
    'target_schema', fn.nspname, 'target', f.relname,
    'target_columns', (SELECT json_agg(a.attname ORDER BY u.n)
       FROM unnest(k.confkey) WITH ORDINALITY u(num, n)
       JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num),
    'deferrable', k.condeferrable
  ) ORDER BY k.conrelid, k.contype, k.conname), '[]')::text
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class f ON f.oid = k.confrelid
LEFT JOIN pg_namespace fn ON fn.oid = f.relnamespace
WHERE k.contype IN ('p', 'u', 'c', 'f', 'x') AND c.relkind = 'r' AND {_USER_SCHEMA}
"""

_INDEXES = f"""
SELECT coalesce(json_agg(json_build_object(
    'oid', i.indrelid::bigint, 'name', ic.relname, 'definition', pg_get_indexdef(i.indexrelid),
    'unique', i.indisunique, 'clustered', i.indisclustered
  ) ORDER BY i.indrelid, ic.relname), '[]')::text
FROM pg_index i
JOIN pg_class ic ON ic.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid
                  AND k.contype IN ('p', 'u', 'x'))
  AND c.relkind = 'r' AND i.indisvalid AND {_USER_SCHEMA}
"""

_SEQUENCES = f"""
SELECT coalesce(json_agg(json_build_object(
    'schema', n.nspname, 'name', c.relname, 'type', format_type(s.seqtypid, NULL),
    'start', s.seqstart, 'increment', s.seqincrement, 'minimum', s.seqmin, 'maximum', s.seqmax,
    'cache', s.seqcache, 'cycle', s.seqcycle,
    'owner_schema', tn.nspname, 'owner_table', t.relname, 'owner_column', a.attname,
    'identity', coalesce(d.deptype = 'i', false),
    'readable', has_sequence_privilege(c.oid, 'select')
  ) ORDER BY n.nspname, c.relname), '[]')::text
FROM pg_sequence s
JOIN pg_class c ON c.oid = s.seqrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
  AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN pg_class t ON t.oid = d.refobjid
LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE c.relpersistence <> 't' AND {_USER_SCHEMA}
"""

_ENUMS = f"""
SELECT coalesce(json_agg(json_build_object('schema', n.nspname, 'name', c.typname, 'labels',
    (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = c.oid)
  ) ORDER BY n.nspname, c.typname), '[]')::text
FROM pg_type c JOIN pg_namespace n ON n.oid = c.typnamespace
WHERE c.typtype = 'e' AND {_USER_SCHEMA.replace("'pg_class'::regclass", "'pg_type'::regclass")}
"""

_SCHEMAS = f"""
SELECT coalesce(json_agg(n.nspname ORDER BY n.nspname), '[]')::text FROM pg_namespace n
JOIN pg_namespace c ON c.oid = n.oid
WHERE {_USER_SCHEMA.replace("'pg_class'::regclass", "'pg_namespace'::regclass")}
"""

_FUNCTIONS = f"""
SELECT coalesce(json_agg(pg_get_functiondef(c.oid) ORDER BY n.nspname, c.proname, c.oid), '[]')
  ::text
FROM pg_proc c JOIN pg_namespace n ON n.oid = c.pronamespace
WHERE c.prokind IN ('f', 'p')
  AND {_USER_SCHEMA.replace("'pg_class'::regclass", "'pg_proc'::regclass")}
"""

_TRIGGERS = f"""
SELECT coalesce(json_agg(json_build_object('oid', c.oid::bigint, 'definition',
    pg_get_triggerdef(t.oid)) ORDER BY n.nspname, c.relname, t.tgname), '[]')::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND c.relkind = 'r' AND {_USER_SCHEMA}
"""

# What is there beside all that, and what `schema.sql` does not make.
_BESIDE = f"""
SELECT coalesce(json_agg(what ORDER BY what), '[]')::text FROM (
  SELECT 'aggregate ' || n.nspname || '.' || c.proname AS what
  FROM pg_proc c JOIN pg_namespace n ON n.oid = c.pronamespace
  WHERE c.prokind NOT IN ('f', 'p')
    AND {_USER_SCHEMA.replace("'pg_class'::regclass", "'pg_proc'::regclass")}
  UNION ALL
  SELECT CASE c.typtype WHEN 'd' THEN 'domain ' WHEN 'r' THEN 'range type '
    ELSE 'composite type ' END || n.nspname || '.' || c.typname
  FROM pg_type c JOIN pg_namespace n ON n.oid = c.typnamespace
  WHERE (c.typtype IN ('d', 'r') OR c.typtype = 'c' AND EXISTS (
      SELECT 1 FROM pg_class r WHERE r.oid = c.typrelid AND r.relkind = 'c'))
    AND {_USER_SCHEMA.replace("'pg_class'::regclass", "'pg_type'::regclass")}
  UNION ALL
  SELECT CASE WHEN p.polname IS NULL THEN 'row-level security of ' ELSE 'policy ' || p.polname
    || ' of ' END || n.nspname || '.' || c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_policy p ON p.polrelid = c.oid
  WHERE c.relkind = 'r' AND (c.relrowsecurity OR p.polname IS NOT NULL) AND {_USER_SCHEMA}
  UNION ALL
  SELECT 'rule ' || r.rulename || ' of ' || n.nspname || '.' || c.relname
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND {_USER_SCHEMA}
  UNION ALL
  SELECT 'storage parameters of ' || n.nspname || '.' || c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.reloptions IS NOT NULL AND {_USER_SCHEMA}
  UNION ALL
  SELECT 'disabled trigger ' || t.tgname || ' of ' || n.nspname || '.' || c.relname
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE NOT t.tgisinternal AND t.tgenabled <> 'O' AND c.relkind = 'r' AND {_USER_SCHEMA}
  UNION ALL
  SELECT 'comments on ' || n.nspname || '.' || c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND {_USER_SCHEMA} AND EXISTS (SELECT 1 FROM pg_description d
    WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid)
  UNION ALL
  SELECT 'extension ' || e.extname FROM pg_extension e WHERE e.extname <> 'plpgsql'
) AS beside
"""

_SERVER = "SELECT current_setting('server_version')"

_LINEAGE = """
SELECT json_build_object('database_oid',
    (SELECT oid::bigint FROM pg_database WHERE datname = current_database()),
    'server_start', to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC',
      'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'xmin', {xmin}, 'xmax', {xmax})::text
"""

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
    found = _rows(ask, _TABLES)
    kept = [t for t in found if _is_ordinary(t)]
    main = _main_schema(kept)
    parts = {
        name: _by_oid(_rows(ask, statement))
        for name, statement in (
            ("columns", _COLUMNS),
            ("constraints", _CONSTRAINTS),
            ("indexes", _INDEXES),
            ("triggers", _TRIGGERS),
        )
    }
    tables = tuple(_table(t, parts) for t in kept)
    return Catalog(
        engine="postgresql",
        server_version=ask(_SERVER),
        main_schema=main,
        tables=tables,
        revisions=_revisions(ask, main, {t.name for t in tables if t.schema == main}),
        sequences=_sequences(ask),
        enums=tuple(
            EnumType(e["schema"], e["name"], tuple(e["labels"] or ())) for e in _rows(ask, _ENUMS)
        ),
        functions=tuple(json.loads(ask(_FUNCTIONS))),
        schemas=tuple(json.loads(ask(_SCHEMAS))),
        left_out=(
            *(_left_out(t) for t in found if t not in kept),
            *json.loads(ask(_BESIDE)),
        ),
    )


def table_names(ask: Ask) -> list[tuple[str, str]]:
    """The (schema, name) of every ordinary table: what an export locks before it looks closer."""
    return [(t["schema"], t["name"]) for t in _rows(ask, _TABLES) if _is_ordinary(t)]


def ordinary_tables(ask: Ask) -> tuple[str, list[tuple[str, str]]]:
    """Airflow's schema, and the (schema, name) of every ordinary table.

    Raises:
        NotAirflowError: as `read_catalog` does.
    """
    found = [t for t in _rows(ask, _TABLES) if _is_ordinary(t)]
    return _main_schema(found), [(t["schema"], t["name"]) for t in found]


def _is_ordinary(table: Mapping[str, Any]) -> bool:
    return table["kind"] == "r" and not table["partition"] and not table["inherits"]


def read_lineage(ask: Ask) -> Lineage:
    """The database's identity and the transaction horizon of the caller's snapshot."""
    modern = int(ask("SELECT current_setting('server_version_num')")) >= 130000
    names = (
        ("pg_snapshot_xmin(pg_current_snapshot())", "pg_snapshot_xmax(pg_current_snapshot())")
        if modern
        else (
            "txid_snapshot_xmin(txid_current_snapshot())",
            "txid_snapshot_xmax(txid_current_snapshot())",
        )
    )
    xmin, xmax = (f"{name}::text::bigint" for name in names)
    got = json.loads(ask(_LINEAGE.format(xmin=xmin, xmax=xmax)))
    system = _optional(
        ask, "pg_control_system()", "SELECT system_identifier::text FROM pg_control_system()"
    )
    timeline = _optional(
        ask, "pg_control_checkpoint()", "SELECT timeline_id::text FROM pg_control_checkpoint()"
    )
    return Lineage(
        system_identifier=system or "",
        database_oid=got["database_oid"],
        timeline=int(timeline) if timeline else None,
        server_start=got["server_start"],
        xmin=got["xmin"],
        xmax=got["xmax"],
    )


def _optional(ask: Ask, function: str, statement: str) -> str | None:
    """The answer, where this user may call the function; asking without the right would abort."""
    allowed = ask(f"SELECT has_function_privilege({literal(function)}, 'execute')::text")
    return ask(statement) if allowed == "true" else None


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


def _sequences(ask: Ask) -> tuple[NumberSequence, ...]:
    rows = _rows(ask, _SEQUENCES)
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
