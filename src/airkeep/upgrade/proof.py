"""Compare a snapshot with the database that it was migrated to, fact by fact.

Both sides' tables are views of one DuckDB: the snapshot's files, and what the scratch database
holds now, spooled. A fact is compared by its natural key in every column that both have. Rows that
Airflow is known to take out of a table, and values that it is known to write otherwise, are told
and counted; any other difference is an error, and no snapshot is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airkeep.database.reader import Reader
from airkeep.database.sql import ident, literal
from airkeep.database.sqlite_value import value_of
from airkeep.errors import ProofError
from airkeep.snapshot.fold import Layer, fold
from airkeep.snapshot.manifest import ProofEntry
from airkeep.snapshot.match import Rows, compare_sides
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.read import BATCH_ROWS, SnapshotReader
from airkeep.snapshot.sides import Field, Side
from airkeep.upgrade.facts import FACTS, Fact, Tables, side_of_fact, tables_of
from airkeep.upgrade.tables import LEFT_BEHIND, count_rows
from airkeep.upgrade.values import (
    PICKLED,
    LeftOutError,
    Tally,
    of_json,
    of_new_conf,
    of_old_conf,
    of_old_xcom,
)

_EXAMPLES = 3
_HIDDEN = "airkeep_hidden"
NOT_THERE = "not compared: the new Airflow keeps them in no such table"
NO_KEY = "not compared: one of the two has not all columns of the key"
NO_RUN = "no run, or one without an id: moved aside"
_POOL, _ADDED = "default_pool", "default_pool was added"
_RUN_TYPES = {"dataset_triggered": "asset_triggered"}
_RENAMED = "run_type dataset_triggered became asset_triggered"


def prove(
    before: SnapshotReader,
    after: Reader,
    *,
    hidden: Mapping[str | bytes, str] | None = None,
    skip: Sequence[str] = (),
    progress: Progress = silent,
) -> tuple[ProofEntry, ...]:
    """Compare all facts that both sides have.

    Args:
        before: the snapshot as it was restored.
        after: the migrated database, its instant fixed.
        hidden: what stands there in the place of sealed values.
        skip: tables whose rows stayed behind.

    Raises:
        ProofError: rows differ, and nothing that Airflow is known to do explains it.
    """
    sides = _Sides(before, after, hidden or {}, skip)
    sides.save_hidden()
    found, wrong = [], []
    total = sum(t.rows for t in before.snapshot.tables)
    for fact in FACTS:
        progress(Step(f"comparing {fact.what}", 0, total))
        with sides.tables(fact) as both:
            if both is None:
                if alone := sides.alone(fact):
                    found.append(ProofEntry(fact.what, fact.key, (), 0, {NOT_THERE: alone}))
                continue
            compared = _Comparison(before, fact, *both)
            entry, rows = compared.run()
            found.append(sides.with_skipped(fact, entry))
            if rows.only_here or rows.only_there or rows.changed:
                wrong.append(_told(fact, rows))
            wrong += sides.nowhere(fact, entry)
    if wrong:
        raise ProofError(
            f"after Airflow's migrations {'; '.join(wrong)}. No snapshot was made: this is data "
            f"that the migration lost or changed, or a fault of airkeep's comparison; report it"
        )
    return tuple(found)


def _told(fact: Fact, rows: Rows) -> str:
    parts = [
        f"{n:,} {how}"
        for n, how in (
            (rows.only_here, "are gone"),
            (rows.only_there, "are new"),
            (rows.changed, f"differ in {', '.join(rows.columns)}"),
        )
        if n
    ]
    examples = rows.examples
    keys = () if examples is None else examples.only_here or examples.changed or examples.only_there
    shown = "; ".join("/".join(str(part) for part in key) for key in keys)
    return f"of {rows.here:,} {fact.what} {', '.join(parts)}" + (
        f" (such as {shown})" if shown else ""
    )


@dataclass(frozen=True)
class _Sides:
    """The tables of both sides as views, as long as a fact needs them."""

    before: SnapshotReader
    after: Reader
    hidden: Mapping[str | bytes, str]
    skip: Sequence[str]

    def save_hidden(self) -> None:
        self.before.db.execute(f"CREATE TABLE {_HIDDEN} (sealed VARCHAR, token VARCHAR)")
        pairs = [(k, token) for k, token in self.hidden.items() if isinstance(k, str)]
        if pairs:
            self.before.db.executemany(f"INSERT INTO {_HIDDEN} VALUES (?, ?)", pairs)

    def alone(self, fact: Fact) -> int:
        """The rows of a fact that only the snapshot has a table for."""
        entry = next((t for t in self.before.snapshot.tables if t.label == fact.table), None)
        return entry.rows if entry else 0

    def with_skipped(self, fact: Fact, entry: ProofEntry) -> ProofEntry:
        """The rows that were left behind are told as what was not compared."""
        rows = self.alone(fact) if fact.table in self.skip else 0
        return replace(entry, left_out={LEFT_BEHIND: rows, **entry.left_out}) if rows else entry

    def nowhere(self, fact: Fact, entry: ProofEntry) -> Iterator[str]:
        """What was taken out of a table and is in none of those that Airflow puts such rows in."""
        manifest, there = self.before.snapshot.manifest, self.after.catalog.by_label()
        for why, ending in ((NO_RUN, f"__dangling__{fact.table}"), (PICKLED, "_xcom_archive")):
            wanted = entry.left_out.get(why, 0)
            found = 0
            for label, table in there.items() if wanted else ():
                if label.endswith(ending):
                    before = manifest.table(label)
                    found += count_rows(self.after, table) - (before.rows if before else 0)
            if found < wanted:
                yield f"{wanted - found:,} {fact.what} are in no table ({why})"

    def _masked(self, label: str, query: str) -> str:
        """The snapshot's rows with the tokens that the scratch database has for sealed values."""
        entry = self.before.snapshot.manifest.table(label)
        columns = (
            [c.name for c in entry.columns if c.secret and c.parquet == "VARCHAR"] if entry else []
        )
        if not self.hidden or not columns:
            return query
        shown = ", ".join(
            f"coalesce((SELECT token FROM {_HIDDEN} WHERE sealed = t.{ident(c)}), t.{ident(c)}) "
            f"AS {ident(c)}"
            for c in columns
        )
        return f"SELECT * REPLACE ({shown}) FROM ({query}) t"

    @contextmanager
    def tables(self, fact: Fact) -> Iterator[tuple[Tables, Tables] | None]:
        old, new = self._old(), self._new()
        ours, theirs = tables_of(fact, old), tables_of(fact, new)
        if not ours or not theirs:
            yield None
            return
        layers: list[Layer] = []
        spooled: list[Path] = []
        try:
            for label in ours:
                fetched = self.before.fetch(label)
                layers += fetched
                rows = self._masked(label, fold(fetched))
                if label in self.skip:
                    rows = f"SELECT * FROM ({rows}) WHERE false"
                self._view(f"old_{label}", rows)
            for label in theirs:
                files = [f.path for f in self.after.spool(self._table(label))]
                spooled += files
                self._view(f"new_{label}", _scan(files, new[label]))
            yield old, new
        finally:
            self.before.drop(layers)
            for path in spooled:
                path.unlink(missing_ok=True)

    def _view(self, name: str, query: str) -> None:
        self.before.db.execute(f"CREATE OR REPLACE VIEW {ident(name)} AS {query}")

    def _table(self, label: str) -> Any:
        return self.after.catalog.by_label()[label]

    def _old(self) -> Tables:
        manifest = self.before.snapshot.manifest
        return {
            t.label: {
                c.name: Field(c.name, c.type, c.parquet, c.encoding)
                for c in t.columns
                if not c.generated
            }
            for t in manifest.tables
            if t.schema == manifest.main_schema
        }

    def _new(self) -> Tables:
        return {
            label: {
                c.name: Field(c.name, c.type, way.parquet, way.encoding)
                for c, way in zip(t.stored_columns, self.after.ways(t), strict=True)
            }
            for label, t in self.after.catalog.by_label().items()
        }


