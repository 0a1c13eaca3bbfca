"""Compare two tables row by row: a snapshot's with a database's, or two snapshots'.

Rows are matched by key; where there is none, or where it is not unique, tables are compared
as multisets of rows. NaN equals NaN, -0.0 differs from 0.0, NULL from '', and JSON text is
text. DuckDB compares, within its memory limit, one table at a time, rows by their sha256.

Encrypted secrets are compared by what they hold, where keys are given: Fernet gives another
token each time. Without a key they are equal when their bytes are, else they are counted as
not compared. Contents never reach DuckDB, which may spill to disk: it gets a keyed hash.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airkeep.database.catalog import Catalog, Table
from airkeep.database.reader import Reader
from airkeep.database.sql import ident, literal
from airkeep.errors import ConfigError
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import Manifest, SecretsMode, TableEntry
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.read import BATCH_ROWS, SnapshotReader
from airkeep.snapshot.seal import PREFIX, Keyring
from airkeep.tables.roles import is_airflow_table
from airkeep.tables.secrets import Holds, Secret, secrets_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_ODD = ("airkeep_odd", "airkeep_odd_here", "airkeep_odd_there")
_TABLES = ("airkeep_here", "airkeep_there", *_ODD)
_INTEGERS = frozenset({"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT"})
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_TIMES = frozenset({"DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"})


@dataclass(frozen=True)
class Field:
    """A column of one side: the database's type, the Parquet one, and how it is encoded.

    Attributes:
        dynamic: SQLite's: the Parquet type follows the values, so 5 and '5' may meet.
    """

    name: str
    type: str
    parquet: str
    encoding: str = "same"
    secret: Secret | None = None
    dynamic: bool = False


@dataclass(frozen=True)
class Side:
    """One of two tables: a SELECT of DuckDB, its columns and its key."""

    query: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]

    def field(self, name: str) -> Field:
        return next(f for f in self.fields if f.name == name)


@dataclass(frozen=True)
class ColumnChange:
    """A column that only one side has (the other's type is None), or that has another type."""

    name: str
    here: str | None
    there: str | None


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


@dataclass(frozen=True)
class TableComparison:
    """One table of the snapshot (here) beside the database's (there).

    Attributes:
        window: which rows the snapshot holds, where not all: only those were compared.
    """

    label: str
    rows: Rows
    columns: tuple[ColumnChange, ...] = ()
    window: str | None = None

    @property
    def equal(self) -> bool:
        rows = self.rows
        return not (self.columns or rows.only_here or rows.only_there or rows.changed)


@dataclass(frozen=True)
class SequenceChange:
    """A sequence's state on both sides, None where it is not."""

    label: str
    here: str | None
    there: str | None


@dataclass(frozen=True)
class Comparison:
    """A snapshot beside a database.

    Attributes:
        equal: nothing that was compared differs.
        only_here: tables that the database lacks.
        only_there: tables that the snapshot lacks; a difference only where a complete snapshot
            should hold them.
        unopened: names of secrets that the given keys do not open.
        not_compared: secret values that could not be compared.
    """

    snapshot: str
    equal: bool
    tables: tuple[TableComparison, ...]
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    sequences: tuple[SequenceChange, ...]
    unopened: tuple[str, ...]
    not_compared: int


@dataclass(frozen=True)
class Keys:
    """What opens secrets on either side."""

    fernet: Keyring | None = None
    archive: Keyring | None = None


class Opener:
    """Secrets in a form that can be compared.

    That is `k` and a hash of the content where it is known, `u` and a hash of the bytes where
    it is not, `d` and a number where it was dropped.

    Attributes:
        failed: names of values that no given key opened.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys, self._pepper = keys, secrets.token_bytes(32)
        self._dropped = 0
        self.failed: list[str] = []

    def form(
        self, value: Any, secret: Secret, flag: Any, *, mode: SecretsMode, name: str
    ) -> str | None:
        if mode == "drop":
            self._dropped += 1
            return f"d{self._dropped}"  # equal to nothing, so that it is counted
        if value is None:
            return None
        raw = value if isinstance(value, bytes) else str(value).encode()
        if mode == "seal" and raw.startswith(PREFIX.encode()):
            token = raw[len(PREFIX) :].partition(b":")[2]
            return self._opened(raw, token, self._keys.archive, name)
        held = secret.form_of(value, None if flag is None else bool(flag))
        if mode != "plain" and held is Holds.CIPHERTEXT:
            return self._opened(raw, raw, self._keys.fernet, name)
        return "k" + self._hash(raw)

    def _opened(self, raw: bytes, token: bytes, ring: Keyring | None, name: str) -> str:
        content = None if ring is None else ring.decrypt(token)
        if content is not None:
            return "k" + self._hash(content)
        if ring is not None:
            self.failed.append(name)
        return "u" + self._hash(raw)

    def _hash(self, content: bytes) -> str:
        return hmac.new(self._pepper, content, hashlib.sha256).hexdigest()


def compare_with_database(
    snapshot: Snapshot,
    reader: Reader,
    *,
    folder: Path,
    memory_bytes: int = 400 << 20,
    threads: int = 2,
    keys: Keys | None = None,
    tables: Sequence[str] = (),
    skip: Sequence[str] = (),
    progress: Progress = silent,
) -> Comparison:
    """Compare a snapshot with what a database holds now.

    Args:
        reader: entered and not fixed yet; it is asked for the snapshot's tables only.
        folder: private, for files of one table at a time.
        keys: the database's Fernet keys and the archive's, for secrets.
        tables: only these; all of the snapshot where none is named.

    Raises:
        ConfigError: `tables` or `skip` names a table that the snapshot does not hold.
    """
    opener = Opener(keys or Keys())
    manifest = snapshot.manifest
    wanted = choose_entries(manifest, tables, skip)
    labels = {entry.label for entry in wanted}
    reader.fix(lambda known: labels & set(known))
    there = reader.catalog.by_label()
    done, compared = 0, []
    with SnapshotReader(
        snapshot, folder=folder, memory_bytes=memory_bytes, threads=threads
    ) as here:
        for entry in wanted:
            progress(Step(entry.label, done, sum(e.rows for e in wanted)))
            if entry.label in there:
                compared.append(_table(here, reader, entry, there[entry.label], opener))
            done += entry.rows
    only_there = () if tables else tuple(sorted(set(there) - {t.label for t in manifest.tables}))
    sequences = _sequences(manifest, reader.catalog, labels & set(there))
    only_here = tuple(sorted(labels - set(there)))
    missing = [label for label in only_there if manifest.complete and is_airflow_table(label)]
    return Comparison(
        snapshot=str(snapshot.name),
        equal=all(t.equal for t in compared) and not (only_here or missing or sequences),
        tables=tuple(compared),
        only_here=only_here,
        only_there=only_there,
        sequences=sequences,
        unopened=tuple(opener.failed),
        not_compared=sum(n for t in compared for n in t.rows.not_compared.values()),
    )


def choose_entries(
    manifest: Manifest, tables: Sequence[str], skip: Sequence[str]
) -> list[TableEntry]:
    """The snapshot's tables that were asked for.

    Raises:
        ConfigError: one of them is not in the snapshot.
    """
    for name in (*tables, *skip):
        if manifest.table(name) is None:
            raise ConfigError(f"{name}: no such table in {manifest.environment}/{manifest.id}")
    chosen = set(tables) or {t.label for t in manifest.tables}
    return [t for t in manifest.tables if t.label in chosen and t.label not in skip]


def _table(
    here: SnapshotReader, reader: Reader, entry: TableEntry, table: Table, opener: Opener
) -> TableComparison:
    layers = here.fetch(entry.label)
    spooled: list[Path] = []
    try:
        spooled.extend(file.path for file in reader.spool(table))
        manifest = here.snapshot.manifest
        ours = side_of(here.relation(layers), manifest, entry)
        fields = tuple(
            Field(c.name, c.type, way.parquet, way.encoding)
            for c, way in zip(table.stored_columns, reader.ways(table), strict=True)
        )
        held = {f.name: f.secret for f in ours.fields}
        dynamic = reader.catalog.engine == "sqlite"
        theirs = Side(
            _select(spooled, fields),
            tuple(replace(f, secret=held.get(f.name), dynamic=dynamic) for f in fields),
            table.key,
        )
        modes: tuple[SecretsMode, SecretsMode] = (manifest.secrets.mode, "keep")
        rows = compare_sides(here.db, ours, theirs, label=entry.label, opener=opener, modes=modes)
        if entry.window is not None:
            rows = replace(rows, there=rows.there - rows.only_there, only_there=0)
        return TableComparison(entry.label, rows, column_changes(ours, theirs), entry.window)
    finally:
        here.drop(layers)
        for path in spooled:
            path.unlink(missing_ok=True)


def side_of(query: str, manifest: Manifest, entry: TableEntry) -> Side:
    """A snapshot's table as a side; `query` has its columns."""
    names = {c.name for c in entry.columns}
    is_main = entry.schema == manifest.main_schema
    held = {s.column: s for s in secrets_of(entry.name, names)} if is_main else {}
    dynamic = manifest.server.engine == "sqlite"
    fields = tuple(
        Field(c.name, c.type, c.parquet, c.encoding, held.get(c.name), dynamic)
        for c in entry.columns
        if not c.generated
    )
    return Side(query, fields, entry.key)


def column_changes(here: Side, there: Side) -> tuple[ColumnChange, ...]:
    """Columns of one side only, and those whose type is another one."""
    ours = {f.name: f.type for f in here.fields}
    theirs = {f.name: f.type for f in there.fields}
    return tuple(
        ColumnChange(name, ours.get(name), theirs.get(name))
        for name in dict.fromkeys((*ours, *theirs))
        if ours.get(name) != theirs.get(name)
    )


def _sequences(
    manifest: Manifest, catalog: Catalog, labels: set[str]
) -> tuple[SequenceChange, ...]:
    there = {
        catalog.label_of(s.schema, s.name): _state(s.last_value, called=s.is_called)
        for s in catalog.select(labels).sequences
    }
    here = {
        s.label: _state(s.last_value, called=s.is_called)
        for s in manifest.sequences
        if s.owner is None or s.owner in labels
    }
    return tuple(
        SequenceChange(label, here.get(label), there.get(label))
        for label in sorted({*here, *there})
        if here.get(label) != there.get(label)
    )


def _state(last_value: int, *, called: bool) -> str:
    return f"{last_value}" if called else f"{last_value}, not used yet"


def _select(files: Sequence[Path], fields: Sequence[Field]) -> str:
    if not files:
        nothing = ", ".join(f"NULL::{f.parquet} AS {ident(f.name)}" for f in fields)
        return f"SELECT {nothing} WHERE false"
    names = ", ".join(ident(f.name) for f in fields)
    listed = ", ".join(literal(str(f)) for f in files)
    return f"SELECT {names} FROM read_parquet([{listed}], hive_partitioning = false)"


# The one comparison.


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
    """
    opener = opener or Opener(Keys())
    with db.cursor() as cursor:
        made = (
            _open_secrets(cursor, here, "airkeep_here", label, opener, modes[0]),
            _open_secrets(cursor, there, "airkeep_there", label, opener, modes[1]),
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
            f"(SELECT true AS h, {self._keys_of(side, other)}, {_digest(self._forms(side, other))} "
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
            _digest(self._forms(side, other, names))
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


def _digest(forms: Sequence[str]) -> str:
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


def canonical(ours: Field, theirs: Field) -> str:
    """The expression of a column that is equal where the other side's value is the same one."""
    name = ident(ours.name)
    if ours.secret is not None:
        return name
    if _as_literals(ours, theirs):
        if ours.encoding == "literal":
            return _of_literal(name, theirs, strict=ours.dynamic and theirs.dynamic)
        return _as_literal(name, ours.parquet)
    if {ours.parquet, theirs.parquet} & _TIMES and "VARCHAR" in (ours.parquet, theirs.parquet):
        return _time_text(name) if ours.parquet == "VARCHAR" else _as_literal(name, ours.parquet)
    kind = _common_type(ours.parquet, theirs.parquet)
    value = name if kind == ours.parquet else f"{name}::{kind}"
    return _float_text(value) if kind in _FLOATS else value


def _as_literals(ours: Field, theirs: Field) -> bool:
    """Whether a value's storage class must be compared too, or one side knows nothing else."""
    if (ours.encoding == "literal") is not (theirs.encoding == "literal"):
        return True
    return ours.dynamic and theirs.dynamic and ours.parquet != theirs.parquet


def _common_type(ours: str, theirs: str) -> str:
    pair = {ours, theirs}
    if len(pair) == 1:
        return ours
    for kinds, widest in ((_INTEGERS, "BIGINT"), (_FLOATS, "DOUBLE"), (_TIMES, "TIMESTAMPTZ")):
        if pair <= kinds:
            return widest
    return "VARCHAR"


def _float_text(value: str) -> str:
    """DuckDB takes -0.0 for 0.0; their texts differ, and those of NaNs do not matter."""
    return f"CASE WHEN isnan({value}) THEN 'nan' ELSE ({value})::VARCHAR END"


def _as_literal(value: str, parquet: str) -> str:
    """A typed value as the SQLite literal that the other side has for it (sqlite_value)."""
    if parquet in _FLOATS:
        return "'r' || " + _float_text(value)
    if parquet in _TIMES:
        return f"'t' || {value}::TIMESTAMPTZ::VARCHAR"
    if parquet == "BOOLEAN":
        return f"{value}::TINYINT::VARCHAR"
    if parquet == "BLOB":
        return f"'X''' || hex({value}) || ''''"
    if parquet == "VARCHAR":
        return (
            f"CASE WHEN contains({value}, chr(0)) THEN 'CAST(X''' || hex({value}) || ''' AS TEXT)' "
            f"ELSE '''' || replace({value}, '''', '''''') || '''' END"
        )
    return f"{value}::VARCHAR"


def _of_literal(value: str, theirs: Field, *, strict: bool) -> str:
    """A SQLite literal so that it equals `_as_literal` of the same value; else left as it is.

    Args:
        strict: 5 is not 5.0; not so where the other side's column can hold one of them only.
    """
    if theirs.parquet in _FLOATS:
        shape = "-?[0-9]*[.e][0-9.e+-]*" if strict else "-?[0-9.][0-9.e+-]*"
        infinite = f"replace(replace({value}, '-9e999', 'r-inf'), '9e999', 'rinf')"
        return (
            f"CASE WHEN {value} IN ('9e999', '-9e999') THEN {infinite} "
            f"WHEN regexp_full_match({value}, '{shape}') "
            f"THEN 'r' || {_float_text(f'TRY_CAST({value} AS DOUBLE)')} ELSE {value} END"
        )
    if theirs.parquet in _TIMES:
        inner = f"trim({value}, '''')"
        return f"CASE WHEN {value} LIKE '''%' THEN {_time_text(inner)} ELSE {value} END"
    return value


def _time_text(value: str) -> str:
    """SQLite's times are text, UTC."""
    time = f"TRY_CAST({value} AS TIMESTAMPTZ)"
    return f"CASE WHEN {time} IS NULL THEN {value} ELSE 't' || {time}::VARCHAR END"


# Secrets.


def _open_secrets(
    db: duckdb.DuckDBPyConnection,
    side: Side,
    name: str,
    label: str,
    opener: Opener,
    mode: SecretsMode,
) -> Side:
    """The side with its secrets in a form that can be compared, as a table of its own."""
    held = [f.secret for f in side.fields if f.secret is not None]
    if not held:
        return side
    db.execute(f"CREATE TABLE {name} AS {_hidden(side)} LIMIT 0")
    with db.cursor() as writer:
        for batch in db.execute(side.query).to_arrow_reader(BATCH_ROWS):
            writer.register("batch", _opened_batch(batch, label, held, opener, mode))
            writer.execute(f"INSERT INTO {name} FROM batch")
            writer.unregister("batch")
    return replace(side, query=f"SELECT * FROM {name}")


def _hidden(side: Side) -> str:
    columns = ", ".join(
        ident(f.name) if f.secret is None else f"NULL::VARCHAR AS {ident(f.name)}"
        for f in side.fields
    )
    return f"SELECT {columns} FROM ({side.query})"


def _opened_batch(
    batch: pa.RecordBatch,
    label: str,
    held: Sequence[Secret],
    opener: Opener,
    mode: SecretsMode,
) -> pa.RecordBatch:
    import pyarrow as pa

    read = batch
    for secret in held:
        flags, names = _column(read, secret.flag), _column(read, secret.named_by)
        values = [
            opener.form(value, secret, flag, mode=mode, name=f"{label} {name}.{secret.column}")
            for value, flag, name in zip(_column(read, secret.column), flags, names, strict=True)
        ]
        index = batch.schema.get_field_index(secret.column)
        batch = batch.set_column(index, secret.column, pa.array(values, type=pa.string()))
    return batch


def _column(batch: pa.RecordBatch, name: str) -> list[Any]:
    index = batch.schema.get_field_index(name) if name else -1
    return batch.column(index).to_pylist() if index >= 0 else [None] * batch.num_rows
