"""airkeep's command line as an AWS Glue job, waited for by a task or by the triggerer.

The room `jobs` starts the job and waits for it. Two calls with one token are one run, so a task
that is tried again, or a trigger that moves to another triggerer, waits for the run that is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from importlib import import_module
from threading import Thread
from typing import Any, ClassVar

from airkeep.errors import AirkeepError
from airkeep.provider.compatibility import (
    DEFERRABLE,
    AirflowException,
    BaseTrigger,
    TaskInstance,
    TriggerEvent,
)
from airkeep.provider.hook import AirkeepHook
from airkeep.provider.operators import AirkeepOperator, Context, Document, failures_of_tasks
from airkeep.provider.process import read_job
from airkeep.provider.values import plain


class AirkeepGlueOperator(AirkeepOperator):
    """Run one of airkeep's commands as a Glue job, and wait for its end.

    Args:
        command: its words without `airkeep`; a template.
        role_name: the role that the job runs as; a template.
        deferrable: wait in the triggerer; by default what Airflow's `default_deferrable` says.
    """

    template_fields: ClassVar[tuple[str, ...]] = (
        *AirkeepOperator.template_fields, "command", "role_name",
    )  # fmt: skip

    def __init__(
        self,
        *,
        command: Sequence[str],
        role_name: str = "",
        deferrable: bool = DEFERRABLE,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.command, self.role_name, self.deferrable = command, role_name, deferrable

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        job = read_job({"command": self.command})
        asked = {
            "command": list(job.words),
            "environment": hook.need("environment"),
            "role_name": self.role_name,
            "region": self.aws_region,
            "token": f"{ti.dag_id}/{ti.task_id}/{ti.run_id}",
        }
        if self.deferrable:
            self.defer(trigger=GlueRunTrigger(**asked), method_name="after_run")
        return run_on_glue(**asked)

    def after_run(self, context: Context, event: Document) -> Document:
        """Go on when the job has ended."""
        if "error" in event:
            raise AirflowException(event["error"])
        done: Document = event["done"]
        return done


class GlueRunTrigger(BaseTrigger):
    """Waits for a Glue job in a thread of the triggerer's."""

    def __init__(self, **asked: Any) -> None:
        super().__init__()
        self.asked = asked

    def serialize(self) -> tuple[str, Document]:
        """Where this is, and what it is made of again."""
        return f"{GlueRunTrigger.__module__}.{GlueRunTrigger.__name__}", self.asked

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; the thread is a daemon, so that a triggerer that is told to end does."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Document] = loop.create_future()

        def tell(outcome: Document) -> None:
            if not told.done():
                told.set_result(outcome)

        def wait() -> None:
            outcome = _outcome(self.asked)
            with suppress(RuntimeError):  # the triggerer has ended meanwhile
                loop.call_soon_threadsafe(tell, outcome)

        Thread(target=wait, daemon=True, name="airkeep-glue").start()
        yield TriggerEvent(await told)


def _outcome(asked: Document) -> Document:
    try:
        with failures_of_tasks():
            return {"done": run_on_glue(**asked)}
    except AirflowException as error:
        return {"error": str(error)}


def run_on_glue(**asked: Any) -> Document:
    """Start the job, or find the run of this token, and wait for its end.

    Raises:
        AirkeepError: it failed, or could not be started.
    """
    try:
        glue = import_module("airkeep.jobs.glue")
    except ModuleNotFoundError:
        raise AirkeepError("this airkeep has no jobs on Glue") from None
    return plain(glue.run_on_glue(**asked))
