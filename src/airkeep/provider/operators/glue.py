"""airkeep's command line as an AWS Glue job, waited for by a task or by the triggerer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airkeep.jobs.job import as_json, check_command
from airkeep.provider.compatibility import DEFERRABLE, AirflowException, TaskInstance
from airkeep.provider.glue import GlueRunTrigger, run_on_glue, token_of
from airkeep.provider.hook import AirkeepHook
from airkeep.provider.operators.task import AirkeepOperator, Context, Document

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
