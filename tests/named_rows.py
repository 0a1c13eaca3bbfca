"""Rows told by names: what points at another row says how people know that one.

Two environments that parsed the same DAGs by themselves know the same things under other numbers
and uuids. So a row's own number is left out, and each reference is told by the name of what it
points at: `dag_version living_pipeline 1`. Which column points where is read from the catalogue,
and what it does not say is written here by hand, from Airflow's models: the oracle for
`tables.references`, apart from it.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from servers import query

Row = dict[str, Any]

_NAMES = {
    "ab_user": ("username",),
    "asset": ("name", "uri"),
    "asset_event": ("timestamp",),
    "dag_run": ("dag_id", "run_id"),
    "dag_version": ("dag_id", "version_number"),
    "dataset": ("uri",),
    "dataset_event": ("timestamp",),
    "job": ("job_type", "start_date"),
    "log_template": ("filename",),
    "task_instance": ("dag_id", "task_id", "run_id", "map_index"),
    "trigger": ("classpath", "created_date"),
}
_UNSAID = {
    "asset_event": {"asset_id": "asset"},
    "dag_run": {"creating_job_id": "job", "scheduled_by_job_id": "job"},
    "dataset_event": {"dataset_id": "dataset"},
    "task_instance": {"job_id": "job", "queued_by_job_id": "job"},
    "task_instance_history": {
        "dag_version_id": "dag_version", "job_id": "job", "queued_by_job_id": "job",
        "trigger_id": "trigger",
    },
    "trigger": {"triggerer_id": "job"},
    "xcom": {"dag_run_id": "dag_run"},
}  # fmt: skip
_OWN = {"id", "task_instance_id"}
_SAID = """
SELECT f.conrelid::regclass::text, a.attname::text, f.confrelid::regclass::text FROM pg_constraint f
JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = f.confkey[1]
WHERE f.contype = 'f' AND cardinality(f.conkey) = 1 AND b.attname = 'id'
"""
_ORPHANS = """
SELECT format('SELECT count(*) FROM %s c WHERE num_nulls(%s) = 0 AND NOT EXISTS '
              '(SELECT 1 FROM %s p WHERE (%s) = (%s))', f.conrelid::regclass,
  (SELECT string_agg(format('c.%I', a.attname), ', ' ORDER BY k.n)), f.confrelid::regclass,
  (SELECT string_agg(format('p.%I', b.attname), ', ' ORDER BY k.n)),
  (SELECT string_agg(format('c.%I', a.attname), ', ' ORDER BY k.n)))
FROM pg_constraint f, unnest(f.conkey, f.confkey) WITH ORDINALITY k(c, p, n), pg_attribute a,
  pg_attribute b
WHERE f.contype = 'f' AND a.attrelid = f.conrelid AND a.attnum = k.c
  AND b.attrelid = f.confrelid AND b.attnum = k.p
GROUP BY f.oid, f.conrelid, f.confrelid
"""


class NamedRows:
    """A database's rows at one moment; `of` tells a table's."""

    def __init__(self, url: str) -> None:
        tables = [t for (t,) in query(url, "SELECT tablename::text FROM pg_tables "
                                           "WHERE schemaname = 'public'")]  # fmt: skip
        union = " UNION ALL ".join(
            f"SELECT '{t}', row_to_json(t)::text FROM \"{t}\" AS t" for t in tables
        )
        self._rows: dict[str, list[Row]] = {t: [] for t in tables}
        for table, text in query(url, union):
            self._rows[table].append(json.loads(text))
        self._points = {t: dict(columns) for t, columns in _UNSAID.items()}
        for table, column, parent in query(url, _SAID):
            self._points.setdefault(table, {})[column] = parent
        self._known: dict[str, dict[Any, Row]] = {}

    def rows(self, table: str) -> list[Row]:
        """A table's rows told by names; none where this Airflow has no such table."""
        return [self._told(table, row) for row in self._rows.get(table, ())]

    def of(self, table: str) -> Counter[str]:
        """The same as text, to be compared."""
        return Counter(json.dumps(row, sort_keys=True) for row in self.rows(table))

    def _told(self, table: str, row: Row) -> Row:
        points = self._points.get(table, {})
        return {
            column: self._name(points[column], value)
            if column in points and value is not None
            else value
            for column, value in row.items()
            if column not in _OWN
        }

    def _name(self, parent: str, number: Any) -> str:
        if parent not in self._known:
            self._known[parent] = {row["id"]: row for row in self._rows[parent]}
        row = self._known[parent].get(number)
        if row is None:
            return f"no {parent}"
        told = self._told(parent, row)
        return " ".join([parent, *(str(told[c]) for c in _NAMES.get(parent, told))])


def orphans(url: str) -> int:
    """How many rows point at none, by any foreign key of the database."""
    return sum(int(query(url, sql)[0][0]) for (sql,) in query(url, _ORPHANS))
