"""Adopt the backups of another tool: read all of them to their end, then save their snapshots.

A backup that is damaged is an error before anything is saved. What comes after can be repeated:
a snapshot of the same backup that is there already is told and not made again.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import monotonic

from airkeep.adopt.columns import column_names, read_header
from airkeep.adopt.dump import backup_of, open_dump, origin_of
from airkeep.adopt.layouts import (
    Backup,
    TextTable,
    archive_backups,
    dated_backups,
    orm_backups,
    recognise,
    skipped,
)
from airkeep.adopt.pipe import pipe_backup
from airkeep.adopt.plan import PlannedSnapshot, plan_snapshot
from airkeep.adopt.source import Source, fingerprint
from airkeep.adopt.table import SCHEMA, ReadTable, read_table
from airkeep.adopt.text import TextFile
from airkeep.database.arrow import Spooler
from airkeep.database.catalog import Catalog
from airkeep.database.ddl import make_ddl
from airkeep.database.dump import load_script
from airkeep.database.limits import ReadLimits
from airkeep.database.server import Server
from airkeep.errors import ConfigError, PlainSecretError, UnknownLayoutError, no_such_table
from airkeep.export.plan import ExportOptions
from airkeep.export.rows import secrets_way
from airkeep.export.run import check_case, export_backup
from airkeep.snapshot import manifest as m
from airkeep.snapshot import names
from airkeep.snapshot.choose import named
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Lake, LakePlace, Snapshot, open_lake
from airkeep.snapshot.names import SnapshotName
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.seal import SecretsWay
from airkeep.snapshot.write import SnapshotWriter
from airkeep.tables.revisions import airflow_version as version_of
from airkeep.tables.shapes import fitting, known_versions, span, version_like
from airkeep.version import __version__


@dataclass(frozen=True)
class Adoption:
    """What came of a source.

    Attributes:
        made: the snapshots, oldest first; none of a dry run.
        there: those of the same backups that were in the lake already.
        planned: of a dry run, the snapshots that would be made.
    """

    layout: m.Layout
    source: str
    made: tuple[Snapshot, ...] = ()
    there: tuple[Snapshot, ...] = ()
    planned: tuple[PlannedSnapshot, ...] = ()
    dry_run: bool = False


def adopt(
    source: str | Path,
    lake: LakePlace,
    *,
    environment: str,
    airflow_version: str | None = None,
    at: datetime | None = None,
    skip: Sequence[str] = (),
    dry_run: bool = False,
    secrets: m.SecretsMode = "keep",
    allow_plain: bool = False,
    fernet_key: str | None = None,
    archive_key: str | None = None,
    store_options: Mapping[str, str] | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> Adoption:
    """Make snapshots of the backups that another tool left in a folder, a file or a bucket.

    Args:
        source: a folder, a file, or a URL; its layout is told by what is in it.
        environment: whose snapshots they are.
        airflow_version: which Airflow they are of; None: what their columns fit.
        at: when a backup was taken that does not say it itself.
        skip: tables that are left out.
        dry_run: only plan: nothing is read to its end and nothing saved.
        store_options: what the source's store takes beside the URL.

    Raises:
        AirkeepError: see `airkeep.errors`; of a damaged backup no snapshot was made.
    """
    names.check_environment(environment)
    way = secrets_way(secrets, fernet_key, archive_key)
    lake = open_lake(lake)
    check_case(environment, lake.environments())
    options = ExportOptions(
        environment=environment, skip=named(skip), secrets=secrets, allow_plain=allow_plain
    )
    at = None if at is None else names.utc(at)
    with private_folder(spool) as folder:
        opened = Source(str(source), folder, options=store_options)
        layout = recognise(opened)
        run = _Run(
            opened, layout, lake, options, way, folder, limits or ReadLimits(), dry_run, progress
        )
        if layout == "pg_dump":
            if airflow_version is not None:
                raise ConfigError("--airflow-version: a dump says itself which Airflow it is of")
            return run.adopt_dump(at)
        return run.adopt_text(airflow_version, at)


@dataclass(frozen=True)
class _Run:
    """One adoption, whatever its layout."""

    source: Source
    layout: m.Layout
    lake: Lake
    options: ExportOptions
    way: SecretsWay
    folder: Path
    limits: ReadLimits
    dry_run: bool
    progress: Progress

    def adopt_dump(self, at: datetime | None) -> Adoption:
        dump = open_dump(self.source, self.folder, at)
        origin = origin_of(dump, self.source)
        if there := self.known.find(origin.at, origin.adopted.sha256):
            return self.done(there=[there])
        if self.dry_run:
            return self.done(plan=_without([backup_of(dump)], self.options.skip))
        with Server.start() as server:
            loaded = load_script(server, dump.script, dump.path, self.folder)
            snapshot = export_backup(
                loaded.url,
                self.lake,
                origin_of(dump, self.source, loaded.notes),
                self.options,
                self.way,
                limits=self.limits,
                spool=self.folder,
                progress=self.progress,
            )
        return self.done(made=[snapshot])

    def adopt_text(self, airflow_version: str | None, at: datetime | None) -> Adoption:
        options, way, progress = self.options, self.way, self.progress
        with Spooler(self.folder, self.limits) as spooler:
            run = _Adoption(
                self.source,
                self.layout,
                self.lake,
                options.environment,
                airflow_version,
                way,
                spooler,
            )
            backups = _without(run.backups(at), options.skip)
            if not backups:
                raise UnknownLayoutError(f"{self.source.shown}: no table is left to adopt")
            seen = [self.known.find(backup.at, run.sha256(backup)) for backup in backups]
            fresh = [b for b, there in zip(backups, seen, strict=True) if there is None]
            there = [s for s in seen if s is not None]
            if self.dry_run:
                return self.done(there=there, plan=fresh)
            run.look_at(backups)
            read = [run.read(backup, progress) for backup in fresh]
            way.check_failures()
            if way.plain and way.mode == "keep" and not options.allow_plain:
                raise PlainSecretError(way.plain)
            return self.done(made=[run.save(backup, progress) for backup in read], there=there)

    @cached_property
    def known(self) -> _Known:
        return _Known(self.lake, self.options.environment)

    def done(
        self,
        *,
        made: Sequence[Snapshot] = (),
        there: Sequence[Snapshot] = (),
        plan: Sequence[Backup] = (),
    ) -> Adoption:
        planned = tuple(plan_snapshot(self.options.environment, backup) for backup in plan)
        return Adoption(
            self.layout, self.source.shown, tuple(made), tuple(there), planned, self.dry_run
        )


def _without(backups: Sequence[Backup], skip: Collection[str]) -> list[Backup]:
    """Those that have a table left."""
    labels = {t.label for backup in backups for t in backup.tables}
    for name in skip:
        if name not in labels:
            raise no_such_table("--skip", name, "the backup", labels)
    return [left for backup in backups if (left := skipped(backup, skip)).tables]


class _Known:
    """The environment's snapshots that are there already."""

    def __init__(self, lake: Lake, environment: str) -> None:
        self.lake, self.environment = lake, environment
        self.ids = {name.id for name in lake.names(environment)}

    def find(self, at: datetime, sha256: str) -> Snapshot | None:
        """The snapshot of the very same backup, where it was adopted before."""
        wanted = names.make_id(at)
        while wanted in self.ids:
            snapshot = self.lake.get(SnapshotName(self.environment, wanted))
            adopted = snapshot.manifest.adopted
            if adopted is not None and adopted.sha256 == sha256:
                return snapshot
            wanted = names.next_id(wanted)
        return None


