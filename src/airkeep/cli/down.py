"""`airkeep down`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, setting_option, shared_options
from airkeep.cli.environments import (
    drain_option,
    dry_run_option,
    job_option,
    lake_option,
    need_place,
    open_lake,
    read_state,
    take_over_option,
)
from airkeep.cli.output import Output, seconds
from airkeep.cli.steps import tell_times
from airkeep.cli.travellers import foresee, on_its_way, warn_of_orphaned

if TYPE_CHECKING:
    from airkeep.environment.means import Arrived


@click.command()
@click.argument("environment")
@click.option(
    "--force",
    is_flag=True,
    help="Delete it whatever speaks against it; what is lost is said.",
)
@drain_option
@job_option
@take_over_option
@dry_run_option
@lake_option
@setting_option("secrets", "--secrets", help="keep, seal, drop or plain.")
@shared_options("lake", "job_minutes", "secrets", tuning=False)
def down(
    ctx: Context,
    environment: str,
    *,
    force: bool,
    drain_minutes: float,
    take_over: bool,
    dry_run: bool,
) -> None:
    """Put ENVIRONMENT to sleep: pause, drain, export, verify, and only then delete it.

    It is not deleted unless its snapshot is complete, verifies in this run, opens with a key that
    is left, and is newer than its last finished run.
    """
    lake = open_lake(ctx, environment)
    journal, state = read_state(lake, environment)
    place = need_place(lake, state)
    if dry_run:
        foresee(ctx, lake, journal, place, "down", force=force)
        return
    out = ctx.output
    with (
        out.progress("down") as progress,
        on_its_way(ctx, lake, journal, place, progress, drain_minutes=drain_minutes) as traveller,
    ):
        arrived = traveller.down(force=force, take_over=take_over)
    tell_times(out, arrived)
    out.result(arrived, lambda: _show(arrived, out))


def _show(arrived: Arrived, out: Output) -> None:
    warn_of_orphaned(arrived.orphaned, out)
    if not arrived.steps:
        out.line(f"{arrived.environment} was asleep as {arrived.snapshot}")
        return
    out.line(
        f"{arrived.environment} is asleep as {arrived.snapshot} ({seconds(arrived.took_s)}); "
        f"airkeep up {arrived.environment} wakes it"
    )
