"""Match the rows of two tables: by key, or as multisets where no key tells them apart.

NaN equals NaN, -0.0 differs from 0.0, NULL from '', and JSON text is text. DuckDB matches,
within its memory limit, one table at a time, rows by their sha256.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airkeep.database.duck import explained
from airkeep.database.sql import ident
from airkeep.snapshot.manifest import SecretsMode
from airkeep.snapshot.opener import Keys, Opener, open_secrets
from airkeep.snapshot.sides import Side, canonical

if TYPE_CHECKING:
    import duckdb

_ODD = ("airkeep_odd", "airkeep_odd_here", "airkeep_odd_there")
_TABLES = ("airkeep_here", "airkeep_there", *_ODD)

Key = tuple[str | None, ...]


@dataclass(frozen=True)
class Examples:
    """Keys of rows as text, a few of each kind; a key that is a secret is not shown."""

    key: tuple[str, ...] = ()
    only_here: tuple[Key, ...] = ()
    only_there: tuple[Key, ...] = ()
    changed: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Rows:
    """What comparing two tables' rows gave.

    Attributes:
        by: how rows were matched: `key`; `row` as a whole; `file` when the files are the same.
        columns: changed values by column.
        not_compared: secret values by column for which a key was missing, or that were dropped.
    """

    here: int
    there: int
    only_here: int
    only_there: int
    changed: int
    equal: int
    by: str
    columns: Mapping[str, int] = field(default_factory=dict)
    not_compared: Mapping[str, int] = field(default_factory=dict)
    examples: Examples | None = None


def compare_sides(
    db: duckdb.DuckDBPyConnection,
    here: Side,
    there: Side,
    *,
    label: str = "",
    opener: Opener | None = None,
    modes: tuple[SecretsMode, SecretsMode] = ("keep", "keep"),
    examples: int = 0,
) -> Rows:
    """Compare the columns that both sides have.

    Args:
        modes: how each side holds its secrets.
        examples: how many keys of each kind to give.

    Raises:
        DatabaseError: memory ran out.
        DiskFullError: the spool folder's disk is full.
    """
    opener = opener or Opener(Keys())
    with explained(label, f"comparing {label}"), db.cursor() as cursor:
        made = (
            open_secrets(cursor, here, "airkeep_here", label, opener, modes[0]),
            open_secrets(cursor, there, "airkeep_there", label, opener, modes[1]),
        )
        try:
            return _in_memory(cursor, lambda: _Pair(cursor, *made).compare(examples))
        finally:
            _drop(cursor, *_TABLES)


def _drop(db: duckdb.DuckDBPyConnection, *tables: str) -> None:
    for table in tables:
        db.execute(f"DROP TABLE IF EXISTS {table}")


def _in_memory(db: duckdb.DuckDBPyConnection, compare: Callable[[], Rows]) -> Rows:
    """Compare, and once more with one thread when the memory was not enough for several.

    A thread holds a row group of every column: of 1 M rows of 640 bytes, two need more than the
    270 MiB that DuckDB gets of 400, one does not.
    """
    import duckdb

    try:
        return compare()
    except duckdb.OutOfMemoryException:
        threads = db.execute("SELECT current_setting('threads')").fetchall()[0][0]
        _drop(db, *_ODD)
        db.execute("SET threads = 1")
        try:
            return compare()
        finally:
            db.execute(f"SET threads = {threads}")


class _Pair:
    """Two sides on one connection."""

    def __init__(self, db: duckdb.DuckDBPyConnection, here: Side, there: Side) -> None:
        self.db, self.here, self.there = db, here, there
        theirs = {f.name for f in there.fields}
        self.common = [f.name for f in here.fields if f.name in theirs]
        self.key = self._common_key()
        self.values = [n for n in self.common if n not in self.key]

    def _common_key(self) -> tuple[str, ...]:
        """The key of both; between versions whose keys differ, the one that both can have."""
        for key in dict.fromkeys((self.here.key, self.there.key)):
            if key and set(key) <= set(self.common):
                return key
        return ()

    def compare(self, examples: int) -> Rows:
        here, there = self._count(self.here), self._count(self.there)
        if self.key:
            rows = self._by_key(here, there)
            # Both hold exactly when no key is there twice on a side and matched on the other.
            matched = rows.equal + rows.changed
            if (matched + rows.only_here, matched + rows.only_there) == (here, there):
                return replace(rows, examples=self._examples(examples, rows) if examples else None)
        return self._by_row(here, there)

    def _count(self, side: Side) -> int:
        return int(self._one(f"SELECT count(*) FROM ({side.query})")[0])

    def _one(self, query: str) -> tuple[Any, ...]:
        [row] = self.db.execute(query).fetchall()
        return tuple(row)

    def _by_key(self, here: int, there: int) -> Rows:
        """Rows are looked at as one sha256 each, and by column only where that differs."""
        same = " AND ".join(f"a.k{i} IS NOT DISTINCT FROM b.k{i}" for i in range(len(self.key)))
        ours, theirs = (
            f"(SELECT true AS h, {self._keys_of(side, other)}, {digest(self._forms(side, other))} "
            f"AS d FROM ({side.query}))"
            for side, other in ((self.here, self.there), (self.there, self.here))
        )
        joined = f"{ours} a FULL JOIN {theirs} b ON {same}"
        only_here, only_there, matched, odd = self._one(
            f"SELECT count(*) FILTER (WHERE b.h IS NULL), count(*) FILTER (WHERE a.h IS NULL), "
            f"count(*) FILTER (WHERE a.h AND b.h), "
            f"count(*) FILTER (WHERE a.h AND b.h AND a.d <> b.d) FROM {joined}"
        )
        rows = Rows(here, there, only_here, only_there, 0, matched, "key")
        if not odd or matched + only_here != here or matched + only_there != there:
            return rows
        keys = ", ".join(f"a.k{i}" for i in range(len(self.key)))
        self.db.execute(
            f"CREATE TABLE airkeep_odd AS SELECT {keys} FROM {joined} "
            f"WHERE a.h AND b.h AND a.d <> b.d"
        )
        self._save_odd()
        return self._by_column(rows)

    def _by_column(self, rows: Rows) -> Rows:
        secret = [i for i, n in enumerate(self.values) if self._is_secret(n)]
        differs = [self._differs(i) for i in range(len(self.values))]
        wanted = [
            f"count(*) FILTER (WHERE {' OR '.join(differs)})",
            *(f"count(*) FILTER (WHERE {d})" for d in differs),
            *(f"count(*) FILTER (WHERE {_unknown(i)})" for i in secret),
        ]
        differing, *counts = self._one(f"SELECT {', '.join(wanted)} FROM {self._odd_pairs()}")
        columns = zip(self.values, counts, strict=False)
        unknown = zip((self.values[i] for i in secret), counts[len(self.values) :], strict=True)
        return replace(
            rows,
            changed=differing,
            equal=rows.equal - differing,
            columns={name: n for name, n in columns if n},
            not_compared={name: n for name, n in unknown if n},
        )

    def _save_odd(self) -> None:
        """Save the rows of both sides whose keys are in `airkeep_odd`, values as 8 byte hashes.

        As tables, one after the other: a join of what is scanned and joined already takes more
        memory than 400 MB allow (1 M rows of 640 bytes, half of them changed).
        """
        same = " AND ".join(f"o.k{i} IS NOT DISTINCT FROM s.k{i}" for i in range(len(self.key)))
        for name, side, other in (
            ("airkeep_odd_here", self.here, self.there),
            ("airkeep_odd_there", self.there, self.here),
        ):
            forms = zip(self.values, self._forms(side, other), strict=True)
            values = "".join(
                f", {form if self._is_secret(n) else f'hash({form})'} AS c{i}"
                for i, (n, form) in enumerate(forms)
            )
            self.db.execute(
                f"CREATE TABLE {name} AS FROM (SELECT {self._keys_of(side, other)}{values} "
                f"FROM ({side.query})) s SEMI JOIN airkeep_odd o ON {same}"
            )

    def _odd_pairs(self) -> str:
        same = " AND ".join(f"a.k{i} IS NOT DISTINCT FROM b.k{i}" for i in range(len(self.key)))
        return f"airkeep_odd_here a JOIN airkeep_odd_there b ON {same}"

    def _keys_of(self, side: Side, other: Side) -> str:
        return ", ".join(
            f"{canonical(side.field(name), other.field(name))} AS k{i}"
            for i, name in enumerate(self.key)
        )

    def _forms(self, side: Side, other: Side, names: Sequence[str] | None = None) -> list[str]:
        names = self.values if names is None else names
        return [canonical(side.field(name), other.field(name)) for name in names]

    def _is_secret(self, name: str) -> bool:
        return self.here.field(name).secret is not None

    def _differs(self, i: int) -> str:
        other = f"a.c{i} IS DISTINCT FROM b.c{i}"
        return f"({other} AND NOT {_unknown(i)})" if self._is_secret(self.values[i]) else other

    def _by_row(self, here: int, there: int) -> Rows:
        """As multisets: a row that is there twice must be there twice."""
        unknown = {n: count for n in self.common if (count := self._unknown_values(n))}
        names = [n for n in self.common if n not in unknown]
        ours, theirs = (
            digest(self._forms(side, other, names))
            for side, other in ((self.here, self.there), (self.there, self.here))
        )
        surplus = (
            f"SELECT sum(s) AS n FROM (SELECT 1 AS s, {ours} AS d FROM ({self.here.query}) "
            f"UNION ALL SELECT -1, {theirs} FROM ({self.there.query})) GROUP BY d"
        )
        only_here, only_there = self._one(
            f"SELECT coalesce(sum(greatest(n, 0)), 0)::BIGINT, "
            f"coalesce(sum(greatest(-n, 0)), 0)::BIGINT FROM ({surplus})"
        )
        equal = here - only_here
        return Rows(here, there, only_here, only_there, 0, equal, "row", {}, unknown)

    def _unknown_values(self, name: str) -> int:
        if not self._is_secret(name):
            return 0
        return sum(
            self._one(
                f"SELECT count(*) FILTER (WHERE {ident(name)}[1] IN ('u', 'd')) FROM ({side.query})"
            )[0]
            for side in (self.here, self.there)
        )

    def _examples(self, most: int, rows: Rows) -> Examples:
        changed: tuple[Key, ...] = ()
        if rows.changed:
            differs = " OR ".join(self._differs(i) for i in range(len(self.values)))
            changed = self._shown(f"{self._odd_pairs()} WHERE {differs}", most)
        sides = [
            f"(SELECT {self._keys_of(side, other)} FROM ({side.query}))"
            for side, other in ((self.here, self.there), (self.there, self.here))
        ]
        same = " AND ".join(f"a.k{i} IS NOT DISTINCT FROM b.k{i}" for i in range(len(self.key)))
        return Examples(
            self.key,
            self._shown(f"{sides[0]} a ANTI JOIN {sides[1]} b ON {same}", most),
            self._shown(f"{sides[1]} a ANTI JOIN {sides[0]} b ON {same}", most),
            changed,
        )

    def _shown(self, rows: str, most: int) -> tuple[Key, ...]:
        shown = ", ".join(
            "'(secret)'" if self._is_secret(name) else f"a.k{i}::VARCHAR"
            for i, name in enumerate(self.key)
        )
        found = self.db.execute(f"SELECT {shown} FROM {rows} ORDER BY ALL LIMIT {most}").fetchall()
        return tuple(tuple(row) for row in found)


def digest(forms: Sequence[str]) -> str:
    """A row's values as one sha256: joins and groups stay small, however wide the rows are.

    Each value stands behind its length, NULL is '-': no two rows have the same text.
    """
    texts = [f"({form})::VARCHAR" for form in forms]
    parts = ", ".join(f"coalesce(strlen({t}) || ':' || {t}, '-')" for t in texts)
    return f"unhex(sha256(concat({parts or repr('')})))"


def _unknown(i: int) -> str:
    """Whether two secrets cannot be compared: one was dropped, or cannot be opened."""
    ours, theirs = f"a.c{i}", f"b.c{i}"
    dropped = f"coalesce({ours}[1] = 'd', false) OR coalesce({theirs}[1] = 'd', false)"
    return (
        f"({dropped} OR coalesce({ours} <> {theirs} AND "
        f"({ours}[1] = 'u' OR {theirs}[1] = 'u'), false))"
    )
