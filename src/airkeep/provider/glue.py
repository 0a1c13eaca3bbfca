"""airkeep's command line as an AWS Glue job, waited for by a task or by the triggerer.

The room `jobs` starts the job and waits for it. Two calls with one token are one run: a trigger
that moves to another triggerer, and a task that is tried again since its worker died, wait for the
run that is there. A token is used up when it has a result, so a run that ended without one is given
one. What a trigger is made of lies in the database, so it holds no address: each place asks its own
hook.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from airkeep.aws.session import AwsPlace
from airkeep.aws.wait import Patience
from airkeep.database.address import Address
from airkeep.errors import AirkeepError, JobError
from airkeep.jobs import glue
from airkeep.jobs.glue_plan import GlueShape
from airkeep.jobs.record import Record, check_reached, jobs_of
from airkeep.provider.compatibility import (
    AirflowException,
    BaseTrigger,
    TaskInstance,
    TriggerEvent,
    sync_to_async,
)
from airkeep.provider.failures import failures_of_tasks
from airkeep.provider.hook import AirkeepHook
from airkeep.provider.tokens import next_token
from airkeep.provider.values import plain
from airkeep.store.interface import Store
from airkeep.store.open import open_store

Document = dict[str, Any]
T = TypeVar("T")


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
        """Wait for the job's end."""
        yield TriggerEvent(await self._outcome())

    async def on_kill(self) -> None:
        """Stop the job's run, as Airflow 3.3 asks for it when somebody ends the task."""
        await in_daemon(partial(cancel, AirkeepHook(**self.where), self.asked, self.log.info))

    async def _outcome(self) -> Document:
        try:
            with failures_of_tasks():
                hook = AirkeepHook(**self.where)
                # Airflow 3.0 answers for a connection on the triggerer's own loop alone.
                address = await sync_to_async(hook.address)()
                return {"done": await in_daemon(partial(run_on_glue, hook, self.asked, address))}
        except AirflowException as error:
            return {"error": str(error)}


def in_daemon(do: Callable[[], T]) -> asyncio.Future[T]:
    """What a thread makes that does not keep a triggerer from its end."""
    made = Future[T]()
    made.set_running_or_notify_cancel()  # from here on nobody cancels it

    def work() -> None:
        try:
            made.set_result(do())
        except BaseException as error:  # noqa: BLE001 - handed to who waits
            made.set_exception(error)

    Thread(target=work, daemon=True, name="airkeep-glue").start()
    return asyncio.wrap_future(made)


def run_on_glue(
    hook: AirkeepHook,
    asked: Document,
    address: Address,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> Document:
    """Start the job, or find the run of this token, and wait for its end.

    Raises:
        AirkeepError: it failed, or could not be started.
    """
    folder = _folder(hook)
    try:
        outcome = glue.run_on_glue(
            asked["command"],
            environment=hook.need("environment"),
            folder=folder,
            role=asked["role"],
            secret=asked["secret"] or None,
            token=asked["token"],
            patience=Patience(asked["timeout_s"]),
            address=address,
            shape=GlueShape(**asked["shape"]),
            place=_place(hook),
            tell=tell,
        )
    except JobError as error:
        glue.close(Record(folder, asked["token"]), str(error))
        raise
    if outcome.result.status:
        raise AirkeepError(
            f"the job {outcome.run} ended with status {outcome.result.status}: "
            f"{outcome.result.error}. Logs: {outcome.logs}"
        )
    return plain(outcome)


def cancel(hook: AirkeepHook, asked: Document, tell: Callable[[str], None]) -> None:
    """Stop the run of this token.

    Raises:
        AwsError, ConfigError, StoreError: it cannot be asked, or AWS or the store failed.
    """
    glue.cancel_on_glue(
        environment=hook.need("environment"),
        folder=_folder(hook),
        token=asked["token"],
        place=_place(hook),
        tell=tell,
    )


def token_of(ti: TaskInstance, hook: AirkeepHook) -> str:
    """The token of a task's next run.

    Raises:
        AirkeepError: the records in the lake could not be read.
    """
    names = (ti.dag_id, ti.task_id, ti.run_id, ti.map_index)
    return next_token(ti.task_id, names, partial(Record, _folder(hook)))


def _folder(hook: AirkeepHook) -> Store:
    """Where the records of jobs are kept."""
    url = jobs_of(hook.need("lake"))
    check_reached("glue", url)
    return open_store(url, options=hook.store_options(url))


def _place(hook: AirkeepHook) -> AwsPlace:
    return AwsPlace(region=hook.aws_region or None)
