"""Where a task's database and lake are, and the rest of its settings.

An argument wins over the worker's environment, whose variables are those of the command line;
`airkeep.toml` is not read, since a worker's folder is nobody's. The database is the one of a
connection, of the argument, of `AIRKEEP_DATABASE`, or `env:`, in this order. Airflow 3 tells its
tasks no address of its own database: Amazon MWAA's variables do, elsewhere somebody must.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from logging import Logger
from pathlib import Path
from time import monotonic
from typing import Literal

from airkeep.config import BY_NAME, DEFAULT_MEMORY_BYTES, Settings, load_settings
from airkeep.database.address import Address, resolve_address
from airkeep.database.limits import ReadLimits, limits_of, question_bytes
from airkeep.errors import AddressError, ConfigError
from airkeep.provider.compatibility import IS_AIRFLOW_3, BaseHook
from airkeep.provider.conf import variables_of
from airkeep.provider.connection import address_of, check_shown
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.progress import Progress, Step

LOG_EVERY_S = 10.0


class AirkeepHook(BaseHook):
    """A task's settings.

    Args:
        conn_id: a connection of type Postgres or SQLite: the metadata database's.
        database: `env:`, `postgresql://...` without a password, or a SQLite file.
        lake: a folder, `s3://bucket/prefix`, ...
        environment: whose snapshots.
        aws_region: of a lake on S3, and of Glue.
        environ: the worker's environment.
    """

    def __init__(
        self,
        *,
        conn_id: str = "",
        database: str = "",
        lake: str = "",
        environment: str = "",
        aws_region: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.conn_id, self.aws_region = conn_id, aws_region
        self.environ = os.environ if environ is None else environ
        given = {"database": database, "lake": lake, "environment": environment}
        self.settings: Settings = load_settings(
            {name: value or None for name, value in given.items()}, self.environ, None
        )
        check_shown(database)

    def address(self) -> Address:
        """The metadata database.

        Raises:
            AddressError: there is none, or it cannot be understood.
        """
        if self.conn_id:
            return address_of(self.conn_id, self.get_connection(self.conn_id))
        wanted = self.settings.database or "env:"
        try:
            return resolve_address(wanted, self.environ)
        except AddressError as error:
            told = str(error)
        if IS_AIRFLOW_3 and wanted == "env:":
            told += (
                ". Airflow 3 keeps its own address from its tasks: name a connection with "
                "conn_id=, or set AIRKEEP_DATABASE for the workers"
            )
        raise AddressError(told)

    def need(self, name: Literal["lake", "environment"]) -> str:
        """A setting that a task cannot do without.

        Raises:
            ConfigError: it is not set.
        """
        value: str | None = getattr(self.settings, name)
        if value is None:
            variables = " or ".join(BY_NAME[name].variables)
            more = ", or Airflow's variable export_s3_bucket for the ready DAGs"
            raise ConfigError(
                f"no {name} is set: give {name}=, or {variables} in the environment of the "
                f"workers{more if name == 'lake' else ''}"
            )
        return value

    def lake(self, *, new: bool = False) -> Lake:
        """The lake; a folder must be there unless it may be new."""
        url = self.need("lake")
        lake = Lake(url, options=self.store_options(url))
        if not new:
            lake.check_there()
        return lake

    def store_options(self, url: str) -> dict[str, str]:
        """What the store of a URL is told beside it."""
        region = {"aws_region": self.aws_region}
        is_told = self.aws_region and url.startswith("s3://")
        return {**dict(self.settings.store), **(region if is_told else {})}

    def variables(self) -> dict[str, str]:
        """The environment of a process that is to mean what this task means."""
        address = self.address().reveal() if self.conn_id else ""
        return variables_of(
            self.settings, self.environ, aws_region=self.aws_region, address=address
        )

    @property
    def limits(self) -> ReadLimits:
        return limits_of(self.settings, DEFAULT_MEMORY_BYTES)

    @property
    def question_limits(self) -> ReadLimits:
        """Those of SQL over a lake."""
        return limits_of(self.settings, question_bytes())

    @property
    def spool(self) -> Path | None:
        return Path(self.settings.spool) if self.settings.spool else None


def logged(log: Logger, *, clock: Callable[[], float] = monotonic) -> Progress:
    """A line in the task's log every ten seconds of long work."""
    said = clock()

    def tell(step: Step) -> None:
        nonlocal said
        if clock() - said >= LOG_EVERY_S:
            said = clock()
            of = f" of about {step.total_rows:,}" if step.total_rows > step.rows else ""
            log.info("%s: %s%s rows", step.doing, f"{step.rows:,}", of)

    return tell
