"""Take a snapshot: read one instant of a database, save its files, then its manifest.

What makes the snapshot visible comes last (snapshot/write.py). Whatever fails before that
leaves files that no manifest names: garbage, which `clean` removes. The private folder with
spool files and the password file is gone in every case, Ctrl-C included.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from airkeep.database.address import Address, DatabasePlace, open_address
from airkeep.database.limits import ReadLimits
from airkeep.database.reader import Reader, open_reader
from airkeep.database.spool import SpoolFile
from airkeep.errors import ConfigError
from airkeep.export.describe import (
    Origin,
    UpgradeOrigin,
    as_of_origin,
    lineage_entry,
    schema_text,
    sequence_entries,
    table_entry,
)
from airkeep.export.parent import (
    Counts,
    Ground,
    changed_rows,
    find_parent,
    settled_rows,
)
from airkeep.export.plan import (
    ExportOptions,
    ExportPlan,
    TablePlan,
    choose_tables,
    plan_export,
    touched_tables,
)
from airkeep.export.rows import (
    Since,
    count_plain,
    cutoff,
    estimate_rows,
    odd_things,
    secrets_way,
    spool_rows,
)
from airkeep.snapshot import manifest as m
from airkeep.snapshot import names
from airkeep.snapshot.choose import named
from airkeep.snapshot.fold import fold
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Lake, LakePlace, Snapshot, open_lake
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.read import SnapshotReader
from airkeep.snapshot.seal import SecretsWay
from airkeep.snapshot.write import SnapshotWriter
from airkeep.tables.revisions import airflow_version
from airkeep.tables.roles import is_airflow_table
from airkeep.version import __version__


def export(
    database: DatabasePlace,
    lake: LakePlace,
    *,
    environment: str,
    increment: bool = False,
    since: Since = None,
    tables: Sequence[str] = (),
    skip: Sequence[str] = (),
    airflow_only: bool = False,
    secrets: m.SecretsMode = "keep",
    allow_plain: bool = False,
    fernet_key: str | None = None,
    archive_key: str | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    dag_run: m.DagRunEntry | None = None,
    progress: Progress = silent,
) -> Snapshot:
    """Export a metadata database into a lake as one verified-to-be snapshot.

    Args:
        database: a URL, a path of a SQLite file, or an `Address`.
        lake: a folder, `s3://...`, or an open `Lake`.
        environment: whose snapshot it is.
        increment: only what changed since the newest complete snapshot, where that can be told.
        since: only runs of this window: an age before the instant, or a time.
        secrets: keep, seal, drop or plain (docs/format.md, "Secrets").
        fernet_key: the environment's own, for seal and plain.
        archive_key: what seal encrypts with.
        spool: where spool files lie, by default where temporary files do.
        dag_run: the DAG run that carries this export, if any.

    Returns:
        The snapshot, committed.

    Raises:
        AirkeepError: see `airkeep.errors`; no snapshot was made.
    """
    names.check_environment(environment)
    way = secrets_way(secrets, fernet_key, archive_key)
    if increment and since is not None:
        raise ConfigError("--increment and --since exclude each other: a window has no parent")
    address = open_address(database)
    options = ExportOptions(
        environment=environment,
        increment=increment,
        tables=named(tables),
        skip=named(skip),
        airflow_only=airflow_only,
        secrets=secrets,
        allow_plain=allow_plain,
    )
    lake = _own_spelling(lake, environment)
    with _open_run(address, lake, options, way, limits, spool, progress) as run:
        return run.run(since, dag_run)


def export_backup(
    database: DatabasePlace,
    lake: LakePlace,
    origin: Origin | UpgradeOrigin,
    options: ExportOptions,
    way: SecretsWay,
    *,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> Snapshot:
    """Export a scratch database as a snapshot of what was loaded into it.

    Args:
        origin: what a backup says of itself, or what was migrated; its time is the snapshot's id.

    Raises:
        AirkeepError: see `airkeep.errors`; no snapshot was made.
    """
    address, lake = open_address(database), _own_spelling(lake, options.environment)
    with _open_run(address, lake, options, way, limits, spool, progress) as run:
        return run.run(None, None, origin)


def _own_spelling(lake: LakePlace, environment: str) -> Lake:
    opened = open_lake(lake)
    check_case(environment, opened.environments())
    return opened


@contextmanager
def _open_run(
    address: Address,
    lake: Lake,
    options: ExportOptions,
    way: SecretsWay,
    limits: ReadLimits | None,
    spool: Path | None,
    progress: Progress,
) -> Iterator[_Export]:
    limits = limits or ReadLimits()
    with private_folder(spool) as folder, open_reader(address, folder, limits) as reader:
        yield _Export(lake, reader, options, way, folder, limits, progress)


def check_case(environment: str, known: Collection[str]) -> None:
    """Refuse a name that differs from a known one by case only.

    Raises:
        ConfigError: some file systems could not tell the two apart.
    """
    for name in known:
        if name != environment and name.lower() == environment.lower():
            raise ConfigError(f"the lake has an environment {name!r} already: use that spelling")


class _Export:
    """One run; its methods are its steps, in order."""

    def __init__(
        self,
        lake: Lake,
        reader: Reader,
        options: ExportOptions,
        way: SecretsWay,
        folder: Path,
        limits: ReadLimits,
        progress: Progress,
    ) -> None:
        self.lake, self.reader, self.options, self.way = lake, reader, options, way
        self.folder, self.limits, self.progress = folder, limits, progress
        self.started = datetime.now(UTC)
        self.timings: dict[str, float] = {}
        self.rows_done = 0
        self.rows_expected = 0
        self.chosen: set[str] = set()

    def run(
        self,
        since: Since,
        dag_run: m.DagRunEntry | None,
        origin: Origin | UpgradeOrigin | None = None,
    ) -> Snapshot:
        with self.timed("fix"):
            self.reader.fix(lambda labels: self.choose(labels, window=since is not None))
        self.options = replace(self.options, since=cutoff(since, self.reader.fixed_at))
        with self.timed("plan"):
            ground = find_parent(
                self.lake,
                self.reader,
                self.options,
                chosen=self.chosen,
                archive_keys=self.archive_keys,
            )
            plan = plan_export(
                self.reader.catalog,
                self.options,
                chosen=self.chosen,
                parent=ground.manifest,
                because=ground.because,
                altered=ground.altered,
            )
            count_plain(self.reader, plan, self.options, self.way)
            settled = settled_rows(self.reader, plan)
        catalog = self.reader.catalog
        own = {label for label in catalog.by_label() if is_airflow_table(label)}
        kept = catalog.select(own | self.chosen) if self.options.airflow_only else catalog
        writer = SnapshotWriter(
            self.lake.store,
            self.options.environment,
            names.make_id(self.reader.fixed_at if origin is None else origin.at),
            schema_text(kept),
        )
        self.rows_expected = (
            estimate_rows(self.reader, plan)
            if ground.parent is None
            else sum(c.rows - c.old for c in ground.counts.values())
        )
        with self.timed("rows"):
            entries = self.entries(plan, writer, ground, settled)
        self.way.check_failures()
        made = self.manifest(writer, plan, ground.parent, entries, dag_run)
        return writer.commit(made if origin is None else as_of_origin(made, origin))

    @property
    def archive_keys(self) -> tuple[str, ...]:
        sealed = self.options.secrets == "seal" and self.way.archive is not None
        return self.way.archive.fingerprints if sealed and self.way.archive else ()

    def choose(self, labels: Collection[str], *, window: bool) -> set[str]:
        self.chosen = choose_tables(labels, self.options)
        return touched_tables(labels, self.chosen, window=window)

    # What is taken.

    def entries(
        self,
        plan: ExportPlan,
        writer: SnapshotWriter,
        ground: Ground,
        settled: dict[str, int] | None,
    ) -> tuple[m.TableEntry, ...]:
        found = []
        with self.parent_reader(ground.parent) as back:
            for table in plan.tables:
                entry = self.entry(table, writer, back, ground.counts.get(table.label))
                old = None if self.reader.lineage is None or table.where else entry.rows
                if settled is not None and old is not None:
                    old = settled[table.label]
                found.append(replace(entry, settled=old))
        return tuple(found)

    @contextmanager
    def parent_reader(self, parent: Snapshot | None) -> Iterator[SnapshotReader | None]:
        if parent is None:
            yield None
            return
        with SnapshotReader(parent, folder=self.folder) as back:
            yield back

    def entry(
        self,
        table: TablePlan,
        writer: SnapshotWriter,
        back: SnapshotReader | None,
        counts: Counts | None,
    ) -> m.TableEntry:
        if table.how == "whole" or counts is None or table.parent is None or back is None:
            files = self.save(table, table.where, writer)
            return table_entry(self.reader, table, files, rows=sum(f.rows for f in files))
        files = ()
        if counts.rows > counts.old:
            files = self.save(table, changed_rows(back.snapshot.manifest, self.reader), writer)
        deleted: tuple[m.FileEntry, ...] = ()
        if not counts.old == table.parent.settled == table.parent.rows:
            deleted = self.save_gone(table, writer, back)
        entry = table_entry(self.reader, table, files, rows=counts.rows)
        return replace(
            entry, whole=False, deleted=deleted, deleted_rows=sum(f.rows for f in deleted)
        )

    def save(
        self, table: TablePlan, where: str | None, writer: SnapshotWriter
    ) -> tuple[m.FileEntry, ...]:
        spooled = spool_rows(self.reader, table, where, self.way)
        return self.save_files(table, spooled, writer, kind="tables")

    def save_files(
        self, table: TablePlan, spooled: Iterator[SpoolFile], writer: SnapshotWriter, *, kind: str
    ) -> tuple[m.FileEntry, ...]:
        files = []
        self.tell(table.label)
        with closing(spooled):  # type: ignore[type-var]
            for file in spooled:
                files.append(writer.save(table.label, file.path, file.rows, kind=kind))
                file.path.unlink()
                if kind == "tables":
                    self.rows_done += file.rows
                self.tell(table.label)
        return tuple(files)

    def save_gone(
        self, table: TablePlan, writer: SnapshotWriter, back: SnapshotReader
    ) -> tuple[m.FileEntry, ...]:
        layers = back.fetch(table.label)
        try:
            keys = fold(layers, list(table.table.key))
            spooled = self.reader.spool_gone(table.table, keys)
            return self.save_files(table, spooled, writer, kind="deleted")
        finally:
            back.drop(layers)

    def tell(self, label: str) -> None:
        self.progress(Step(label, self.rows_done, self.rows_expected))

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = monotonic()
        yield
        self.timings[what] = round(monotonic() - began, 3)

    # What is written down.

    def manifest(
        self,
        writer: SnapshotWriter,
        plan: ExportPlan,
        parent: Snapshot | None,
        entries: tuple[m.TableEntry, ...],
        dag_run: m.DagRunEntry | None,
    ) -> m.Manifest:
        reader, options = self.reader, self.options
        catalog = reader.catalog
        return m.Manifest(
            format=m.FORMAT,
            airkeep=__version__,
            run_id=str(uuid.uuid4()),
            environment=writer.environment,
            id=writer.id,
            airflow_version=str(airflow_version(catalog.revisions)),
            revisions=catalog.revisions,
            server=m.ServerEntry(catalog.engine, catalog.server_version),
            main_schema=catalog.main_schema,
            mode="full" if parent is None else "increment",
            parent=None if parent is None else m.ParentEntry(parent.id, parent.manifest_sha256),
            full_because=plan.full_because,
            complete=plan.complete,
            window=m.WindowEntry(options.since) if options.since else None,
            secrets=m.SecretsEntry(options.secrets, self.archive_keys, len(self.way.plain)),
            lineage=lineage_entry(reader.lineage),
            schema_sql=writer.schema_sql,
            tables=entries,
            sequences=sequence_entries(catalog.select(self.chosen)),
            dag_run=dag_run,
            left_out=catalog.left_out,
            warnings=odd_things(catalog, self.chosen),
            started=self.started,
            finished=datetime.now(UTC),
            timings_s=self.timings,
        )
