"""airkeep's command line as an AWS Glue job, waited for by a task or by the triggerer.

The room `jobs` starts the job and waits for it. Two calls with one token are one run: a trigger
that moves to another triggerer waits for the run that is there. A token is of one try of a task,
since what came of a run stays its outcome. What a trigger is made of lies in the database, so it
holds no address: each place asks its own hook.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from threading import Thread
from typing import Any, ClassVar

from airkeep.errors import AirkeepError
from airkeep.jobs.job import as_json, check_command
from airkeep.provider.compatibility import (
    DEFERRABLE,
    AirflowException,
    BaseTrigger,
    TaskInstance,
    TriggerEvent,
)
from airkeep.provider.hook import AirkeepHook
from airkeep.provider.operators import AirkeepOperator, Context, Document, failures_of_tasks
from airkeep.provider.values import plain

TIMEOUT_S = 2 * 3600  # an hour of a job's own time, once more if it is tried again


class AirkeepGlueOperator(AirkeepOperator):
    """Run one of airkeep's commands as a Glue job, and wait for its end.

    The job's connection is told the task's database, so that a password that was rotated does not
    stop it. Its script and its records lie in the lake's `jobs/`.

    Args:
        command: its words without `airkeep`; a template. `-` is the task's lake, `env:` its
            database.
        role_name: the role that the job runs as; a template.
        secret: of Secrets Manager, a JSON object of variables such as AIRKEEP_ARCHIVE_KEY.
        timeout_s: after which the job is stopped.
        shape: how large it is, as `airkeep.jobs.glue_plan.GlueShape` takes it: {"workers": 4}.
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
        secret: str = "",
        timeout_s: float = TIMEOUT_S,
        shape: Mapping[str, Any] | None = None,
        deferrable: bool = DEFERRABLE,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.command, self.role_name, self.secret = command, role_name, secret
        self.timeout_s, self.shape, self.deferrable = timeout_s, shape, deferrable

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        words = as_json(check_command(self.command))
        asked: Document = {
            "command": [hook.need("lake") if word == "-" else word for word in words],
            "role": self.role_name,
            "secret": self.secret,
            "token": token_of(ti),
            "timeout_s": self.timeout_s,
            "shape": dict(self.shape or {}),
        }
        if self.deferrable:
            where = {
                "conn_id": self.conn_id,
                "database": self.database,
                "lake": hook.need("lake"),
                "environment": hook.need("environment"),
                "aws_region": self.aws_region,
            }
            self.defer(trigger=GlueRunTrigger(where=where, asked=asked), method_name="after_run")
        done = run_on_glue(hook, asked, tell=lambda line: self.log.info("%s", line))
        self.log.info("%s", done)
        return done

    def after_run(self, context: Context, event: Document) -> Document:
        """Go on when the job has ended."""
        if "error" in event:
            raise AirflowException(event["error"])
        done: Document = event["done"]
        self.log.info("%s", done)
        return done


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
