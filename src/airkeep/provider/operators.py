"""Operators: the library's functions as tasks.

Each one takes where things are (`AirkeepOperator`) and what its function takes, runs it in the
task's own process, and pushes a summary of names and counts. An error of airkeep's becomes the
task's one line; it is tried again by the DAG's `retries`, unless another try could not mend it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import airkeep
from airkeep.errors import (
    AddressError,
    AirkeepError,
    BusyError,
    ConfigError,
    MissingExtraError,
    NotAirflowError,
    PlainSecretError,
    SecretError,
    SnapshotError,
)
from airkeep.provider.compatibility import (
    AirflowException,
    AirflowFailException,
    BaseOperator,
    TaskInstance,
)
from airkeep.provider.hook import AirkeepHook, logged
from airkeep.provider.reports import save_report
from airkeep.provider.values import choice, days, plain, yes
from airkeep.snapshot.manifest import DagRunEntry, summarize

Context = Mapping[str, Any]
Document = dict[str, Any]

# What is so, however often it is tried.
_HOPELESS = (
    ConfigError, MissingExtraError, AddressError, NotAirflowError, SecretError, PlainSecretError,
)  # fmt: skip
KEPT_REPORTS = 30


class AirkeepOperator(BaseOperator):
    """What all of them share: where the database and the lake are.

    All arguments but `conn_id` are templates; an empty one is as if not given.

    Args:
        conn_id: a connection of type Postgres or SQLite: the metadata database's.
        database: `env:`, a URL without a password, or a SQLite file; by default what
            `AIRKEEP_DATABASE` says, else `env:`.
        lake: a folder, `s3://bucket/prefix`, ...; by default what `AIRKEEP_LAKE` says.
        environment: whose snapshots; by default `AIRKEEP_ENVIRONMENT`, else `AIRFLOW_ENV_NAME`.
        aws_region: of a lake on S3; by default the worker's.
    """

    template_fields: ClassVar[tuple[str, ...]] = ("database", "lake", "environment", "aws_region")

    def __init__(
        self,
        *,
        conn_id: str = "",
        database: str = "",
        lake: str = "",
        environment: str = "",
        aws_region: str = "",
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.conn_id = conn_id
        self.database, self.lake = database, lake
        self.environment, self.aws_region = environment, aws_region

    def execute(self, context: Context) -> Document:
        """Do it, as Airflow asks for it."""
        with failures_of_tasks():
            return self.run_with(self.hook(), context["ti"])

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        """Do it; what is given back is pushed.

        Raises:
            AirkeepError: see `airkeep.errors`.
        """
        raise NotImplementedError

    def hook(self) -> AirkeepHook:
        return AirkeepHook(
            conn_id=self.conn_id,
            database=self.database,
            lake=self.lake,
            environment=self.environment,
            aws_region=self.aws_region,
        )


@contextmanager
def failures_of_tasks() -> Iterator[None]:
    """Make an error of airkeep's the task's, in its own one line."""
    try:
        yield
    except _HOPELESS as error:
        failed: AirflowException = AirflowFailException(f"airkeep: {error}")
    except AirkeepError as error:
        failed = AirflowException(f"airkeep: {error}")
    else:
        return
    raise failed from None


class AirkeepExportOperator(AirkeepOperator):
    """Export the metadata database into the lake, as `airkeep export`.

    Args:
        increment: only what changed since the newest complete snapshot, where that can be told.
        since_days: only runs of this many days; a template; 0 or empty for all of them.
        form: `snapshot`, or `csv`: dated CSV files, which nothing restores.
        secrets: keep, seal, drop or plain; by default what `AIRKEEP_SECRETS` says.
    """

    template_fields: ClassVar[tuple[str, ...]] = (*AirkeepOperator.template_fields, "since_days")

    def __init__(
        self,
        *,
        increment: bool = False,
        since_days: float | str = 0,
        form: str = "snapshot",
        tables: Sequence[str] = (),
        skip: Sequence[str] = (),
        airflow_only: bool = False,
        secrets: str | None = None,
        allow_plain: bool = False,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.increment, self.since_days, self.form = increment, since_days, form
        self.tables, self.skip, self.airflow_only = tables, skip, airflow_only
        self.secrets, self.allow_plain = secrets, allow_plain

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        if self.form not in ("snapshot", "csv"):
            raise ConfigError(f"form: expected snapshot or csv, found {self.form!r}")
        settings = hook.settings
        options: dict[str, Any] = {
            "environment": hook.need("environment"),
            "since": days("since_days", self.since_days),
            "tables": self.tables,
            "skip": self.skip,
            "airflow_only": self.airflow_only,
            "secrets": self.secrets or settings.secrets,
            "allow_plain": self.allow_plain,
            "fernet_key": settings.fernet_key,
            "archive_key": settings.archive_key,
            "limits": hook.limits,
            "spool": hook.spool,
            "progress": logged(self.log),
        }
        if self.form == "csv":
            return self._csv(hook, options)
        return self._snapshot(hook, options, DagRunEntry(ti.dag_id, ti.run_id))

    def _snapshot(self, hook: AirkeepHook, options: Document, own: DagRunEntry) -> Document:
        snapshot = airkeep.export(
            hook.address(), hook.lake(new=True), increment=self.increment, dag_run=own, **options
        )
        for warning in snapshot.manifest.warnings:
            self.log.warning("%s", warning)
        self.log.info("exported %s", snapshot.name)
        return {"snapshot": str(snapshot.name), **plain(summarize(snapshot.manifest))}

    def _csv(self, hook: AirkeepHook, options: Document) -> Document:
        if self.increment:
            raise ConfigError("form='csv' and increment exclude each other: leave one of them out")
        done = airkeep.export_csv(hook.address(), hook.lake(new=True), **options)
        for warning in done.summary.warnings:
            self.log.warning("%s", warning)
        self.log.info("exported %s", done.run.path)
        return {
            "path": done.run.path,
            "tables": done.summary.total_tables,
            "rows": done.summary.total_rows,
        }


class AirkeepVerifyOperator(AirkeepOperator):
    """Read a snapshot's files again and hold them against its manifest, as `airkeep verify`.

    Args:
        snapshot: which, a template; by default the environment's newest.
        sample: the share of files to read; None for all.
    """

    template_fields: ClassVar[tuple[str, ...]] = (*AirkeepOperator.template_fields, "snapshot")

    def __init__(
        self, *, snapshot: str = "latest", sample: float | None = None, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self.snapshot, self.sample = snapshot, sample

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        found = airkeep.verify(
            hook.lake(),
            of_environment(self.snapshot, hook),
            sample=self.sample,
            limits=hook.limits,
            spool=hook.spool,
            progress=logged(self.log),
        )
        problems = [problem for result in found for problem in result.problems]
        for problem in problems:
            self.log.error("%s: %s: %s", problem.kind, problem.path, problem.what)
        if problems:
            raise SnapshotError(
                f"{self.snapshot} is not as it was exported: {len(problems)} problems, the first: "
                f"{problems[0].path}: {problems[0].what}"
            )
        return {
            "snapshots": [f"{result.environment}/{result.id}" for result in found],
            "files": sum(result.files for result in found),
            "read": sum(result.read for result in found),
            "bytes": sum(result.bytes for result in found),
        }


class AirkeepRestoreOperator(AirkeepOperator):
    """Put a snapshot back, all tables or none, as `airkeep restore`.

    Args:
        snapshot: which, a template; by default the environment's newest complete one.
        dry_run: only plan; a template: `true` or `false`.
        on_conflict: what becomes of rows that the target has with other content; a template.
        only: all, history or config; a template.
        in_flight: fail, clear or keep; a template.
        missed_runs: skip or make; a template.
        options: what else `airkeep.restore` takes: tables, skip, create_schema, active.
    """

    template_fields: ClassVar[tuple[str, ...]] = (
        *AirkeepOperator.template_fields,
        "snapshot", "dry_run", "on_conflict", "only", "in_flight", "missed_runs",
    )  # fmt: skip

    def __init__(
        self,
        *,
        snapshot: str = "latest",
        dry_run: bool | str = False,
        on_conflict: str = "",
        only: str = "all",
        in_flight: str = "fail",
        missed_runs: str = "skip",
        options: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.snapshot, self.dry_run, self.on_conflict = snapshot, dry_run, on_conflict
        self.only, self.in_flight, self.missed_runs = only, in_flight, missed_runs
        self.options = options

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        settings = hook.settings
        words = {
            "only": choice("only", self.only, "all", "history", "config"),
            "in_flight": choice("in_flight", self.in_flight, "fail", "clear", "keep"),
            "missed_runs": choice("missed_runs", self.missed_runs, "skip", "make"),
        }
        result = airkeep.restore(
            hook.lake(),
            of_environment(self.snapshot, hook),
            hook.address(),
            dry_run=yes("dry_run", self.dry_run),
            on_conflict=self.on_conflict or None,
            fernet_key=settings.fernet_key,
            source_fernet_key=settings.source_fernet_key,
            archive_key=settings.archive_key,
            limits=hook.limits,
            spool=hook.spool,
            progress=logged(self.log),
            **words,
            **(self.options or {}),
        )
        for note in result.notes:
            self.log.info("%s", note)
        done: Document = {
            "snapshot": str(result.plan.snapshot),
            "rows": result.plan.rows if result.dry_run else result.rows,
            "took_s": result.took_s,
            "dry_run": result.dry_run,
        }
        self.log.info("%s", done)
        return done


class AirkeepPruneOperator(AirkeepOperator):
    """Delete old rows that a verified snapshot holds unchanged, as `airkeep prune`.

    Args:
        older_than_days: only what is older; a template.
        snapshot: another one than the environment's newest complete one; a template.
        dry_run: only plan; a template: `true` or `false`.
        batch_rows: rows of a transaction, about.
        pause_ms: milliseconds between two transactions.
    """

    template_fields: ClassVar[tuple[str, ...]] = (
        *AirkeepOperator.template_fields, "older_than_days", "snapshot", "dry_run",
    )  # fmt: skip

    def __init__(
        self,
        *,
        older_than_days: float | str,
        snapshot: str = "",
        tables: Sequence[str] = (),
        dry_run: bool | str = False,
        batch_rows: int = 5_000,
        pause_ms: int = 100,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.older_than_days, self.snapshot, self.tables = older_than_days, snapshot, tables
        self.dry_run, self.batch_rows, self.pause_ms = dry_run, batch_rows, pause_ms

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        age = days("older_than_days", self.older_than_days)
        if age is None:
            raise ConfigError("older_than_days: expected more than 0 days, found none")
        result = airkeep.prune(
            hook.address(),
            hook.lake(),
            older_than=age,
            environment=None if self.snapshot else hook.settings.environment,
            snapshot=self.snapshot or None,
            tables=self.tables,
            dry_run=yes("dry_run", self.dry_run),
            batch_rows=self.batch_rows,
            pause_ms=self.pause_ms,
            limits=hook.limits,
            spool=hook.spool,
            progress=logged(self.log),
        )
        done: Document = {
            "snapshot": str(result.plan.snapshot),
            "planned": result.plan.rows,
            "deleted": result.total,
            "tables": {table: rows for table, rows in result.rows.items() if rows},
            "dry_run": result.dry_run,
            "vacuum": result.vacuum,
        }
        self.log.info("%s", done)
        if result.left:
            raise BusyError(
                f"{result.left} of {result.plan.batches} batches stayed, as somebody held rows of "
                f"them: run it again"
            )
        return done


class AirkeepReportOperator(AirkeepOperator):
    """Make the report of the lake and keep it there, as `reports/<time>.html`.

    Args:
        since_days: what is about a period holds only this many days; a template; 0 for all.
        every_environment: of all that the lake has, not of this one alone.
        keep: how many reports stay in the lake, the newest.
    """

    template_fields: ClassVar[tuple[str, ...]] = (*AirkeepOperator.template_fields, "since_days")

    def __init__(
        self,
        *,
        since_days: float | str = 0,
        every_environment: bool = True,
        keep: int = KEPT_REPORTS,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.since_days, self.every_environment, self.keep = since_days, every_environment, keep

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        lake = hook.lake()
        only = () if self.every_environment else (hook.need("environment"),)
        with tempfile.TemporaryDirectory(dir=hook.spool) as folder:
            written = airkeep.report(
                lake,
                Path(folder, "report.html"),
                environments=only,
                since=days("since_days", self.since_days),
                limits=hook.question_limits,
                spool=hook.spool,
                progress=logged(self.log),
                warn=lambda text: self.log.warning("%s", text),
            )
            path = save_report(lake.store, Path(written.file), at=datetime.now(UTC), keep=self.keep)
        self.log.info("%s/%s", lake.url, path)
        return {**plain(written), "file": path}


def of_environment(snapshot: str, hook: AirkeepHook) -> str:
    """A snapshot's name, of the task's environment where it names none."""
    environment = hook.settings.environment
    named = not environment or "/" in snapshot or "@" in snapshot
    return snapshot if named else f"{environment}/{snapshot}"
