"""A snapshot back into the metadata database, as a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import airkeep
from airkeep.provider.compatibility import TaskInstance
from airkeep.provider.hook import AirkeepHook, logged
from airkeep.provider.operators.task import AirkeepOperator, Document, of_environment
from airkeep.provider.values import choice, yes


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
