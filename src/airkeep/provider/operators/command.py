"""airkeep's command line as a task; the room `jobs` checks it, runs it and keeps its result.

The process is this interpreter's. It is told of a kill, and waited for: an export or a restore that
is stopped leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from airkeep.jobs.here import run_command
from airkeep.jobs.job import MAX_SUMMARY_BYTES, Result, as_json, check_command
from airkeep.jobs.record import document_at, run_once
from airkeep.provider.compatibility import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)
from airkeep.provider.conf import Asked, read_conf
from airkeep.provider.failures import failures_of_tasks
from airkeep.provider.operators.task import AirkeepOperator, Context, Document


class AirkeepCommandOperator(AirkeepOperator):
    """Run one of airkeep's commands in a process of its own.

    `-` among the words is the task's database or lake, as on the command line.

    Args:
        command: its words without `airkeep`; a template.
        result: where {"status", "summary", "error"} is saved as JSON, of a refusal too: a URL or a
            path; a template.
        from_conf: both come from the DAG run's conf: {"command": [...], "result": "..."}.
    """

    template_fields: ClassVar[tuple[str, ...]] = (
        *AirkeepOperator.template_fields, "command", "result",
    )  # fmt: skip

    def __init__(
        self,
        *,
        command: Sequence[str] = (),
        result: str = "",
        from_conf: bool = False,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.command, self.result, self.from_conf = command, result, from_conf

    def execute(self, context: Context) -> Document:
        with failures_of_tasks():
            given = {"command": self.command, "result": self.result}
            return self.run_asked(read_conf(context["dag_run"].conf if self.from_conf else given))

    def run_asked(self, asked: Asked) -> Document:
        """Run it, unless its result is there; the task fails when the command does."""
        if not asked.result:
            result = self.run_command(asked.command)
        else:
            kept = document_at(asked.result, self.hook().store_options(asked.result))
            result = run_once(kept, partial(self.run_command, asked.command), self.log.info)
        if result.status:
            # A result that is saved stays what it is, however often this is tried.
            failure = AirflowFailException if asked.result else AirflowException
            raise failure(f"airkeep ended with status {result.status}: {result.error}")
        return {"status": 0, "result": asked.result} if asked.result else vars(result)

    def run_command(self, command: object) -> Result:
        """Run it in a process that means what this task means."""
        words = as_json(check_command(command))
        variables = self.hook().variables()
        self.log.info("airkeep %s", " ".join(words))
        return run_command(words, variables, self.log.info, most_bytes=MAX_SUMMARY_BYTES)


class AirkeepRegisterOperator(AirkeepCommandOperator):
    """Register the lake's tables in the Glue catalog, as `airkeep register --glue`.

    A lake that is not on S3, which Glue cannot read, is skipped, and so is an empty name.

    Args:
        catalog: the database of the Glue catalog; a template.
    """

    template_fields: ClassVar[tuple[str, ...]] = (*AirkeepOperator.template_fields, "catalog")

    def __init__(self, *, catalog: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.catalog = catalog

    def execute(self, context: Context) -> Document:
        with failures_of_tasks():
            lake = self.hook().need("lake")
            if not self.catalog or not lake.startswith("s3://"):
                raise AirflowSkipException(f"{lake} is registered in no catalog")
            return self.run_asked(Asked(["register", lake, "--glue", self.catalog]))
