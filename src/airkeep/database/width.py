"""How wide a table's rows are, and what that means for reading them in bounded memory.

DuckDB takes 2,048 rows at a time and holds a row group before it writes it: with rows of 20 kB
(a serialized DAG, an XCom) 100,000 of them are 2 GB. So where much is stored out of line
(TOAST), some rows are measured, row groups get smaller, and very wide tables are read in
slices of pages, each with few enough rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from airkeep.database.catalog import Table
from airkeep.database.spool import GROUP_BYTES, LEAST_GROUP_ROWS, ROW_GROUP_ROWS
from airkeep.database.sql import qualified

SAMPLE_ROWS = 200
TOAST_BYTES = 4 << 20  # below this no row group can grow large
COPIES = 3  # of a vector in flight: read, cast, written (1.5 k rows of 192 kB took 1 GB, measured)

Query = Callable[[str], list[Any]]


@dataclass(frozen=True)
class Width:
    """A table's pages, the rows of a page, and the bytes of a row, about."""

    pages: int
    rows_per_page: float
    row_bytes: float


@dataclass(frozen=True)
class Reading:
    """How a table is read.

    Attributes:
        rows: the most in a row group.
        threads: 1 for wide rows, whose vectors are large.
        slices: ranges of pages to read one after the other; empty: all at once.
        needed_bytes: what the vectors of one slice take.
    """

    rows: int
    threads: int
    slices: tuple[str, ...] = ()
    needed_bytes: int = 0

    def conditions(self, where: str | None) -> Iterator[str | None]:
        """The condition of each read."""
        if not self.slices:
            yield where
        for piece in self.slices:
            yield piece if where is None else f"({where}) AND {piece}"


def wide_tables(query: Query) -> frozenset[int]:
    """The oids of tables that store much out of line: the only ones to measure."""
    found = query(
        "SELECT oid::bigint FROM pg_class WHERE relkind = 'r' AND reltoastrelid <> 0 "
        f"AND pg_relation_size(reltoastrelid) >= {TOAST_BYTES}"
    )
    return frozenset(int(oid) for (oid,) in found)


def measure(query: Query, table: Table) -> Width | None:
    """Look at some rows; None for a table that has none.

    Args:
        query: runs a SELECT inside the caller's transaction.
    """
    [(pages, rows)] = query(
        "SELECT (pg_relation_size(c.oid) / current_setting('block_size')::int)::bigint, "
        f"greatest(c.reltuples, 0)::float8 FROM pg_class c WHERE c.oid = {table.oid}"
    )
    if not pages:
        return None
    share = 100 * min(1.0, SAMPLE_ROWS / rows) if rows else 100  # 0: never analysed
    name = qualified(table.schema, table.name)
    [(counted, width)] = query(
        f"SELECT count(*), coalesce(avg(octet_length(t::text)), 0)::float8 FROM (SELECT * FROM "
        f"ONLY {name} TABLESAMPLE BERNOULLI ({share:.6f}) LIMIT {SAMPLE_ROWS}) AS t"
    )
    if not counted:
        return None
    return Width(pages, max(rows / pages, 1), max(width, 1))


def plan_reading(width: Width | None, *, memory_bytes: int, threads: int) -> Reading:
    """Decide from the width; pure.

    Args:
        memory_bytes: what DuckDB may take.
    """
    if width is None:
        return Reading(ROW_GROUP_ROWS, threads)
    fitting = int(GROUP_BYTES / width.row_bytes)
    group = max(min(ROW_GROUP_ROWS, fitting), LEAST_GROUP_ROWS)
    threads = 1 if fitting < ROW_GROUP_ROWS else threads
    if LEAST_GROUP_ROWS * width.row_bytes * COPIES <= memory_bytes / 2:
        return Reading(group, threads)
    rows = memory_bytes / 2 / COPIES / width.row_bytes
    pages = max(int(rows / width.rows_per_page), 1)
    held = min(pages * width.rows_per_page, LEAST_GROUP_ROWS)
    return Reading(
        group, 1, tuple(_slices(width.pages, pages)), int(held * width.row_bytes * COPIES)
    )


def _slices(pages: int, per_slice: int) -> Iterator[str]:
    """Conditions that cut a table into ranges of pages; the last is open to the end."""
    for start in range(0, pages, per_slice):
        end = start + per_slice
        upper = f" AND ctid < '({end},0)'::tid" if end < pages else ""
        yield f"ctid >= '({start},0)'::tid{upper}"
