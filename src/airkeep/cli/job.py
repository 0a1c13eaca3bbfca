"""`airkeep job`."""

from __future__ import annotations

import json
import os
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from airkeep.cli.context import Context, Group, refuse_unused, setting_option, shared_options
from airkeep.cli.ending import STOP_S, Ending, ends_as
from airkeep.cli.place import place_options, recorded_place
from airkeep.cli.say import ERROR
from airkeep.errors import JobFailedError
from airkeep.hidden import hidden

if TYPE_CHECKING:
    from collections.abc import Callable

    from airkeep.aws.session import AwsPlace
    from airkeep.jobs.job import Outcome
    from airkeep.store.interface import Store

# What each place has a use for; Glue for all of them.
_ANYWHERE = {
    "command", "on", "set_environment", "set_lake", "folder", "token", "timeout_minutes",
    "as_json", "quiet", "verbose",
}  # fmt: skip
_USED = {
    "here": _ANYWHERE,
    "dag": _ANYWHERE | {"poll", "region", "profile", "role_arn", "external_id"},
}
_STARTS_MIN = 15  # that Glue, or a worker of Airflow, may take before a command begins


@click.group(cls=Group)
def job() -> None:
    """Run airkeep where the database can be reached.

    The database of an environment of MWAA is reached from inside its network only. There a job on
    Glue runs the same command line, or a DAG run of the environment itself.
    """


@job.command()
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@click.option(
    "--on", type=click.Choice(["glue", "dag", "here"]), required=True, help="Where it runs."
)
@setting_option("environment", "--environment", "-e", help="The environment of MWAA.")
@setting_option("lake", "--lake", help="Its jobs/ keeps records; what - is in COMMAND.")
@click.option("--folder", help="Where scripts and results are kept; by default jobs/ of the lake.")
@click.option("--token", help="Makes it one job: with it again, the same run is waited for.")
@click.option("--database", help="For Glue: the address its connection should have; env: inside.")
@setting_option("glue_role", "--glue-role", help="For Glue: the job's role, a name or an ARN.")
@setting_option("glue_job", "--glue-job", help="For Glue; by default <environment>_airkeep.")
@setting_option("glue_connection", "--glue-connection", help="Likewise; <environment>_conn.")
@click.option("--secret", help="For Glue: a secret of Secrets Manager with AIRKEEP_... variables.")
@click.option("--subnet", help="For Glue: another than the environment's first.")
@click.option("--security-group", multiple=True, help="For Glue: others than the environment's.")
@click.option("--glue-version", help="For Glue; by default 5.1.")
@click.option("--worker-type", help="For Glue; by default G.1X.")
@click.option("--workers", type=click.IntRange(2), help="For Glue; by default 2.")
@click.option("--retries", type=click.IntRange(0, 10), help="For Glue, of a run that died; 1.")
@click.option("--at-once", type=click.IntRange(1), help="For Glue: runs side by side; 1.")
@click.option("--modules", help="For Glue: what pip installs; by default this airkeep.")
@click.option(
    "--timeout-minutes", type=click.IntRange(1), default=60, show_default=True,
    help="How long the command may take; then it is stopped.",
)  # fmt: skip
@click.option(
    "--poll", type=click.FloatRange(0.1), default=10, show_default=True,
    help="Seconds between two looks.",
)  # fmt: skip
@place_options
@shared_options("environment", "lake", "glue_role", "glue_job", "glue_connection", tuning=False)
def run(
    ctx: Context,
    command: tuple[str, ...],
    *,
    on: str,
    place: AwsPlace,
    token: str | None,
    **options: Any,
) -> None:
    """Run COMMAND, one of airkeep's, where ENVIRONMENT's database is, and wait for its end.

    \b
    airkeep job run --on glue -e prod --lake s3://b/lake --glue-role airkeep -- export env: -
    airkeep job run --on dag -e prod --lake s3://b/lake -- verify - prod/latest

    What it printed is printed, and its exit status is this one's. env: is the database of the
    environment. Ctrl-C leaves the job at work; the same --token waits for it again. With --on here
    it ends the job, and a --token keeps one that has ended from being run again.
    """
    from airkeep.cli.job_words import check_kept, with_lake, with_name
    from airkeep.jobs.job import as_json, check_command, make_token
    from airkeep.jobs.record import check_reached

    words = as_json(check_command(command))
    if on in _USED:
        refuse_unused(f"--on {on}", lambda name: name in _USED[on])
    if on == "here":
        outcome = _here(ctx, words, token, options)
    else:
        words = with_lake(words, lambda: ctx.settings.need("lake"))
        check_kept(words)
        folder = options.pop("folder") or _folder(ctx)
        check_reached(on, folder)
        token = token or make_token(datetime.now(UTC), secrets.token_hex(4))
        environment = ctx.settings.need("environment")
        name, there = recorded_place(ctx, environment, place)
        given = {"environment": name, "folder": _opened(ctx, folder),
                 "token": token, "place": there, "tell": _teller(ctx)}  # fmt: skip
        words = with_name(words, environment, name)
        left = f"a job that was started goes on, and --token {token} waits for it"
        with ends_as(Ending(STOP_S, left)):
            if on == "glue":
                outcome = _on_glue(ctx, words, given, options)
            else:
                outcome = _on_dag(words, given, options)
    ctx.output.result(outcome, lambda: _show(ctx, outcome))
    if outcome.result.status:
        raise JobFailedError(
            outcome.result.status, hidden(outcome.result.error or "it said nothing"), outcome.logs
        )


