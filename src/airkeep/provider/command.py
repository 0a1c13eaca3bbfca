"""airkeep's command line as a task; `process.py` checks, starts and stops it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airkeep.provider.compatibility import AirflowException, AirflowSkipException, TaskInstance
from airkeep.provider.hook import AirkeepHook
from airkeep.provider.operators import AirkeepOperator, Context, Document, failures_of_tasks
from airkeep.provider.process import Job, Outcome, read_job, run_command


class AirkeepCommandOperator(AirkeepOperator):
    """Run one of airkeep's commands in a process of its own.

    `-` among the words is the task's database or lake, as on the command line.

    Args:
        command: its words without `airkeep`; a template.
        result: where {"status", "summary", "error"} is saved as JSON, a URL or a path; a template.
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
            job = read_job(context["dag_run"].conf if self.from_conf else given)
            return self.run_job(job, self.hook())

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        return self.run_job(read_job({"command": self.command, "result": self.result}), hook)

    def run_job(self, job: Job, hook: AirkeepHook) -> Document:
        """Run it, unless its outcome is there; it fails when the command does."""
        place = Outcome.at(job.result, hook.store_options(job.result)) if job.result else None
        done = place.load() if place else None
        if done is None:
            done = run_command(job.words, environ=hook.variables(), log=self.log)
            if place:
                done = place.save(done)
        else:
            self.log.info("%s is there: the command has run before", job.result)
        if done.status:
            raise AirflowException(
                f"airkeep {job.words[0]} ended with status {done.status}: {done.error}"
            )
        return {"status": 0, "result": job.result} if place else vars(done)


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
            hook = self.hook()
            lake = hook.need("lake")
            if not self.catalog or not lake.startswith("s3://"):
                raise AirflowSkipException(f"{lake} is registered in no catalog")
            return self.run_job(Job(("register", lake, "--glue", self.catalog)), hook)
