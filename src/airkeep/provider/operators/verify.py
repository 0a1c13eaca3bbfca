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
