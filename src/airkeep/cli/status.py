"""`airkeep status`."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.environments import (
    lake_option,
    no_environment,
    open_lake,
    runs_here,
    unknown_environment,
)
from airkeep.cli.output import Output, seconds

if TYPE_CHECKING:
    from airkeep.environment.journal import Journal
    from airkeep.environment.status import Going, Status

_EVERY_S = 2.0


@click.command()
@click.argument("environment", required=False)
@click.option("--watch", is_flag=True, help="Until no journey is under way.")
@lake_option
@shared_options("lake", tuning=False)
def status(ctx: Context, environment: str | None, *, watch: bool) -> None:
    """Where ENVIRONMENT stands, and how long its journey may still take; all without one."""
    from airkeep.environment.journal import Journal, environments
    from airkeep.snapshot.names import check_environment

    lake = open_lake(ctx, environment)
    names = environments(lake.store) if environment is None else [check_environment(environment)]
    journals = [Journal(lake.store, name) for name in names]
    found = _found(journals)
    if environment is not None and not found:
        raise unknown_environment(lake, environment)
    while watch and any(s.going is not None and s.going.is_held for s in found):
        for one in found:
            if one.going is not None:
                ctx.output.note(f"{one.environment}: {_going(one.going)}")
        time.sleep(_EVERY_S)
        found = _found(journals)
    ctx.output.result(found, lambda: _show(found, ctx.output))
    if not found:
        ctx.output.note(no_environment(lake))


def _found(journals: list[Journal]) -> list[Status]:
    """What each tells by now; only what is new is read."""
    from airkeep.environment.hold import is_gone
    from airkeep.environment.status import status_of

    now = datetime.now(UTC)
    told = (status_of(one.read(), now, is_gone=is_gone(one)) for one in journals)
    return [replace(one, runs=_runs(one)) for one in told if one is not None]


def _runs(one: Status) -> bool | None:
    """Under a journey it is not asked: whoever asks is in the way of one that begins to run it."""
    return runs_here(one.place) if one.standing == "awake" and one.going is None else None


def _show(found: list[Status], out: Output) -> None:
    out.table(
        ["environment", "kind", "stands", "since", "snapshot", "under way"],
        [
            [
                one.environment,
                one.kind,
                one.standing if one.runs is not False else "awake, not running",
                f"{one.since:%Y-%m-%d %H:%M}" if one.since else "-",
                one.snapshot or "-",
                _going(one.going) if one.going else "-",
            ]
            for one in found
        ],
    )
    for one in found:
        if one.runs is False:
            name = one.environment
            out.note(f"{name}: no process runs it: airkeep up {name} goes on where it was")
        if one.why:
            out.note(f"{one.environment}: its last journey failed: {one.why}")


def _going(going: Going) -> str:
    if going.is_gone:
        rest = ", its process is gone: run it again"
    elif not going.is_held:
        rest = ", not heard of for some time: run it again"
    else:
        rest = "" if going.left_s is None else f", about {seconds(going.left_s)} left"
    return f"{going.journey}: {going.step or 'begun'}, {going.done} of {going.steps} done{rest}"
