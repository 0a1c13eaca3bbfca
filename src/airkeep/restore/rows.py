"""One table's rows out of a snapshot, secrets opened, on their way into a target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from airkeep.database.catalog import Engine
from airkeep.database.sql import ident
from airkeep.snapshot.fold import fold
from airkeep.snapshot.manifest import ColumnEntry, TableEntry
from airkeep.snapshot.read import SnapshotReader
from airkeep.snapshot.seal import SecretsBack
from airkeep.tables.secrets import Secret

if TYPE_CHECKING:
    import pyarrow as pa


class TableRows:
    """The rows of one table; read once.

    Attributes:
        columns: the stored ones.
        engine: what held them.
        count: rows that have left so far.
    """

    def __init__(
        self,
        reader: SnapshotReader,
        entry: TableEntry,
        back: SecretsBack,
        secrets: Sequence[Secret],
        tell: Callable[[int], None] = lambda _: None,
        *,
        engine: Engine = "postgresql",
    ) -> None:
        self.entry, self.engine = entry, engine
        self.columns: tuple[ColumnEntry, ...] = tuple(c for c in entry.columns if not c.generated)
        self.count = 0
        self._reader, self._back, self._secrets, self._tell = reader, back, secrets, tell

    def read(self, select: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """The rows as Arrow batches.

        Args:
            select: DuckDB's expressions instead of the plain columns.
        """
        import pyarrow as pa

        layers = self._reader.fetch(self.entry.label)
        wanted = ", ".join(select or [ident(c.name) for c in self.columns])
        doing, query = f"reading {self.entry.label}", fold(layers)
        if self._back.has_work and self._secrets:
            opened = self._opened(query)
            statement = f"SELECT {wanted} FROM opened"
            found = self._reader.arrow(statement, doing=doing, opened=opened)
        else:
            found = self._reader.arrow(f"SELECT {wanted} FROM ({query})", doing=doing)

        def counted() -> Iterator[pa.RecordBatch]:
            for batch in found:
                self.count += batch.num_rows
                self._tell(self.count)
                yield batch
            self._reader.drop(layers)

        return pa.RecordBatchReader.from_batches(found.schema, counted())

    def _opened(self, query: str) -> pa.RecordBatchReader:
        """The folded rows with their secrets as the target's Airflow reads them."""
        import pyarrow as pa

        rows = self._reader.arrow(query, doing=f"opening {self.entry.label}")
        label = self.entry.label
        treated = (self._back.treat(batch, label, self._secrets) for batch in rows)
        return pa.RecordBatchReader.from_batches(rows.schema, treated)
