"""The SQL of a prune on PostgreSQL, as text.

One batch is one transaction: its units' roots are locked, those that somebody else has locked are
passed over; then the rows that others may point at. From then on no foreign key can gain a new row
(it would have to lock its parent). A unit that a row points at which was not proved is taken out.
The rest is deleted, children first: by key *and* row version, and a parent only when nothing points
at it any more. So the DELETE itself says what was proved; whatever changed meanwhile is not met,
its parent stays, the roots that left are fewer than the units, and the batch is undone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from airkeep.database.catalog import Table
from airkeep.database.sql import ident, qualified
from airkeep.prune.plan import Family, Hang
from airkeep.prune.units import BATCH, UNIT
from airkeep.snapshot.prove import VERSION

TEMP = "pg_temp"
_UNITS, _GONE = f"{TEMP}.airkeep_units", f"{TEMP}.airkeep_gone"

# A batch that waits for a lock holds others: it gives up well before PostgreSQL looks for
# deadlocks (1 s), so that it is never Airflow's transaction that is ended to break one.
LOCK_TIMEOUT_MS = 100

PREPARE = (
    f"CREATE TEMPORARY TABLE airkeep_units ({UNIT} bigint NOT NULL) ON COMMIT DELETE ROWS; "
    "CREATE TEMPORARY TABLE airkeep_gone (place int, rows bigint) ON COMMIT DELETE ROWS"
)


def stage_name(place: int) -> str:
    """The temporary table of a member's rows that leave."""
    return f"airkeep_stage_{place}"


def create_stage(place: int, table: Table, columns: Sequence[str]) -> str:
    """The table that says which rows leave: their keys and versions, and what others point at."""
    types = {c.name: c.type for c in table.columns}
    listed = ", ".join(f"{ident(c)} {types[c]}" for c in columns)
    return (
        f"DROP TABLE IF EXISTS {TEMP}.{stage_name(place)}; CREATE TEMPORARY TABLE "
        f"{stage_name(place)} ({BATCH} int, {UNIT} bigint, {VERSION} xid, {listed})"
    )


def index_stage(place: int) -> str:
    """What the planner wants to know of it when it is filled."""
    name = stage_name(place)
    return f"CREATE INDEX ON {TEMP}.{name} ({BATCH}); ANALYZE {TEMP}.{name}"


class BatchWriter:
    """The statements of one family's batches.

    Args:
        tables: of the catalogue, by label.
    """

    def __init__(self, family: Family, tables: dict[str, Table]) -> None:
        self._family, self._tables = family, tables
        self._places = {m.label: n for n, m in enumerate(family.members)}

    def weed(self) -> str:
        """Take out what is named by a row that stays, before the family's first batch."""
        statements = []
        for hang in self._family.weeds:
            same = _same("c", hang.columns, "s", hang.to)
            statements.append(
                f"DELETE FROM {TEMP}.{stage_name(0)} s WHERE EXISTS "
                f"(SELECT FROM ONLY {self._name(hang.child)} c WHERE {same})"
            )
        if not statements:
            return ""
        return "; ".join(["BEGIN", HASHED, *statements, "COMMIT"])

    def begin(self) -> str:
        # Each batch meets few rows of large tables: their indexes, never a scan.
        return (
            "BEGIN ISOLATION LEVEL READ COMMITTED; "
            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MS}ms'; SET LOCAL enable_seqscan = off"
        )

    def delete(self, batch: int) -> str:
        """All of one batch but its end."""
        locked = [self._lock_parent(place, batch) for place in self._parents()]
        pointing = [self._take_out(hang, batch) for hang in self._family.hangs]
        deleted = [self._delete(place, batch) for place in reversed(range(len(self._places)))]
        return "; ".join([self._lock_roots(batch), *locked, *pointing, *deleted])

    @property
    def outcome(self) -> str:
        """The SELECT of what the batch did: units that were to leave, and rows by place."""
        return (
            f"SELECT -1 AS place, count(*) AS rows FROM {_UNITS} "
            f"UNION ALL SELECT place, rows FROM {_GONE}"
        )

    def _parents(self) -> list[int]:
        found = {h.parent for h in self._family.hangs if h.hard}
        return [n for label, n in self._places.items() if label in found and n]

    def _lock_roots(self, batch: int) -> str:
        return (
            f"INSERT INTO {_UNITS} SELECT s.{UNIT} FROM {TEMP}.{stage_name(0)} s "
            f"JOIN ONLY {self._table(0)} t ON {self._is_row(0)} WHERE s.{BATCH} = {batch} "
            f"FOR UPDATE OF t SKIP LOCKED"
        )

    def _lock_parent(self, place: int, batch: int) -> str:
        key = self._key(place)
        return (
            f"SELECT 1 FROM {TEMP}.{stage_name(place)} s JOIN {_UNITS} u USING ({UNIT}) "
            f"JOIN ONLY {self._table(place)} t ON {_same('t', key, 's', key)} "
            f"WHERE s.{BATCH} = {batch} FOR UPDATE OF t"
        )

    def _take_out(self, hang: Hang, batch: int) -> str:
        parent, child = self._places[hang.parent], self._places.get(hang.child)
        proved = ""
        if child is not None:
            key = self._key(child)
            proved = (
                f" AND NOT EXISTS (SELECT FROM {TEMP}.{stage_name(child)} k "
                f"WHERE k.{BATCH} = {batch} AND k.{UNIT} = p.{UNIT} "
                f"AND k.{VERSION} = c.xmin AND {_same('k', key, 'c', key)})"
            )
        same = _same("c", hang.columns, "p", hang.to)
        return (
            f"DELETE FROM {_UNITS} WHERE {UNIT} IN (SELECT p.{UNIT} "
            f"FROM {TEMP}.{stage_name(parent)} p JOIN {self._name(hang.child)} c ON {same} "
            f"WHERE p.{BATCH} = {batch}{proved})"
        )

    def _delete(self, place: int, batch: int) -> str:
        label = self._family.members[place].label
        free = "".join(
            f" AND NOT EXISTS (SELECT FROM {self._name(h.child)} c "
            f"WHERE {_same('c', h.columns, 't', h.to)}{self._other_row(h)})"
            for h in self._family.hangs
            if h.parent == label
        )
        return (
            f"WITH gone AS (DELETE FROM ONLY {self._table(place)} t "
            f"USING {TEMP}.{stage_name(place)} s, {_UNITS} u WHERE s.{BATCH} = {batch} "
            f"AND u.{UNIT} = s.{UNIT} AND {self._is_row(place)}{free} RETURNING 1) "
            f"INSERT INTO {_GONE} SELECT {place}, count(*) FROM gone"
        )

    def _other_row(self, hang: Hang) -> str:
        """A row that points at itself does not keep itself."""
        if hang.child != hang.parent:
            return ""
        key = self._tables[hang.child].key
        return f" AND NOT ({_same('c', key, 't', key)})"

    def _is_row(self, place: int) -> str:
        key = self._key(place)
        return f"{_same('t', key, 's', key)} AND t.xmin = s.{VERSION}"

    def _key(self, place: int) -> tuple[str, ...]:
        return self._tables[self._family.members[place].label].key

    def _table(self, place: int) -> str:
        return self._name(self._family.members[place].label)

    def _name(self, label: str) -> str:
        table = self._tables[label]
        return qualified(table.schema, table.name)


