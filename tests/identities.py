"""What a database says, told without the numbers and uuids it gave its rows.

Every row becomes a value in which a reference stands for what the row pointed at says, all the way
down. Two databases that hold the same under other ids have the same values: the oracle for a merge,
written apart from it. Rows are read as JSON, so that any type compares as the server prints it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import query

_TABLES = """
SELECT json_agg(json_build_object(
  'name', c.relname,
  'types', (SELECT json_object_agg(a.attname, format_type(a.atttypid, a.atttypmod))
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'key', (SELECT json_agg(a.attname ORDER BY k.place) FROM pg_constraint p,
          unnest(p.conkey) WITH ORDINALITY k(n, place), pg_attribute a
          WHERE p.conrelid = c.oid AND p.contype = 'p' AND a.attrelid = c.oid AND a.attnum = k.n),
  'links', (SELECT json_agg(json_build_array(a.attname, f.confrelid::regclass::text, b.attname))
            FROM pg_constraint f, pg_attribute a, pg_attribute b
            WHERE f.conrelid = c.oid AND f.contype = 'f' AND cardinality(f.conkey) = 1
            AND a.attrelid = c.oid AND a.attnum = f.conkey[1]
            AND b.attrelid = f.confrelid AND b.attnum = f.confkey[1])
))::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind = 'r'
"""
# What no foreign key says, by hand from Airflow's models.
_SOFT = {
    ("task_instance", "job_id"): "job",
    ("task_instance", "queued_by_job_id"): "job",
    ("task_instance_history", "job_id"): "job",
    ("task_instance_history", "queued_by_job_id"): "job",
    ("task_instance_history", "trigger_id"): "trigger",
    ("task_instance_history", "dag_version_id"): "dag_version",
    ("dag_run", "creating_job_id"): "job",
    ("dag_run", "scheduled_by_job_id"): "job",
    ("trigger", "triggerer_id"): "job",
    ("xcom", "dag_run_id"): "dag_run",
    ("asset_event", "asset_id"): "asset",
    ("dataset_event", "dataset_id"): "dataset",
    ("partitioned_asset_key_log", "asset_id"): "asset",
    ("partitioned_asset_key_log", "asset_event_id"): "asset_event",
    ("partitioned_asset_key_log", "asset_partition_dag_run_id"): "asset_partition_dag_run",
}


@dataclass
class Said:
    """A database's rows by table, and what each says."""

    rows: dict[str, list[dict[str, Any]]]
    own: dict[str, str]
    links: dict[tuple[str, str], tuple[str, str]]
    index: dict[tuple[str, str], dict[Any, dict[str, Any]]] = field(default_factory=dict)
    memo: dict[tuple[str, Any], str] = field(default_factory=dict)

    def of(self, table: str) -> Counter[str]:
        """How often each thing is said in a table."""
        return Counter(self.says(table, row) for row in self.rows[table])

    def says(self, table: str, row: dict[str, Any]) -> str:
        own = self.own.get(table)
        known = (table, row[own]) if own else None
        if known in self.memo:
            return self.memo[known]
        if known:
            self.memo[known] = f"{table} itself"
        told = {c: self._told(table, c, v) for c, v in row.items() if c != own}
        said = json.dumps(told, sort_keys=True)
        if known:
            self.memo[known] = said
        return said

    def _told(self, table: str, column: str, value: Any) -> Any:
        link = self.links.get((table, column))
        if link is None or value is None:
            return value
        parent, to = link
        if (parent, to) not in self.index:
            self.index[parent, to] = {r[to]: r for r in self.rows[parent]}
        found = self.index[parent, to].get(value)
        return f"nothing: {value}" if found is None else f"{parent}: {self.says(parent, found)}"


@dataclass
class _Table:
    key: list[str]
    types: dict[str, str]
    links: list[tuple[str, str, str]]  # column, parent, its column


def what_it_says(place: str | Path) -> Said:
    """Read the whole database: a PostgreSQL's by its URL, a SQLite file by its path."""
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as db:
            tables = _of_file(db)
            return _said(tables, {name: _file_rows(db, name) for name in tables})
    told = json.loads(query(place, _TABLES)[0][0])
    tables = {t["name"]: _Table(t["key"] or [], t["types"], t["links"] or []) for t in told}
    parts = (
        f"SELECT '{name}' AS name, row_to_json(t)::text AS row FROM \"{name}\" t" for name in tables
    )
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in tables}
    for name, text in query(place, " UNION ALL ".join(parts)):
        rows[name].append(json.loads(text))
    return _said(tables, rows)


def _of_file(db: sqlite3.Connection) -> dict[str, _Table]:
    names = [
        name
        for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    ]
    tables = {}
    for name in names:
        info = db.execute(f'PRAGMA table_info("{name}")').fetchall()
        foreign = db.execute(f'PRAGMA foreign_key_list("{name}")').fetchall()
        sizes = Counter(row[0] for row in foreign)
        tables[name] = _Table(
            key=[row[1] for row in sorted(info, key=lambda r: r[5]) if row[5]],
            types={row[1]: row[2].lower() for row in info},
            links=[(row[3], row[2], row[4] or "id") for row in foreign if sizes[row[0]] == 1],
        )
    return tables


def _file_rows(db: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    cursor = db.execute(f'SELECT * FROM "{name}"')
    columns = [d[0] for d in cursor.description]
    return [
        {c: v.hex() if isinstance(v, bytes) else v for c, v in zip(columns, row, strict=True)}
        for row in cursor
    ]


def _said(tables: dict[str, _Table], rows: dict[str, list[dict[str, Any]]]) -> Said:
    links = {(name, c): (p, to) for name, t in tables.items() for c, p, to in t.links}
    for (table, column), parent in _SOFT.items():
        if parent in tables and table in tables and column in tables[table].types:
            links.setdefault((table, column), (parent, "id"))
    own = {
        name: t.key[0]
        for name, t in tables.items()
        if len(t.key) == 1 and (name, t.key[0]) not in links and _is_given(t.key[0], t)
    }
    return Said(rows, own, {k: v for k, v in links.items() if own.get(v[0]) == v[1]})


def _is_given(column: str, table: _Table) -> bool:
    kind = table.types[column]
    return kind in ("uuid", "char(32)") or (kind in ("integer", "bigint") and column == "id")