def _scan(files: Sequence[Path], columns: Mapping[str, Field]) -> str:
    if not files:
        nothing = ", ".join(f"NULL::{f.parquet} AS {ident(f.name)}" for f in columns.values())
        return f"SELECT {nothing} WHERE false"
    listed = ", ".join(literal(str(f)) for f in files)
    return f"SELECT * FROM read_parquet([{listed}], hive_partitioning = false)"


@dataclass
class _Comparison:
    """One fact on both sides."""

    before: SnapshotReader
    fact: Fact
    old: Tables
    new: Tables
    tally: Tally = field(default_factory=Tally)

    def run(self) -> tuple[ProofEntry, Rows]:
        ours = side_of_fact(self.fact, self.old, "old_")
        theirs = side_of_fact(self.fact, self.new, "new_")
        all_rows = self._count(f"SELECT 1 FROM {ident(f'old_{self.fact.table}')}")
        if ours is None or theirs is None:
            nothing = Rows(0, 0, 0, 0, 0, 0, "key")
            told = {NO_KEY: all_rows} if all_rows else {}
            return ProofEntry(self.fact.what, self.fact.key, (), 0, told), nothing
        if lost := all_rows - self._count(ours.query):
            self.tally.left_out[NO_RUN] += lost
        ours = self._with_known_names(ours)
        theirs = self._without_added(ours, theirs)
        if self.fact.kept:
            ours, theirs = self._opened(ours, theirs)
        db, label = self.before.db, self.fact.table
        rows = compare_sides(db, ours, theirs, label=label, examples=_EXAMPLES)
        common = {f.name for f in theirs.fields}
        columns = tuple(f.name for f in ours.fields if f.name in common - set(self.fact.key))
        entry = ProofEntry(
            self.fact.what,
            self.fact.key,
            columns,
            rows.equal,
            left_out=dict(self.tally.left_out),
            converted=dict(self.tally.converted),
        )
        return entry, rows

    def _count(self, query: str) -> int:
        [(count,)] = self.before.db.execute(f"SELECT count(*) FROM ({query})").fetchall()
        return int(count)

    def _with_known_names(self, side: Side) -> Side:
        """The old rows with the words that the new Airflow has for the same thing."""
        names = {f.name for f in side.fields}
        if "run_type" not in names or not self._is_3:
            return side
        [(old, new)] = _RUN_TYPES.items()
        met = self._count(f"SELECT 1 FROM ({side.query}) WHERE run_type = {literal(old)}")
        if not met:
            return side
        self.tally.converted[_RENAMED] += met
        renamed = f"CASE run_type WHEN {literal(old)} THEN {literal(new)} ELSE run_type END"
        return replace(side, query=f"SELECT * REPLACE ({renamed} AS run_type) FROM ({side.query})")

    def _without_added(self, ours: Side, theirs: Side) -> Side:
        """The new rows but for the pool that every Airflow from 1.10.4 on has."""
        if self.fact.table != "slot_pool":
            return theirs
        is_default = f"pool = {literal(_POOL)}"
        if self._count(f"SELECT 1 FROM ({ours.query}) WHERE {is_default}"):
            return theirs
        self.tally.converted[_ADDED] += 1
        return replace(theirs, query=f"SELECT * FROM ({theirs.query}) WHERE NOT {is_default}")

    @property
    def _is_3(self) -> bool:
        return "asset" in self.new

    def _opened(self, ours: Side, theirs: Side) -> tuple[Side, Side]:
        """Both sides with their JSON in one form; where both keep it alike, the bytes count."""
        column = self.fact.values[-1]
        names = [f.name for f in ours.fields], [f.name for f in theirs.fields]
        if not all(column in n for n in names):
            return ours, theirs
        was_json = "json" in ours.field(column).type.lower()
        if "json" not in theirs.field(column).type.lower():
            return ours, theirs
        old = of_old_conf if self.fact.kept == "conf" else of_old_xcom

        def before(value: Any) -> str | None:
            return of_json(_text(value)) if was_json else old(value, self.tally)

        new = of_new_conf if self.fact.kept == "conf" and not was_json else of_json
        self._formed("formed_old", ours, column, before, self.tally)
        self._formed("formed_new", theirs, column, lambda v: new(_text(v)), Tally())
        same = " AND ".join(f"a.{ident(k)} = b.{ident(k)}" for k in self.fact.key)
        skipped = "(FROM formed_old WHERE airkeep_skip)"
        return (
            _of_texts(ours, column, "SELECT * FROM formed_old WHERE NOT airkeep_skip"),
            _of_texts(
                theirs, column, f"SELECT a.* FROM formed_new a ANTI JOIN {skipped} b ON {same}"
            ),
        )

    def _formed(
        self,
        name: str,
        side: Side,
        column: str,
        form: Callable[[Any], str | None],
        tally: Tally,
    ) -> None:
        """The side's rows as a table, the column's values formed, those not compared marked."""
        import pyarrow as pa

        is_literal = side.field(column).encoding == "literal"
        self.before.db.execute(
            f"CREATE OR REPLACE TABLE {name} AS SELECT * REPLACE (NULL::VARCHAR AS "
            f"{ident(column)}), false AS airkeep_skip FROM ({side.query}) LIMIT 0"
        )
        rows = self.before.db.execute(side.query).to_arrow_reader(BATCH_ROWS)
        with self.before.db.cursor() as writer:
            for batch in rows:
                values, skipped = _each(batch.column(column).to_pylist(), form, tally, is_literal)
                index = batch.schema.get_field_index(column)
                made = batch.set_column(index, column, pa.array(values, type=pa.string()))
                made = made.append_column("airkeep_skip", pa.array(skipped, type=pa.bool_()))
                writer.register("formed_batch", made)
                writer.execute(f"INSERT INTO {name} FROM formed_batch")
                writer.unregister("formed_batch")


def _each(
    values: Sequence[Any], form: Callable[[Any], str | None], tally: Tally, is_literal: bool
) -> tuple[list[str | None], list[bool]]:
    formed: list[str | None] = []
    skipped = []
    for value in values:
        try:
            formed.append(form(value_of(value) if is_literal else value))
            skipped.append(False)
        except LeftOutError as reason:
            tally.left_out[str(reason)] += 1
            formed.append(None)
            skipped.append(True)
    return formed, skipped


def _text(value: Any) -> str | None:
    """JSON as text; SQLite turns a bare number into one of its own."""
    if value is None or isinstance(value, str):
        return value
    return value.decode() if isinstance(value, bytes) else repr(value)


def _of_texts(side: Side, column: str, query: str) -> Side:
    fields = tuple(Field(column, "text", "VARCHAR") if f.name == column else f for f in side.fields)
    return replace(side, query=query, fields=fields)
