"""airkeep's command line as an AWS Glue job, waited for by a task or by the triggerer.

The room `jobs` starts the job and waits for it. Two calls with one token are one run: a trigger
that moves to another triggerer waits for the run that is there. A token is of one try of a task,
since what came of a run stays its outcome. What a trigger is made of lies in the database, so it
holds no address: each place asks its own hook.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from hashlib import sha256
from threading import Thread
from typing import Any

from airkeep.errors import AirkeepError
from airkeep.provider.compatibility import (
    AirflowException,
    BaseTrigger,
    TaskInstance,
    TriggerEvent,
)
from airkeep.provider.failures import failures_of_tasks
from airkeep.provider.hook import AirkeepHook
from airkeep.provider.values import plain

Document = dict[str, Any]


class GlueRunTrigger(BaseTrigger):
    """Waits for a Glue job in a thread of the triggerer's.

    Args:
        where: what its hook is made of.
        asked: the job.
    """

    def __init__(self, *, where: Document, asked: Document) -> None:
        super().__init__()
        self.where, self.asked = where, asked

    def serialize(self) -> tuple[str, Document]:
        """Where this is, and what it is made of again."""
        name = f"{GlueRunTrigger.__module__}.{GlueRunTrigger.__name__}"
        return name, {"where": self.where, "asked": self.asked}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; the thread is a daemon, so that a triggerer that is told to end does."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Document] = loop.create_future()

        def tell(outcome: Document) -> None:
            if not told.done():
                told.set_result(outcome)

        def wait() -> None:
            outcome = self._outcome()
            with suppress(RuntimeError):  # the triggerer has ended meanwhile
                loop.call_soon_threadsafe(tell, outcome)

        Thread(target=wait, daemon=True, name="airkeep-glue").start()
        yield TriggerEvent(await told)

    def _outcome(self) -> Document:
        try:
            with failures_of_tasks():
                return {"done": run_on_glue(AirkeepHook(**self.where), self.asked)}
        except AirflowException as error:
            return {"error": str(error)}


def run_on_glue(
    hook: AirkeepHook, asked: Document, *, tell: Callable[[str], None] = lambda _: None
) -> Document:
    """Start the job, or find the run of this token, and wait for its end.

    Raises:
        AirkeepError: it failed, or could not be started.
    """
    from airkeep.aws.session import AwsPlace
    from airkeep.aws.wait import Patience
    from airkeep.jobs import glue
    from airkeep.jobs.glue_plan import GlueShape

    outcome = glue.run_on_glue(
        asked["command"],
        environment=hook.need("environment"),
        folder=f"{hook.need('lake').rstrip('/')}/jobs",
        role=asked["role"],
        secret=asked["secret"] or None,
        token=asked["token"],
        patience=Patience(asked["timeout_s"]),
        address=hook.address(),
        shape=GlueShape(**asked["shape"]),
        place=AwsPlace(region=hook.aws_region or None),
        tell=tell,
    )
    if outcome.result.status:
        raise AirkeepError(
            f"the job {outcome.run} ended with status {outcome.result.status}: "
            f"{outcome.result.error}. Logs: {outcome.logs}"
        )
    return plain(outcome)


def token_of(ti: TaskInstance) -> str:
    """A name for this try of a task, of the characters that a token may have."""
    names = f"{ti.dag_id}/{ti.task_id}/{ti.run_id}/{ti.map_index}/{ti.try_number}"
    task = re.sub(r"[^A-Za-z0-9]+", "-", ti.task_id).strip("-")[:40] or "task"
    return f"{task}-{sha256(names.encode()).hexdigest()[:24]}"
