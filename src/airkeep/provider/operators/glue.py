"""airkeep's command line as an AWS Glue job, waited for by a task or by the triggerer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from airkeep.errors import ConfigError
from airkeep.jobs.job import as_json, check_command
from airkeep.provider.compatibility import DEFERRABLE, AirflowException, TaskInstance
from airkeep.provider.conf import check_no_folder
from airkeep.provider.glue import GlueRunTrigger, cancel, run_on_glue, token_of
from airkeep.provider.hook import AirkeepHook
from airkeep.provider.operators.task import AirkeepOperator, Context, Document

TIMEOUT_S = 2 * 3600  # an hour of a job's own time, once more if it is tried again


class AirkeepGlueOperator(AirkeepOperator):
    """Run one of airkeep's commands as a Glue job, and wait for its end.

    The job's connection is told the task's database, so that a password that was rotated does not
    stop it. Its script and its records lie in the lake's `jobs/`. A task that is killed stops its
    job; one that waits in the triggerer does where Airflow tells of it (3.3), and elsewhere the
    task's next try waits for the same run.

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
        self._cancel: Callable[[], None] | None = None

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        if not self.role_name:
            raise ConfigError(
                "a job on Glue needs a role: give role_name=, or for the ready DAG set Airflow's "
                "variable glue_role_name (airkeep iam --for glue prints what it needs)"
            )
        words = as_json(check_command(self.command))
        check_no_folder(words)
        asked: Document = {
            "command": [hook.need("lake") if word == "-" else word for word in words],
            "role": self.role_name,
            "secret": self.secret,
            "token": token_of(ti, hook),
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
        self._cancel = partial(cancel, hook, asked, self.log.info)
        done = run_on_glue(hook, asked, hook.address(), tell=self.log.info)
        self._cancel = None
        self.log.info("%s", done)
        return done

    def on_kill(self) -> None:
        """Stop the job's run, which nobody would wait for."""
        if self._cancel is not None:
            self._cancel()

    def after_run(self, context: Context, event: Document) -> Document:
        """Go on when the job has ended."""
        if "error" in event:
            raise AirflowException(event["error"])
        done: Document = event["done"]
        self.log.info("%s", done)
        return done
