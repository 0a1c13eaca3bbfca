"""Adopt the backups of another tool: read all of them to their end, then save their snapshots.

A backup that is damaged is an error before anything is saved. What comes after can be repeated:
a snapshot of the same backup that is there already is told and not made again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from airkeep.adopt.dump import backup_of, open_dump, origin_of
from airkeep.adopt.layouts import Backup, recognise, skipped
from airkeep.adopt.plan import PlannedSnapshot, plan_snapshot
from airkeep.adopt.read import BackupReader, TextSource
from airkeep.adopt.save import save_backup
from airkeep.adopt.source import Source
from airkeep.database.arrow import Spooler
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
from airkeep.snapshot.progress import Progress, silent
from airkeep.snapshot.seal import SecretsWay


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
            opened,
            layout,
            _Into(lake, options, way),
            _Means(folder, limits or ReadLimits(), progress),
            dry_run,
        )
        if layout == "pg_dump":
            if airflow_version is not None:
                raise ConfigError("--airflow-version: a dump says itself which Airflow it is of")
            return run.adopt_dump(at)
        return run.adopt_text(TextSource(opened, layout, airflow_version), at)


@dataclass(frozen=True)
class _Into:
    """Where the snapshots go, whose they are, what is done with secrets."""

    lake: Lake
    options: ExportOptions
    way: SecretsWay

    @cached_property
    def known(self) -> _Known:
        return _Known(self.lake, self.options.environment)

    def check_secrets(self) -> None:
        """Refuse what was met in the clear, or could not be sealed."""
        way = self.way
        way.check_failures()
        if way.plain and way.mode == "keep" and not self.options.allow_plain:
            raise PlainSecretError(way.plain)


@dataclass(frozen=True)
class _Means:
    """What a run may use; the folder is private."""

    folder: Path
    limits: ReadLimits
    progress: Progress


@dataclass(frozen=True)
class _Run:
    """One adoption, whatever its layout."""

    source: Source
    layout: m.Layout
    into: _Into
    means: _Means
    dry_run: bool

    def adopt_dump(self, at: datetime | None) -> Adoption:
        into, means = self.into, self.means
        dump = open_dump(self.source, means.folder, at)
        origin = origin_of(dump, self.source)
        if there := into.known.find(origin.at, origin.adopted.sha256):
            return self.done(there=[there])
        if self.dry_run:
            return self.done(plan=_without([backup_of(dump)], into.options.skip))
        with Server.start() as server:
            loaded = load_script(server, dump.script, dump.path, means.folder)
            snapshot = export_backup(
                loaded.url,
                into.lake,
                origin_of(dump, self.source, loaded.notes),
                into.options,
                into.way,
                limits=means.limits,
                spool=means.folder,
                progress=means.progress,
            )
        return self.done(made=[snapshot])

    def adopt_text(self, text: TextSource, at: datetime | None) -> Adoption:
        into, progress = self.into, self.means.progress
        with Spooler(self.means.folder, self.means.limits) as spooler:
            backups = _without(text.backups(at, into.options.skip), into.options.skip)
            if not backups:
                raise UnknownLayoutError(f"{self.source.shown}: no table is left to adopt")
            seen = [into.known.find(backup.at, text.sha256(backup)) for backup in backups]
            fresh = [b for b, there in zip(backups, seen, strict=True) if there is None]
            there = [s for s in seen if s is not None]
            if self.dry_run:
                return self.done(there=there, plan=fresh)
            reader = BackupReader(text, backups, spooler, into.way, progress)
            read = [reader.read(backup) for backup in fresh]
            into.check_secrets()
            environment = into.options.environment
            made = [save_backup(r, into.lake, environment, into.way, progress) for r in read]
            return self.done(made=made, there=there)

    def done(
        self,
        *,
        made: Sequence[Snapshot] = (),
        there: Sequence[Snapshot] = (),
        plan: Sequence[Backup] = (),
    ) -> Adoption:
        planned = tuple(plan_snapshot(self.into.options.environment, backup) for backup in plan)
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
