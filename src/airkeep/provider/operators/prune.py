"""Old rows out of the metadata database, as a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import airkeep
from airkeep.errors import BusyError, ConfigError
from airkeep.provider.compatibility import TaskInstance
from airkeep.provider.hook import AirkeepHook, logged
from airkeep.provider.operators.task import AirkeepOperator, Document
from airkeep.provider.values import days, yes


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
