"""`airkeep schedule run`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, setting_option, shared_options
from airkeep.cli.environments import (
    drain_option,
    job_option,
    lake_option,
    need_place,
    no_environment,
    open_lake,
    read_state,
)
from airkeep.cli.output import Output, seconds
from airkeep.cli.travellers import on_its_way
from airkeep.errors import AirkeepError, JourneyError

if TYPE_CHECKING:
    from airkeep.environment.due import Attempts
    from airkeep.environment.events import Journey
    from airkeep.environment.journal import Journal
    from airkeep.environment.news import News
    from airkeep.environment.state import State
    from airkeep.environment.turn import Keeping, Turn, WalkerOf
    from airkeep.snapshot.lake import Lake


@click.command("run")
@click.argument("environments", nargs=-1, metavar="[ENVIRONMENT]...")
@click.option("--dry-run", is_flag=True, help="Say what is due, and do nothing.")
@click.option(
    "--attempts",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How often a journey that is due may fail or be cut off.",
)
@drain_option
@job_option
@lake_option
@setting_option("notify", "--notify", help="Who is told: sns:ARN or https://...")
@setting_option("secrets", "--secrets", help="keep, seal, drop or plain.")
@shared_options("lake", "job_minutes", "notify", "secrets", tuning=False)
def run(
    ctx: Context,
    environments: tuple[str, ...],
    *,
    dry_run: bool,
    attempts: int,
    drain_minutes: float,
) -> None:
    """Do what is due, for each ENVIRONMENT, or for all of the lake that have a schedule.

    To be called every few minutes. What fell due last is done once, however late; a journey that
    somebody made since stands until the next time falls due. What failed is tried again after 15
    minutes, then after 30. The status is that of the first failure, and 95 while one is not made
    good; it is 0 where nothing is due or a journey is at work. A lake that knows no environment is
    an error.
    """
    from airkeep.environment.due import Attempts
    from airkeep.environment.journal import environments as known
    from airkeep.environment.turn import overdue, take_turn

    lake = open_lake(ctx, environments[0] if environments else None)
    names = environments or known(lake.store)
    if not names:  # who keeps schedules by a name that is wrong must hear of it
        raise JourneyError(no_environment(lake))
    keeping = _keeping(ctx, Attempts(attempts), walker_of(ctx, lake, drain_minutes))
    turns: list[Turn] = []
    failures: list[AirkeepError] = []
    for name in names:
        try:
            journal, state = read_state(lake, name)
            if environments:
                need_place(lake, state)
            elif state.schedule is None:
                continue
            turn, failure = take_turn(journal, keeping, dry_run=dry_run)
        except AirkeepError as error:  # of this one: the others have their turn
            failures.append(error)
            continue
        turns.append(turn)
        if failure is None and overdue(turn):
            failure = JourneyError(f"{name}: {turn.why}")
        failures += [failure] if failure else []
    ctx.output.result(turns, lambda: _show(turns, ctx.output, failed=bool(failures)))
    for failure in failures[1:]:
        ctx.output.warn(str(failure))
    if failures:
        raise failures[0]


def _keeping(ctx: Context, attempts: Attempts, walker_of: WalkerOf) -> Keeping:
    from airkeep.cost.prices import load_prices
    from airkeep.environment.notify import place_of, send, target
    from airkeep.environment.turn import Keeping

    own = None if ctx.settings.notify is None else target(ctx.settings.notify)

    def tell(state: State, news: News) -> None:
        scheduled = None if state.schedule is None else state.schedule.notify
        told = [own, None if scheduled is None else target(scheduled)]
        for to in dict.fromkeys(one for one in told if one is not None):
            try:
                send(to, news, place=place_of(state.place))
            except AirkeepError as error:  # the journey is over: it is not undone by this
                ctx.output.warn(str(error))

    return Keeping(walker_of, tell, attempts, load_prices())


def walker_of(ctx: Context, lake: Lake, drain_minutes: float) -> WalkerOf:
    """Who takes a scheduled journey: as by hand, but for what no schedule can do."""
    from airkeep.environment.events import LocalPlace
    from airkeep.environment.turn import Walker

    @contextmanager
    def walker(journal: Journal, state: State, journey: Journey) -> Iterator[Walker]:
        place, name = need_place(lake, state), state.environment
        if journey == "up" and isinstance(place, LocalPlace):
            raise JourneyError(
                f"{name} is local, its Airflow runs in the foreground for as long as it is up, so "
                f"no schedule can wake it: airkeep up {name}"
            )
        with (
            ctx.output.progress(journey) as progress,
            on_its_way(
                ctx, lake, journal, place, progress, drain_minutes=drain_minutes
            ) as traveller,
        ):
            yield traveller

    return walker


def _show(turns: list[Turn], out: Output, *, failed: bool) -> None:
    if not turns and not failed:
        out.line("no environment of this lake has a schedule")
    for turn in turns:
        journey = turn.due.journey if turn.due else ""
        took = f" ({seconds(turn.took_s)})" if turn.took_s else ""
        saved = f", {turn.saved.amount} {turn.saved.currency} saved" if turn.saved else ""
        said = {
            "due": f"{journey} is due: {turn.why}",
            "done": f"{journey} done{took}{saved}: {turn.why}",
            "failed": f"{journey} failed{took}",
            "waits": turn.why,
            "gave up": turn.why,
        }.get(turn.what, f"nothing to do: {turn.why}")
        following = (
            f"; next: {turn.next.journey} {turn.next.at:%Y-%m-%dT%H:%MZ}" if turn.next else ""
        )
        out.line(f"{turn.environment}: {said}{following}")
