"""Take a dated CSV export: read one instant of a database, save a file a table, then the summary.

The same tables, window and secrets as a snapshot's, in the same one transaction; but it is no
snapshot: nothing is restored from it, and no increment stands on it. Every file is saved
create-if-absent, the summary last, so a run that dies leaves files that no summary names.
See snapshot/csv_run.py for the names and snapshot/csv_text.py for the text.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from airkeep.database.address import Address, DatabasePlace, open_address
from airkeep.database.limits import ReadLimits
from airkeep.database.reader import Reader, open_reader
from airkeep.database.spool import SpoolFile
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
from airkeep.export.run import check_case
from airkeep.snapshot import names
from airkeep.snapshot.choose import named
from airkeep.snapshot.csv_run import (
    FORMAT,
    CsvFile,
    CsvRun,
    CsvSummary,
    check_there,
    csv_path,
    encode_summary,
    summary_path,
    take_second,
)
from airkeep.snapshot.csv_text import CsvColumn, CsvWriter
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Lake, LakePlace, open_lake
from airkeep.snapshot.manifest import SecretsMode
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.seal import SecretsWay
from airkeep.snapshot.write import file_sha256
from airkeep.tables.revisions import airflow_version
from airkeep.version import __version__

# What readers of such exports ask for by name. One that this Airflow does not have is said to
# be missing, so that nobody takes it for empty.
EXPECTED = (
    "dag_run", "task_instance", "xcom", "task_instance_history", "dag", "dag_code", "variable",
    "connection", "slot_pool", "log", "import_error", "job", "asset_event", "backfill",
    "dag_version", "hitl_detail",
)  # fmt: skip


# A ceiling, not what is taken: rows stream, so narrow ones take 80 MB beside the reader. But
# Parquet pages of wide rows come whole: 15 k rows of 19 kB took 650 MB, and failed below it.
_WRITER_BYTES = 1 << 30


@dataclass(frozen=True)
class CsvExport:
    """A finished run and what its summary says."""

    run: CsvRun
    summary: CsvSummary


def export_csv(
    database: DatabasePlace,
    lake: LakePlace,
    *,
    environment: str,
    since: Since = None,
    tables: Sequence[str] = (),
    skip: Sequence[str] = (),
    airflow_only: bool = False,
    secrets: SecretsMode = "keep",
    allow_plain: bool = False,
    fernet_key: str | None = None,
    archive_key: str | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> CsvExport:
    """Export a metadata database into a lake as dated CSV files.

    Args:
        database: a URL, a path of a SQLite file, or an `Address`.
        lake: a folder, `s3://...`, or an open `Lake`.
        environment: whose rows they are.
        since: only runs of this window: an age before the instant, or a time.
        secrets: keep, seal, drop or plain, as in a snapshot.
        spool: where files lie on their way, by default where temporary files do.

    Raises:
        AirkeepError: see `airkeep.errors`; no summary was saved.
    """
    names.check_environment(environment)
    way = secrets_way(secrets, fernet_key, archive_key)
    address = open_address(database)
    lake = open_lake(lake)
    check_case(environment, [*lake.environments(), *lake.store.folders("csv/")])
    options = ExportOptions(
        environment=environment,
        tables=named(tables),
        skip=named(skip),
        airflow_only=airflow_only,
        secrets=secrets,
        allow_plain=allow_plain,
    )
    limits = limits or ReadLimits()
    with (
        private_folder(spool) as folder,
        open_reader(address, folder, limits) as reader,
        CsvWriter(folder, memory_bytes=max(limits.memory_bytes, _WRITER_BYTES)) as writer,
    ):
        run = _Run(lake, reader, writer, options, way, folder, progress)
        return run.run(since, database_name=_name_of(address))


def _name_of(address: Address) -> str:
    return address.database if address.kind == "postgresql" else Path(address.database).name


class _Run:
    """One run; its methods are its steps, in order."""

    def __init__(
        self,
        lake: Lake,
        reader: Reader,
        writer: CsvWriter,
        options: ExportOptions,
        way: SecretsWay,
        folder: Path,
        progress: Progress,
    ) -> None:
        self.store, self.reader, self.writer = lake.store, reader, writer
        self.options, self.way, self.folder, self.progress = options, way, folder, progress
        self.id = str(uuid.uuid4())
        self.at: datetime
        self.rows_done = 0
        self.rows_expected = 0
        self.chosen: set[str] = set()

    def run(self, since: Since, *, database_name: str) -> CsvExport:
        self.reader.fix(lambda labels: self.choose(labels, window=since is not None))
        self.options = replace(self.options, since=cutoff(since, self.reader.fixed_at))
        plan = plan_export(
            self.reader.catalog,
            self.options,
            chosen=self.chosen,
        )
        count_plain(self.reader, plan, self.options, self.way)
        self.rows_expected = estimate_rows(self.reader, plan)
        self.at = take_second(self.store, self.options.environment, self.reader.fixed_at, self.id)
        files = {table.label: self.save(table) for table in plan.tables}
        self.way.check_failures()
        return self.commit(self.summary(plan, files, database_name))

    def choose(self, labels: Collection[str], *, window: bool) -> set[str]:
        self.chosen = choose_tables(labels, self.options)
        return touched_tables(labels, self.chosen, window=window)

    def save(self, table: TablePlan) -> CsvFile:
        self.tell(table.label)
        ways = self.reader.ways(table.table)
        stored = zip(table.table.stored_columns, ways, strict=True)
        columns = [CsvColumn(c.name, way) for c, way in stored]
        local = self.folder / "table.csv.gz"
        with closing(self.told(table)) as spooled:
            rows = self.writer.write(columns, spooled, local)
        path = csv_path(self.options.environment, self.at, table.label)
        file = CsvFile(
            path=path,
            rows=rows,
            bytes=local.stat().st_size,
            sha256=file_sha256(local),
            columns=tuple(c.name for c in columns),
            window=table.window,
        )
        self.store.save_file(path, local)
        local.unlink()
        return file

    def told(self, table: TablePlan) -> Generator[SpoolFile]:
        """The table's spool files, with a word to whoever waits after each."""
        with closing(spool_rows(self.reader, table, table.where, self.way)) as spooled:  # type: ignore[type-var]
            for file in spooled:
                yield file
                self.rows_done += file.rows
                self.tell(table.label)

    def tell(self, label: str) -> None:
        self.progress(Step(label, self.rows_done, self.rows_expected))

    def summary(
        self, plan: ExportPlan, files: dict[str, CsvFile], database_name: str
    ) -> CsvSummary:
        catalog, fixed_at = self.reader.catalog, self.reader.fixed_at
        there = catalog.by_label()
        return CsvSummary(
            format=FORMAT,
            airkeep=__version__,
            run_id=self.id,
            environment=self.options.environment,
            export_timestamp=fixed_at,
            database_name=database_name,
            airflow_version=str(airflow_version(catalog.revisions)),
            revisions=catalog.revisions,
            cutoff_date=self.options.since,
            max_age_days=_days(self.options.since, fixed_at),
            secrets=self.options.secrets,
            total_tables=len(files),
            total_rows=sum(f.rows for f in files.values()),
            tables={label: f.rows for label, f in files.items()},
            missing=tuple(name for name in EXPECTED if name not in there),
            files=files,
            warnings=odd_things(catalog, self.chosen),
        )

    def commit(self, summary: CsvSummary) -> CsvExport:
        """Make the run exist."""
        environment = self.options.environment
        check_there(self.store, environment, self.at, list(summary.files.values()))
        path = summary_path(environment, self.at)
        self.store.save(path, encode_summary(summary))
        return CsvExport(CsvRun(environment, self.at, path), summary)


def _days(since: datetime | None, fixed_at: datetime) -> int | float | None:
    if since is None:
        return None
    days = (fixed_at - since) / timedelta(days=1)
    return int(days) if days == int(days) else round(days, 6)