def _same(one: str, ours: Sequence[str], other: str, theirs: Sequence[str]) -> str:
    pairs = zip(ours, theirs, strict=True)
    return " AND ".join(f"{one}.{ident(a)} = {other}.{ident(b)}" for a, b in pairs)


# Conditions of old rows are joins of joins whose outcomes a planner guesses at one row, so that it
# loops over tables (230 s rather than 5, for 50,000 task instances). Every one of them is an
# equality: hashed they take what it takes to read the tables.
HASHED = (
    "SELECT set_config('enable_nestloop', 'off', true) AS a, "
    "set_config('work_mem', '64MB', true) AS b, set_config('jit', 'off', true) AS c"
)


def unseen_keys(tables: Sequence[Table]) -> str:
    """The SELECT of foreign keys whose table is not one of these: partitioned, or inheriting.

    Rows: schema, table, its columns, the target's schema and name, its columns.
    """
    oids = ", ".join(str(t.oid) for t in tables) or "0"
    columns = (
        "(SELECT json_agg(a.attname ORDER BY u.place)::text FROM unnest({numbers}) "
        "WITH ORDINALITY u(number, place) JOIN pg_attribute a ON a.attrelid = {table} "
        "AND a.attnum = u.number)"
    )
    return (
        "SELECT n.nspname::text AS a, c.relname::text AS b, "
        f"{columns.format(numbers='k.conkey', table='k.conrelid')} AS c, "
        "tn.nspname::text AS d, t.relname::text AS e, "
        f"{columns.format(numbers='k.confkey', table='k.confrelid')} AS f FROM pg_constraint k "
        "JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace "
        f"WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid NOT IN ({oids})"
    )


def sizes(tables: Sequence[Table]) -> str:
    """The SELECT of each table's bytes, indexes and all, and its rows as the server guesses."""
    oids = ", ".join(str(t.oid) for t in tables) or "0"
    return (
        "SELECT oid::bigint, pg_total_relation_size(oid)::bigint, reltuples::float8 "
        f"FROM pg_class WHERE oid IN ({oids})"
    )


def vacuum(tables: Sequence[Table]) -> str:
    """What makes room of deleted rows."""
    names = ", ".join(".".join(_shown(n) for n in (t.schema, t.name) if n) for t in tables)
    return f"VACUUM (ANALYZE) {names}" if names else ""


def _shown(name: str) -> str:
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else ident(name)
