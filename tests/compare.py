"""What a database holds, told by PostgreSQL's own tools: an oracle apart from our readers."""

from __future__ import annotations

import re
from typing import Any

from airkeep.database.address import parse_address
from airkeep.database.server import Cluster

# A restore that changes nothing of what it restores: for tests that compare every row.
AS_IT_WAS: Any = {"in_flight": "keep", "missed_runs": "make"}
AS_IT_WAS_FLAGS = ("--in-flight", "keep", "--missed-runs", "make")

_NOISE = re.compile(r"^(--.*|\\(un)?restrict .*|)$")


def schema_of(server: Cluster, url: str) -> list[str]:
    """The lines of `pg_dump -s`, comments and random keys left out."""
    database = parse_address(url).database
    text = server.run("pg_dump", "-s", "-O", database=database)
    return [line for line in text.splitlines() if not _NOISE.match(line)]


def data_of(url: str) -> dict[str, list[str]]:
    """Every table's rows as sorted lines of text, and every sequence's state."""
    from adbc_driver_postgresql import dbapi

    found = {}
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(_TABLES)
        for schema, name, kind in list(cursor.fetchall()):
            label = name if schema == "public" else f"{schema}.{name}"
            if kind == "S":
                cursor.execute(
                    f'SELECT last_value::text || is_called::text FROM "{schema}"."{name}"'
                )
                label = f"sequence {label}"
            else:
                cursor.execute(f'SELECT t::text FROM "{schema}"."{name}" AS t')
            found[label] = sorted(row[0] for row in cursor.fetchall())
    return found


_TABLES = """
SELECT n.nspname, c.relname, c.relkind::text FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'S') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY 1, 2
"""