def _folder(ctx: Context) -> str:
    from airkeep.jobs.record import jobs_of

    return jobs_of(ctx.settings.need("lake"))


def _opened(ctx: Context, folder: str) -> Store:
    from airkeep.store.open import open_store

    return open_store(folder, options=dict(ctx.settings.store))


def _teller(ctx: Context) -> Callable[[str], None]:
    return ctx.output.note


def _here(ctx: Context, command: list[str], token: str | None, options: dict[str, Any]) -> Outcome:
    from airkeep.jobs.here import run_here
    from airkeep.jobs.record import Record

    folder = options["folder"]
    if folder and not token:
        raise click.UsageError("--folder keeps the job of a --token: give one")
    environment, lake = ctx.settings.environment or "", ctx.settings.lake or ""
    meant = {"AIRKEEP_ENVIRONMENT": environment, "AIRKEEP_LAKE": lake}
    return run_here(
        command,
        {**os.environ, **{name: value for name, value in meant.items() if value}},
        environment=environment,
        record=Record(_opened(ctx, folder or _folder(ctx)), token) if token else None,
        timeout_s=options["timeout_minutes"] * 60,
        # The command's own error, its last line, is told as this one's.
        tell=lambda line: None if line.startswith(ERROR) else ctx.output.note(line),
    )


def _on_dag(command: list[str], given: dict[str, Any], options: dict[str, Any]) -> Outcome:
    from airkeep.aws.wait import Patience
    from airkeep.jobs.dag import run_on_dag

    minutes = options["timeout_minutes"] + _STARTS_MIN
    return run_on_dag(command, patience=Patience(minutes * 60, options["poll"]), **given)


def _on_glue(
    ctx: Context, command: list[str], given: dict[str, Any], options: dict[str, Any]
) -> Outcome:
    from airkeep.aws.wait import Patience
    from airkeep.database.address import resolve_address
    from airkeep.jobs.glue import Network, run_on_glue
    from airkeep.jobs.glue_plan import GlueShape

    role = ctx.settings.need("glue_role")
    if (options["subnet"] is None) == bool(options["security_group"]):
        raise click.UsageError("--subnet and --security-group go together")
    asked = {
        "glue_version": options["glue_version"],
        "worker_type": options["worker_type"], "workers": options["workers"],
        "retries": options["retries"], "modules": options["modules"],
        "timeout_min": options["timeout_minutes"], "at_once": options["at_once"],
    }  # fmt: skip
    shape = GlueShape(**{name: value for name, value in asked.items() if value is not None})
    minutes = (shape.timeout_min + _STARTS_MIN) * (shape.retries + 1)
    database, subnet = options["database"], options["subnet"]
    return run_on_glue(
        command,
        role=role,
        job_name=ctx.settings.glue_job,
        connection=ctx.settings.glue_connection,
        address=None if database is None else resolve_address(database, os.environ),
        network=None if subnet is None else Network(subnet, options["security_group"]),
        secret=options["secret"],
        shape=shape,
        patience=Patience(minutes * 60, options["poll"]),
        **given,
    )


def _show(ctx: Context, outcome: Outcome) -> None:
    from airkeep.jobs.job import cut_bytes, told_of_cut

    found = outcome.result.summary
    if cut := cut_bytes(outcome.result):
        ctx.output.warn(told_of_cut(cut))
    elif found is not None:
        ctx.output.line(found if isinstance(found, str) else json.dumps(found, indent=2))
    if outcome.run:
        ctx.output.note(f"{outcome.run} ended with {outcome.result.status}; logs: {outcome.logs}")
