"""A snapshot of the metadata database, or dated CSV files, as a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import airkeep
from airkeep.errors import ConfigError
from airkeep.provider.compatibility import TaskInstance
from airkeep.provider.hook import AirkeepHook, logged
from airkeep.provider.operators.task import AirkeepOperator, Document
from airkeep.provider.values import days, plain
from airkeep.snapshot.manifest import DagRunEntry, summarize


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
            "secrets": self.secrets or settings.secrets or "keep",
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
