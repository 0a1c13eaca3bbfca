"""One table of text becomes closed Parquet files and its entry in a manifest.

The first pass reads every value as its type; where one does not fit, the column is read as
something wider in another pass over all files, so a column is of one kind from its first row to
its last. Memory is bounded by a batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airkeep.adopt.columns import ColumnText, Header
from airkeep.adopt.layouts import TextTable
from airkeep.adopt.text import TextFile
from airkeep.database.arrow import Spooler
from airkeep.database.catalog import Column, Constraint, Table
from airkeep.database.spool import SpoolFile
from airkeep.database.sql import ident
from airkeep.database.types import travel
from airkeep.errors import AirkeepError, BadBackupError
from airkeep.snapshot.manifest import ColumnEntry, FileEntry, RepairEntry, TableEntry
from airkeep.snapshot.seal import SecretsWay, column_values
from airkeep.tables.roles import role_of
from airkeep.tables.secrets import DROPPED_WHOLE, Holds, Secret, secrets_of

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 8192
BATCH_CHARACTERS = 8 << 20  # of wide rows: serialized DAGs have some 300 kB each
SCHEMA = "public"


@dataclass(frozen=True)
class ReadTable:
    """A table that was read: spool files, and what is to be said of it."""

    source: TextTable
    table: Table
    files: tuple[SpoolFile, ...]
    secrets: tuple[Secret, ...]
    notes: tuple[str, ...]
    repairs: tuple[RepairEntry, ...]

    @property
    def rows(self) -> int:
        return sum(f.rows for f in self.files)

    def entry(self, files: Sequence[FileEntry]) -> TableEntry:
        """What the manifest says of it once its files are saved."""
        held = {s.column: s.holds.value for s in self.secrets}
        columns = tuple(
            ColumnEntry(
                name=c.name,
                type=c.type,
                parquet=travel(c).parquet,
                nullable=c.nullable,
                encoding=travel(c).encoding,
                secret=held.get(c.name),
            )
            for c in self.table.columns
        )
        return TableEntry(
            label=self.source.label,
            schema=SCHEMA,
            name=self.source.label,
            role=role_of(self.source.label).value,
            columns=columns,
            key=self.table.key,
            references=(),
            rows=self.rows,
            files=tuple(files),
            window=self.source.window,
        )


def read_table(
    source: TextTable,
    files: Sequence[TextFile],
    header: Header,
    spooler: Spooler,
    way: SecretsWay,
) -> ReadTable:
    """Read a table's files to their end.

    Args:
        files: one at least; several are joined, equal rows once.
        way: what is done with secrets; it takes the names of those met.

    Raises:
        BadBackupError: a row that cannot be, by file and line, or fewer rows than were promised.
        AirkeepError: a key that a secret needs.
    """
    one = _Pass(source, files, header, replace(way, plain=[], failed=[]))
    while True:
        for column in header.columns:
            column.begin()
        spooled = one.run(spooler)
        for column, place in one.misfits.values():
            column.widen(place)
        unsettled = [c for c in header.columns if not c.settle()]
        if not one.misfits and not unsettled:
            break
        for file in spooled:
            file.path.unlink()
        one = _Pass(source, files, header, replace(way, plain=[], failed=[]))
    way.plain += one.way.plain
    way.failed += one.way.failed
    if source.rows is not None and source.rows != one.rows:
        raise wrong_count(source, one.rows)
    notes = []
    key = header.key
    if key and (again := spooler.repeated([f.path for f in spooled], key, what=source.label)):
        notes.append(f"{source.label}: {again} rows repeat a key or lack it: taken without a key")
        key = ()
    if key and header.is_natural:
        notes.append(f"{source.label}: its own key is not there: told apart by {', '.join(key)}")
    if header.left_out:
        notes.append(f"{source.label}: no columns, left out: {', '.join(header.left_out)}")
    repairs = tuple(r for c in header.columns for r in c.told(source.label))
    table = _table(source.label, header.columns, key)
    return ReadTable(source, table, tuple(spooled), one.secrets, tuple(notes), repairs)


def wrong_count(source: TextTable, rows: int) -> BadBackupError:
    """The error of a table with fewer or more rows than were promised."""
    return BadBackupError(
        f"{source.paths[0]} holds {rows} rows, its summary says {source.rows}: it is cut off or of "
        f"another run. Leave the table out with --skip {source.label}"
    )


def _table(label: str, columns: Sequence[ColumnText], key: tuple[str, ...]) -> Table:
    made = tuple(_column(c, key) for c in columns)
    words = f"PRIMARY KEY ({', '.join(ident(c) for c in key)})"
    constraints = (Constraint(f"{label}_pkey", "p", words, key),) if key else ()
    return Table(SCHEMA, label, made, key, constraints)


def _column(column: ColumnText, key: Collection[str]) -> Column:
    nullable = (column.nullable or column.has_nulls) and column.name not in key
    return Column(column.name, column.type, nullable=nullable)


@dataclass
class _Pass:
    """One reading of all files.

    DuckDB asks for the batches in a thread of its own and makes an error of its own of whatever
    is raised there: what went wrong is kept here, and raised when DuckDB is done.
    """

    source: TextTable
    files: Sequence[TextFile]
    header: Header
    way: SecretsWay
    rows: int = 0
    misfits: dict[str, tuple[ColumnText, str]] = field(default_factory=dict)
    error: AirkeepError | None = None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return secrets_of(self.source.label, [c.name for c in self.header.columns])

    def run(self, spooler: Spooler) -> list[SpoolFile]:
        import pyarrow as pa

        schema = pa.schema([(c.name, _arrow(c.type)) for c in self.header.columns])
        rows = pa.RecordBatchReader.from_batches(schema, self._batches(schema))
        found = list(spooler.spool(rows, what=self.source.label, distinct=len(self.files) > 1))
        if self.error is not None:
            raise self.error
        return found

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        dropped = self.way.mode == "drop" and self.source.label in DROPPED_WHOLE
        try:
            for places, rows in self._groups():
                batch = self._batch(places, rows, schema)
                if not dropped:
                    yield self._treated(batch)
        except AirkeepError as error:
            self.error = error

    def _groups(self) -> Iterator[tuple[list[tuple[str, int]], list[list[str]]]]:
        places: list[tuple[str, int]] = []
        rows: list[list[str]] = []
        size = 0
        for file in self.files:
            records = file.rows()
            if self.source.columns is None:
                next(records, None)
            for line, row in records:
                if len(row) != self.header.width:
                    raise file.bad(line, f"{len(row)} values, expected {self.header.width}")
                places.append((file.path, line))
                rows.append(row)
                size += sum(map(len, row))
                if len(rows) == BATCH_ROWS or size > BATCH_CHARACTERS:
                    yield places, rows
                    places, rows, size = [], [], 0
        if rows:
            yield places, rows

    def _batch(
        self, places: list[tuple[str, int]], rows: list[list[str]], schema: pa.Schema
    ) -> pa.RecordBatch:
        import pyarrow as pa

        self.rows += len(rows)
        turned = list(zip(*rows, strict=True))
        arrays = []
        for column, kind in zip(self.header.columns, schema, strict=True):
            values = None
            if column.name not in self.misfits:
                values, misfit = column.read(turned[column.at])
                if values is None:
                    path, line = places[misfit]
                    self.misfits[column.name] = (column, f"{path} line {line}")
            arrays.append(pa.array(values or [None] * len(rows), type=kind.type))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _treated(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self.misfits:
            return batch  # another pass will come
        names = batch.schema.names
        for secret in self.secrets:
            # A tool that decrypts leaves the flag out with it: what is there is in the clear.
            if secret.holds is Holds.CIPHERTEXT and secret.flag and secret.flag not in names:
                self._note_plain(batch, secret)
        required = {c.name for c in self.header.columns if not c.nullable}
        return self.way.treat(batch, self.source.label, self.secrets, required)

    def _note_plain(self, batch: pa.RecordBatch, secret: Secret) -> None:
        values = column_values(batch, secret.column)
        for value, name in zip(values, column_values(batch, secret.named_by), strict=True):
            if secret.form_of(value) is Holds.PLAIN:
                self.way.plain.append(f"{self.source.label} {name}.{secret.column}")


def _arrow(column_type: str) -> pa.DataType:
    import pyarrow as pa

    types: Mapping[str, pa.DataType] = {
        "BOOLEAN": pa.bool_(),
        "SMALLINT": pa.int16(),
        "INTEGER": pa.int32(),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "BLOB": pa.binary(),
        "TIMESTAMP": pa.timestamp("us"),
        "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
    }
    return types.get(travel(Column("", column_type)).parquet, pa.string())
