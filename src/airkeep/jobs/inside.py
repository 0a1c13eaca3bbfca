"""What a Glue job does: finds its database, runs its command, saves what came of it.

Glue hands arguments over as `--NAME value`. The address of the database and the keys go into the
variables of the command's process alone. A result that is there already is not made again: Glue has
started the job twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from airkeep.aws import glue_connections, secrets
from airkeep.aws.session import AwsPlace
from airkeep.database.address import AIRFLOW_VARIABLES
from airkeep.errors import AirkeepError, JobError
from airkeep.jobs import glue_plan
from airkeep.jobs.connection import from_jdbc
from airkeep.jobs.here import run_command
from airkeep.jobs.job import MAX_SUMMARY_BYTES, Result, check_command
from airkeep.jobs.record import document_at, run_once


def run_inside(
    arguments: Sequence[str], environ: Mapping[str, str], tell: Callable[[str], None]
) -> str:
    """Do the job of these arguments.

    Returns:
        Why it failed, in a line; empty where it did not.
    """
    given = _Given(arguments)
    try:
        result = _result(given, environ, tell)
    except AirkeepError as error:
        return f"airkeep: {error}"
    return f"exit status {result.status}: {result.error}" if result.status else ""


def _result(given: _Given, environ: Mapping[str, str], tell: Callable[[str], None]) -> Result:
    url, region = given.need(glue_plan.RESULT), given.need(glue_plan.REGION)

    def do() -> Result:
        variables = {**environ, **_variables(given, AwsPlace(region=region))}
        return run_command(_command(given), variables, tell, most_bytes=MAX_SUMMARY_BYTES)

    return run_once(document_at(url, {"aws_region": region}), do, tell)


def _variables(given: _Given, place: AwsPlace) -> dict[str, str]:
    """Of the command's process: where its database is, whose it is, keys."""
    name = given.need(glue_plan.CONNECTION)
    connection = glue_connections.find(name, place)
    if connection is None:
        raise JobError(f"there is no connection {name} in Glue")
    address = from_jdbc(connection.url, connection.user, connection.password)
    keys = given.get(glue_plan.SECRET)
    return {
        "AIRKEEP_ENVIRONMENT": given.need(glue_plan.ENVIRONMENT),
        "AWS_REGION": place.region or "",
        AIRFLOW_VARIABLES[0]: address.reveal(),
        **(secrets.variables(keys, place) if keys else {}),
    }


def _command(given: _Given) -> list[str]:
    return check_command(json.loads(given.need(glue_plan.COMMAND)))


class _Given:
    """The job's arguments."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._values = dict(pairwise([*arguments, ""]))

    def get(self, name: str) -> str | None:
        return self._values.get(name)

    def need(self, name: str) -> str:
        value = self.get(name)
        if not value:
            raise JobError(f"the job was not given {name}: start it with airkeep job run")
        return value