@dataclass(frozen=True)
class _Read:
    backup: Backup
    tables: tuple[ReadTable, ...]
    version: str
    revisions: tuple[str, ...]
    notes: tuple[str, ...]
    started: datetime
    took_s: float


class _Adoption:
    """One run over one source; its methods are its steps, in order."""

    def __init__(
        self,
        source: Source,
        layout: m.Layout,
        lake: Lake,
        environment: str,
        airflow_version: str | None,
        way: SecretsWay,
        spooler: Spooler,
    ) -> None:
        self.source, self.layout, self.lake = source, layout, lake
        self.environment, self.airflow_version = environment, airflow_version
        self.way, self.spooler = way, spooler
        self.together: tuple[str, ...] = ()
        self.rows_done = 0

    def backups(self, at: datetime | None) -> list[Backup]:
        if at is not None and self.layout != "pipe-csv":  # nor a dump, which does not come here
            raise ConfigError(f"--time: a backup of the layout {self.layout} says its own time")
        if self.layout == "dated-csv":
            return dated_backups(self.source)
        if self.layout == "orm-csv":
            return orm_backups(self.source)
        if self.layout == "archive-csv":
            return archive_backups(self.source)
        return [pipe_backup(self.source, self.airflow_version, at)]

    def sha256(self, backup: Backup) -> str:
        """By which the backup is known again."""
        paths = {*backup.paths, *(p for t in backup.tables for p in t.paths)}
        return fingerprint(self.source, paths, backup.root)

    # Reading.

    def look_at(self, backups: Sequence[Backup]) -> None:
        """Find the Airflows that all archives together fit: one table alone fits too many."""
        if self.layout == "archive-csv":
            tables = [t for backup in backups for t in backup.tables]
            self.together = fitting({t.label: self._names(t, self._files(t)) for t in tables})

    def read(self, backup: Backup, progress: Progress) -> _Read:
        started, began = datetime.now(UTC), monotonic()
        files = {t.label: self._files(t) for t in backup.tables}
        heads = {t.label: self._names(t, files[t.label]) for t in backup.tables}
        notes = list(backup.notes)
        if empty := sorted(label for label, names_ in heads.items() if not names_):
            notes.append(f"empty files, whose columns are not known: {', '.join(empty)}")
        tables = [t for t in backup.tables if heads[t.label]]
        versions, told = self._versions(backup, {t.label: heads[t.label] for t in tables})
        notes.append(told)
        revisions = _revisions(files.get("alembic_version", []))
        found = []
        for table in tables:
            progress(Step(table.label, self.rows_done, 0))
            header = read_header(
                table.label, heads[table.label], versions, orm=self.layout == "orm-csv"
            )
            read = read_table(table, files[table.label], header, self.spooler, self.way)
            self.rows_done += read.rows
            found.append(read)
            notes += read.notes
        version = str(version_of(revisions)) if revisions else span(versions)
        took_s = monotonic() - began
        return _Read(backup, tuple(found), version, revisions, tuple(notes), started, took_s)

    def _files(self, table: TextTable) -> list[TextFile]:
        return [TextFile(p, self.source.fetch(p), table.delimiter) for p in table.paths]

    def _names(self, table: TextTable, files: Sequence[TextFile]) -> list[str]:
        if table.columns is not None:
            return list(table.columns)
        heads = [file.first() or [] for file in files]
        for file, head in zip(files, heads, strict=True):
            if head != heads[0]:
                raise file.bad(1, f"another header than that of {files[0].path}")
            if len(set(head)) != len(head) or "" in head:
                raise file.bad(1, "no header of a table: a name is empty or there twice")
        return heads[0]

    def _versions(
        self, backup: Backup, heads: Mapping[str, Sequence[str]]
    ) -> tuple[tuple[str, ...], str]:
        """Which Airflow it is of, and how that is known."""
        if self.airflow_version is not None:
            like = version_like(self.airflow_version)
            return (like,), f"types are those of Airflow {like}, for {self.airflow_version} as told"
        if backup.versions:
            return backup.versions, f"types are those of Airflow {span(backup.versions)}"
        orm = self.layout == "orm-csv"
        found = fitting({t: column_names(t, head, orm=orm) for t, head in heads.items()})
        found = tuple(v for v in found if v in self.together) or found
        if found:
            return found, f"the columns are those of Airflow {span(found)}, and so the types"
        return (), (
            f"the columns are not those of one Airflow that is known ({known_versions()[0]} to "
            f"{known_versions()[-1]}): types are those that all of them agree in"
        )

    # Saving.

    def save(self, read: _Read, progress: Progress) -> Snapshot:
        began = monotonic()
        backup = read.backup
        catalog = Catalog(
            engine="postgresql",
            server_version="unknown",
            main_schema=SCHEMA,
            tables=tuple(t.table for t in read.tables),
        )
        writer = SnapshotWriter(
            self.lake.store,
            self.environment,
            names.make_id(backup.at),
            make_ddl(catalog).script(),
        )
        entries = []
        for table in read.tables:
            label = table.source.label
            progress(Step(label, self.rows_done, 0))
            saved = []
            for file in table.files:
                saved.append(writer.save(label, file.path, file.rows))
                file.path.unlink()
            entries.append(table.entry(saved))
        timings = {"read": round(read.took_s, 3), "save": round(monotonic() - began, 3)}
        return writer.commit(self._manifest(writer, read, entries, timings))

    def _manifest(
        self,
        writer: SnapshotWriter,
        read: _Read,
        entries: Sequence[m.TableEntry],
        timings: dict[str, float],
    ) -> m.Manifest:
        backup = read.backup
        sealed = self.way.mode == "seal" and self.way.archive is not None
        keys = self.way.archive.fingerprints if sealed and self.way.archive else ()
        return m.Manifest(
            format=m.FORMAT,
            airkeep=__version__,
            run_id=str(uuid.uuid4()),
            environment=writer.environment,
            id=writer.id,
            airflow_version=read.version,
            revisions=read.revisions,
            server=m.ServerEntry("postgresql", "unknown"),
            main_schema=SCHEMA,
            mode="full",
            complete=False,
            window=None if backup.cutoff is None else m.WindowEntry(backup.cutoff),
            secrets=m.SecretsEntry(self.way.mode, keys, len(self.way.plain)),
            schema_sql=writer.schema_sql,
            tables=tuple(entries),
            sequences=(),
            adopted=m.AdoptedEntry(
                layout=self.layout,
                source=self.source.shown,
                sha256=self.sha256(backup),
                time=backup.time,
                notes=read.notes,
                repairs=tuple(r for t in read.tables for r in t.repairs),
            ),
            started=read.started,
            finished=datetime.now(UTC),
            timings_s=timings,
        )


def _revisions(files: Sequence[TextFile]) -> tuple[str, ...]:
    """What `alembic_version` holds, where a backup has it: one column, a header."""
    rows = [row for file in files for _line, row in file.rows()]
    return tuple(sorted(row[0] for row in rows[1:] if len(row) == 1 and row[0]))
