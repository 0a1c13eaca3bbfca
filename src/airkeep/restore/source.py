"""A snapshot's rows on their way into a target, told and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from airkeep.database.limits import ReadLimits
from airkeep.errors import RestoreError
from airkeep.restore.rows import TableRows
from airkeep.restore.secrets import held_by, try_secrets
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import Manifest, TableEntry
from airkeep.snapshot.progress import Progress, Step
from airkeep.snapshot.read import SnapshotReader, bring
from airkeep.snapshot.seal import SecretsBack


class Source:
    """One snapshot that is being restored.

    Attributes:
        rows: how many have left so far.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        back: SecretsBack,
        folder: Path,
        limits: ReadLimits,
        progress: Progress,
    ) -> None:
        self.snapshot, self._back = snapshot, back
        self._folder, self._limits, self._progress = folder, limits, progress
        self.rows = 0

    @property
    def manifest(self) -> Manifest:
        return self.snapshot.manifest

    def reader(self) -> SnapshotReader:
        return SnapshotReader(
            self.snapshot,
            folder=self._folder,
            memory_bytes=self._limits.memory_bytes,
            threads=self._limits.threads,
        )

    def try_secrets(self, entries: Sequence[TableEntry]) -> tuple[str, ...]:
        """See `secrets.try_secrets`."""
        return try_secrets(
            self.snapshot, entries, self._back, folder=self._folder, limits=self._limits
        )

    def know_secrets(self, there: Callable[[], Mapping[str, bytes]]) -> None:
        """Tokens that the target has already: one that hides the same value stays as it is.

        Args:
            there: reads them; not asked where no value changes on its way.
        """
        if self._back.has_work:
            self._back.there.update(there())

    def load(
        self,
        reader: SnapshotReader,
        entry: TableEntry,
        total: int,
        into: Callable[[TableRows], None],
    ) -> None:
        """Hand a table's rows to who takes them, all of them.

        Args:
            total: rows of all tables, for the progress.

        Raises:
            RestoreError: they are not as many as the manifest says.
        """
        self.tell(entry.label, total)
        if not entry.rows:
            return
        before = self.rows

        def told(count: int) -> None:
            self._progress(Step(entry.label, before + count, total))

        secrets, engine = held_by(entry, self.manifest), self.manifest.server.engine
        rows = TableRows(reader, entry, self._back, secrets, told, engine=engine)
        into(rows)
        if rows.count != entry.rows:
            raise RestoreError(
                f"{entry.label} has {rows.count} rows, its manifest says {entry.rows}: "
                f"run verify on this snapshot"
            )
        self.rows += rows.count

    def tell(self, doing: str, total: int) -> None:
        self._progress(Step(doing, self.rows, total))

    def schema_sql(self) -> str:
        local = self._folder / "schema.sql"
        bring(self.snapshot.store, self.manifest.schema_sql, local)
        return local.read_text(encoding="utf-8")
