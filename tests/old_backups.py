"""Backups as other tools write them, from the rows of a database: an imitation, value by value.

What such a tool has in its hands are Python's values, as a driver gives them: text, int, float,
bool, datetime with a zone, bytes, and JSON as dicts. What it writes is `str` of each.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from servers import query

JSON_TYPES = ("json", "jsonb")


@dataclass(frozen=True)
class Rows:
    """A table as a driver gives it."""

    table: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def select(self, columns: Iterable[str]) -> Rows:
        """These columns, None where the table has none of that name."""
        wanted = tuple(columns)
        at = [self.columns.index(c) if c in self.columns else -1 for c in wanted]
        return Rows(
            self.table,
            wanted,
            tuple(self.types[i] if i >= 0 else "text" for i in at),
            [tuple(row[i] if i >= 0 else None for i in at) for row in self.rows],
        )


def read(url: str, table: str) -> Rows:
    """A table's rows, JSON already loaded."""
    found = query(
        url,
        "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute WHERE attnum > 0 "
        f"AND NOT attisdropped AND attrelid = 'public.{table}'::regclass ORDER BY attnum",
    )
    columns, types = zip(*found, strict=True)
    wanted = ", ".join(f'"{c}"::text' if t in (*JSON_TYPES, "uuid") else f'"{c}"' for c, t in found)
    rows = query(url, f'SELECT {wanted} FROM public."{table}"')
    return Rows(
        table,
        columns,
        types,
        [
            tuple(
                json.loads(v) if t in JSON_TYPES and v is not None else v
                for v, t in zip(row, types, strict=True)
            )
            for row in rows
        ],
    )


def tables_of(url: str) -> list[str]:
    """Every ordinary table of the schema public."""
    found = query(url, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
    return sorted(name for (name,) in found)


def _as_frame(rows: Rows) -> list[list[Any]]:
    """As a data frame holds them: a column of integers with a gap is one of floats."""
    turned = [list(column) for column in zip(*rows.rows, strict=True)]
    for at, values in enumerate(turned):
        kinds = {type(v) for v in values if v is not None}
        if kinds == {int} and None in values:
            turned[at] = [None if v is None else float(v) for v in values]
    return [list(row) for row in zip(*turned, strict=True)]


def _packed(path: Path, rows: Iterable[Sequence[Any]], **dialect: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file, **dialect).writerows(rows)


def write_dated(
    folder: Path,
    tables: Sequence[Rows],
    at: datetime,
    *,
    max_age_days: int | None = None,
    zone: bool = True,
    counts: dict[str, int] | None = None,
) -> Path:
    """`YYYY/MM/DD/<table>_HHMMSS.csv.gz` and the summary, written last; gives its folder."""
    day = folder / f"{at:%Y/%m/%d}"
    for number, rows in enumerate(tables):
        second = at.replace(second=min(number, 50))
        path = day / f"{rows.table}_{second:%H%M%S}.csv.gz"
        _packed(path, [rows.columns, *_as_frame(rows)], quoting=csv.QUOTE_ALL)
    summary = {
        "export_timestamp": (at if zone else at.replace(tzinfo=None)).isoformat(),
        "database_name": "airflow_metadb",
        "cutoff_date": None if max_age_days is None else at.isoformat(),
        "max_age_days": max_age_days,
        "total_tables": len(tables),
        "total_rows": sum(len(t.rows) for t in tables),
        "tables": {**{t.table: len(t.rows) for t in tables}, **(counts or {})},
    }
    end = at.replace(second=59)
    with gzip.open(day / f"export_summary_{end:%H%M%S}.json.gz", "wt") as file:
        json.dump(summary, file)
    return day


ORM_FOLDERS = {"dag_run": "dagrun", "task_fail": "taskfail", "task_instance": "taskinstance"}
ORM_NAMES = {("dag_run", "state"): "_state", ("task_instance", "try_number"): "_try_number"}


def write_orm(folder: Path, rows: Rows, day: str) -> Path:
    """`export/<kind>/dt=YYYY-MM-DD/<kind>.csv`: every attribute of the objects, as they come."""
    kind = ORM_FOLDERS[rows.table]
    path = folder / "export" / kind / f"dt={day}" / f"{kind}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [ORM_NAMES.get((rows.table, c), c) for c in rows.columns]
    extra = ["test_mode"] if rows.table == "task_instance" else []
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["_sa_instance_state", *names, *extra])
        for number, row in enumerate(rows.rows):
            state = f"<sqlalchemy.orm.state.InstanceState object at 0x7f{number:010x}>"
            writer.writerow([state, *row, *(False for _ in extra)])
    return path


def write_pipes(folder: Path, rows: Rows, name: str | None = None, delimiter: str = "|") -> Path:
    r"""`data/<table>.csv`: no header; bytea as `\x` and hex, which its SELECT asks for."""
    path = folder / "data" / f"{name or rows.table}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        for row in rows.rows:
            writer.writerow("\\x" + v.hex() if isinstance(v, bytes) else v for v in row)
    return path


def write_archive(folder: Path, rows: Rows, at: datetime) -> Path:
    """`_airflow_deleted__<table>__<time>.csv`; psycopg2 gives bytea as a memoryview."""
    path = folder / f"_airflow_deleted__{rows.table}__{at.astimezone(UTC):%Y%m%d%H%M%S}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows.columns)
        for row in rows.rows:
            writer.writerow(memoryview(v) if isinstance(v, bytes) else v for v in row)
    return path
