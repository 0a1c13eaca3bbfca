"""A snapshot held against its manifest, as a task."""

from __future__ import annotations

from typing import Any, ClassVar

import airkeep
from airkeep.errors import SnapshotError
from airkeep.provider.compatibility import TaskInstance
from airkeep.provider.hook import AirkeepHook, logged
from airkeep.provider.operators.task import AirkeepOperator, Document, of_environment


class AirkeepVerifyOperator(AirkeepOperator):
    """Read a snapshot's files again and hold them against its manifest, as `airkeep verify`.

    Args:
        snapshot: which, a template; by default the environment's newest.
        complete: pass over snapshots that are not complete, as a restore does.
        sample: the share of files to read; None for all.
    """

    template_fields: ClassVar[tuple[str, ...]] = (*AirkeepOperator.template_fields, "snapshot")

    def __init__(
        self,
        *,
        snapshot: str = "latest",
        complete: bool = False,
        sample: float | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.snapshot, self.complete, self.sample = snapshot, complete, sample

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        lake = hook.lake()
        snapshot = lake.find(of_environment(self.snapshot, hook), complete=self.complete)
        found = airkeep.verify(
            lake,
            snapshot,
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
                f"{snapshot.name} is not as it was exported: {len(problems)} problems, the first: "
                f"{problems[0].path}: {problems[0].what}"
            )
        return {
            "snapshot": str(snapshot.name),
            "files": sum(result.files for result in found),
            "read": sum(result.read for result in found),
            "bytes": sum(result.bytes for result in found),
        }
