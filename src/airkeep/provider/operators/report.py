"""The report of a lake, as a task."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import airkeep
from airkeep.provider.bills import bills_of
from airkeep.provider.compatibility import TaskInstance
from airkeep.provider.hook import AirkeepHook, logged
from airkeep.provider.operators.task import AirkeepOperator, Document
from airkeep.provider.reports import save_report
from airkeep.provider.values import days, plain

KEPT_REPORTS = 30


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
                bills=bills_of(lake.store, only or lake.environments()),
                limits=hook.question_limits,
                spool=hook.spool,
                progress=logged(self.log),
                warn=lambda text: self.log.warning("%s", text),
            )
            path = save_report(lake.store, Path(written.file), at=datetime.now(UTC), keep=self.keep)
        self.log.info("%s/%s", lake.url, path)
        return {**plain(written), "file": path}
