"""What all operators share: where things are, and how an error ends a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airkeep.provider.compatibility import BaseOperator, TaskInstance
from airkeep.provider.connection import check_shown
from airkeep.provider.failures import failures_of_tasks
from airkeep.provider.hook import AirkeepHook

Context = Mapping[str, Any]
Document = dict[str, Any]


class AirkeepOperator(BaseOperator):
    """What all of them share: where the database and the lake are.

    All arguments but `conn_id` are templates; an empty one is as if not given.

    Args:
        conn_id: a connection of type Postgres or SQLite: the metadata database's.
        database: `env:`, a URL without a password, or a SQLite file; by default what
            `AIRKEEP_DATABASE` says, else `env:`.
        lake: a folder, `s3://bucket/prefix`, ...; by default what `AIRKEEP_LAKE` says.
        environment: whose snapshots; by default `AIRKEEP_ENVIRONMENT`, else `AIRFLOW_ENV_NAME`.
        aws_region: of a lake on S3; by default the worker's.
    """

    template_fields: ClassVar[tuple[str, ...]] = ("database", "lake", "environment", "aws_region")

    def __init__(
        self,
        *,
        conn_id: str = "",
        database: str = "",
        lake: str = "",
        environment: str = "",
        aws_region: str = "",
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        if isinstance(database, str) and "{{" not in database:  # else the hook sees its value
            check_shown(database)
        self.conn_id = conn_id
        self.database, self.lake = database, lake
        self.environment, self.aws_region = environment, aws_region

    def execute(self, context: Context) -> Document:
        """Do it, as Airflow asks for it."""
        with failures_of_tasks():
            return self.run_with(self.hook(), context["ti"])

    def run_with(self, hook: AirkeepHook, ti: TaskInstance) -> Document:
        """Do it; what is given back is pushed.

        Raises:
            AirkeepError: see `airkeep.errors`.
        """
        raise NotImplementedError

    def hook(self) -> AirkeepHook:
        return AirkeepHook(
            conn_id=self.conn_id,
            database=self.database,
            lake=self.lake,
            environment=self.environment,
            aws_region=self.aws_region,
        )


def of_environment(snapshot: str, hook: AirkeepHook) -> str:
    """A snapshot's name, of the task's environment where it names none."""
    environment = hook.settings.environment
    named = not environment or "/" in snapshot or "@" in snapshot
    return snapshot if named else f"{environment}/{snapshot}"
