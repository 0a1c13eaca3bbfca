"""Read a source's text backups to their end: rows in spool files, and what is to be said of them.

Nothing is saved here. Which backups there are is told by their files' names (`layouts.py`), their
types by the Airflow that their columns fit, their values by `table.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic

from airkeep.adopt.columns import column_names, read_header
from airkeep.adopt.layouts import (
    Backup,
    TextTable,
    archive_backups,
    dated_backups,
    not_of_layout,
    orm_backups,
)
from airkeep.adopt.pipe import pipe_backup
from airkeep.adopt.source import Source, fingerprint
from airkeep.adopt.table import ReadTable, read_table, wrong_count
from airkeep.adopt.text import TextFile
from airkeep.database.arrow import Spooler
from airkeep.errors import ConfigError
from airkeep.snapshot.manifest import AdoptedEntry, Layout
from airkeep.snapshot.progress import Progress, Step
from airkeep.snapshot.seal import SecretsWay
from airkeep.tables.revisions import airflow_version as version_of
from airkeep.tables.shapes import fitting, known_versions, shapes_of, span, version_like


@dataclass(frozen=True)
class TextSource:
    """A source of text backups, and what was told of it.

    Attributes:
        airflow_version: which Airflow they are of; None: what their columns fit.
    """

    source: Source
    layout: Layout
    airflow_version: str | None

    def backups(self, at: datetime | None, skip: Collection[str] = ()) -> list[Backup]:
        """Those that are there, oldest first; the newest says what lies beside them.

        Args:
            at: when one was taken that does not say it itself.
            skip: tables that will be left out, so their files may be damaged or not there.

        Raises:
            ConfigError: they do say it themselves.
            UnknownLayoutError: it holds several environments.
            BadBackupError: files do not fit one another.
        """
        if at is not None and self.layout != "pipe-csv":  # nor a dump, which does not come here
            raise ConfigError(f"--time: a backup of the layout {self.layout} says its own time")
        *older, newest = self._backups(at, skip)
        beside = not_of_layout(self.source, self.layout)
        return [*older, replace(newest, notes=(*newest.notes, *beside))]

    def _backups(self, at: datetime | None, skip: Collection[str]) -> list[Backup]:
        if self.layout == "dated-csv":
            return dated_backups(self.source, skip)
        if self.layout == "orm-csv":
            return orm_backups(self.source)
        if self.layout == "archive-csv":
            return archive_backups(self.source)
        return [pipe_backup(self.source, self.airflow_version, at, skip)]

    def sha256(self, backup: Backup) -> str:
        """By which the backup is known again."""
        paths = {*backup.paths, *(p for t in backup.tables for p in t.paths)}
        return fingerprint(self.source, paths, backup.root)


@dataclass(frozen=True)
class ReadBackup:
    """A backup that was read.

    Attributes:
        version: its Airflow's, as a manifest spells it.
        adopted: what the manifest says of where it comes from.
        took_s: seconds.
    """

    backup: Backup
    tables: tuple[ReadTable, ...]
    version: str
    revisions: tuple[str, ...]
    adopted: AdoptedEntry
    started: datetime
    took_s: float


class BackupReader:
    """Reads backups of one source, one after the other.

    Args:
        backups: all that there are: together they tell which Airflow they are of.
        spooler: takes the rows.
        way: what is done with secrets; it takes the names of those met.
    """

    def __init__(
        self,
        text: TextSource,
        backups: Sequence[Backup],
        spooler: Spooler,
        way: SecretsWay,
        progress: Progress,
    ) -> None:
        self._text, self._spooler, self._way, self._progress = text, spooler, way, progress
        self._rows = 0
        self._together = self._all_together(backups)

    def _all_together(self, backups: Sequence[Backup]) -> tuple[str, ...]:
        """The Airflows that all archives together fit: one table alone fits too many."""
        if self._text.layout != "archive-csv":
            return ()
        tables = [t for backup in backups for t in backup.tables]
        return fitting({t.label: _names(t, self._files(t)) for t in tables})

    def read(self, backup: Backup) -> ReadBackup:
        """Read every table of a backup.

        Raises:
            BadBackupError: a file is damaged, or no table's.
            AirkeepError: a key that a secret needs.
        """
        started, began = datetime.now(UTC), monotonic()
        files = {t.label: self._files(t) for t in backup.tables}
        heads = {t.label: _names(t, files[t.label]) for t in backup.tables}
        notes = list(backup.notes)
        if empty := sorted(label for label, head in heads.items() if not head):
            notes.append(f"empty files, whose columns are not known: {', '.join(empty)}")
            if lost := next((t for t in backup.tables if t.rows and t.label in empty), None):
                raise wrong_count(lost, 0)
        tables = [t for t in backup.tables if heads[t.label]]
        versions, told = self._versions(backup, {t.label: heads[t.label] for t in tables})
        found = []
        for table in tables:
            self._progress(Step(table.label, self._rows, 0))
            header = read_header(
                table.label, heads[table.label], versions, orm=self._text.layout == "orm-csv"
            )
            found.append(read_table(table, files[table.label], header, self._spooler, self._way))
            self._rows += found[-1].rows
        revisions = _revisions(files.get("alembic_version", []))
        return ReadBackup(
            backup=backup,
            tables=tuple(found),
            version=str(version_of(revisions)) if revisions else span(versions),
            revisions=revisions,
            adopted=AdoptedEntry(
                layout=self._text.layout,
                source=self._text.source.shown,
                sha256=self._text.sha256(backup),
                time=backup.time,
                notes=(*notes, told, *(n for table in found for n in table.notes)),
                repairs=tuple(r for table in found for r in table.repairs),
            ),
            started=started,
            took_s=monotonic() - began,
        )

    def _files(self, table: TextTable) -> list[TextFile]:
        fetch = self._text.source.fetch
        return [TextFile(p, fetch(p), table.delimiter) for p in table.paths]

    def _versions(
        self, backup: Backup, heads: Mapping[str, Sequence[str]]
    ) -> tuple[tuple[str, ...], str]:
        """Which Airflow it is of, and how that is known."""
        if (said := self._text.airflow_version) is not None:
            like = version_like(said)
            return (like,), f"types are those of Airflow {like}, for {said} as told"
        if backup.versions:
            return backup.versions, f"types are those of Airflow {span(backup.versions)}"
        orm = self._text.layout == "orm-csv"
        found = fitting({t: column_names(t, head, orm=orm) for t, head in heads.items()})
        found = tuple(v for v in found if v in self._together) or found
        if found:
            return found, f"the columns are those of Airflow {span(found)}, and so the types"
        return (), (
            f"the columns are not those of one Airflow that is known ({known_versions()[0]} to "
            f"{known_versions()[-1]}): types are those that all of them agree in"
        )


def _names(table: TextTable, files: Sequence[TextFile]) -> list[str]:
    """The names of the columns; none of an empty file."""
    if table.columns is not None:
        return list(table.columns)
    heads = [file.first() or [] for file in files]
    for file, head in zip(files, heads, strict=True):
        if head != heads[0]:
            raise file.bad(1, f"another header than that of {files[0].path}")
        if len(set(head)) != len(head) or "" in head:
            raise file.bad(1, "no header of a table: a name is empty or there twice")
    if not heads[0] and any(row for file in files for _line, row in file.rows()):
        raise files[0].bad(1, "an empty line in the place of a header")
    known = {name for shape in shapes_of(table.label, known_versions()) for name in shape.columns}
    if known and heads[0] and known.isdisjoint(heads[0]):
        raise files[0].bad(1, f"no header of {table.label}: it names none of its columns")
    return heads[0]


def _revisions(files: Sequence[TextFile]) -> tuple[str, ...]:
    """What `alembic_version` holds, where a backup has it: one column, a header."""
    rows = [row for file in files for _line, row in file.rows()]
    return tuple(sorted(row[0] for row in rows[1:] if len(row) == 1 and row[0]))
