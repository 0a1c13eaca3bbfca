"""`airkeep up`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.ending import Ending, ending, ends_as
from airkeep.cli.environments import (
    LOCAL,
    dry_run_option,
    job_option,
    lake_option,
    local_ground,
    local_traveller,
    need_file,
    need_place,
    open_lake,
    placed_here,
    read_state,
    take_over_option,
)
from airkeep.cli.output import seconds
from airkeep.cli.steps import step_before, tell_times
from airkeep.cli.travellers import foresee, mwaa_traveller
from airkeep.errors import AirkeepError, ConfigError

if TYPE_CHECKING:
    from airkeep.environment.events import LocalPlace, MwaaPlace
    from airkeep.environment.journal import Journal
    from airkeep.environment.means import Arrived
    from airkeep.snapshot.lake import Lake


@click.command()
@click.argument("environment")
@click.option("--airflow", "version", metavar="VERSION", help="local: which Airflow.  [newest]")
@click.option("--dags", type=click.Path(), help="local: the folder of DAGs.  [./dags]")
@click.option(
    "--requirements", type=click.Path(), help="local: packages, as on MWAA; '' for none any more."
)
@click.option(
    "--plugins", type=click.Path(), help="local: a zip file or a folder; '' for none any more."
)
@click.option("--port", type=click.IntRange(1, 65_535), help="local: of the page.  [8080]")
@click.option(
    "--from", "source", metavar="SNAPSHOT", help="Not the snapshot that it sleeps as, but this one."
)
@job_option
@take_over_option
@dry_run_option
@lake_option
@shared_options("lake", "job_minutes", tuning=False)
def up(
    ctx: Context,
    environment: str,
    *,
    version: str | None,
    dags: str | None,
    requirements: str | None,
    plugins: str | None,
    port: int | None,
    source: str | None,
    take_over: bool,
    dry_run: bool,
) -> None:
    """Wake ENVIRONMENT from its snapshot, or make it.

    A local one runs until Ctrl-C, and goes on where it was at the next `up`; `airkeep down` puts it
    to sleep: its database is gone then, and comes back with all that was in it.
    """
    from airkeep.environment.events import MwaaPlace
    from airkeep.environment.local.place import Said

    lake = open_lake(ctx, environment, new=environment == LOCAL)
    journal, state = read_state(lake, environment)
    if state.place is None and environment != LOCAL:
        need_place(lake, state)
    said = Said(
        version,
        need_file("--dags", dags),
        requirements and need_file("--requirements", requirements),
        plugins and need_file("--plugins", plugins),
        port,
    )
    if isinstance(state.place, MwaaPlace) and said != Said():
        raise ConfigError(
            f"{environment} is of MWAA: its flags are --from, --take-over and --dry-run"
        )
    place = state.place if isinstance(state.place, MwaaPlace) else placed_here(state, said)
    new = state.standing in ("unknown", "new") and not state.restored
    if dry_run:
        foresee(ctx, lake, journal, place, "up", source=source, is_new=new)
        return
    if isinstance(place, MwaaPlace):
        _up_mwaa(ctx, lake, journal, place, source=source, take_over=take_over)
        return
    _up_local(ctx, lake, journal, place, source=source, take_over=take_over, is_new=new)


def _up_local(
    ctx: Context,
    lake: Lake,
    journal: Journal,
    place: LocalPlace,
    *,
    source: str | None,
    take_over: bool,
    is_new: bool,
) -> None:
    from airkeep.environment.events import Placed
    from airkeep.environment.hold import check_free

    began = monotonic()
    if not take_over:
        check_free(journal)  # what is written down below would hold for the other run, too
    out = ctx.output
    with ExitStack() as running:
        with out.progress("up") as progress:
            ground = local_ground(ctx, lake, journal.environment, place, progress, is_new=is_new)
            ground.folder.check_free()
            running.enter_context(ground)
            traveller = local_traveller(ctx, lake, journal, ground, progress)
            ground.end_leftovers()
            # Before its place is written down: the next `up` goes by that.
            ground.check(traveller.to_restore(source))
            with step_before("packages", progress, traveller.taken) as packages:
                ground.install()
            if place != journal.summary.state.place:
                journal.append(Placed(place))
            arrived = traveller.up(snapshot=source, take_over=take_over)
        took_s = round(monotonic() - began, 3)
        arrived = replace(arrived, steps=(*packages, *arrived.steps), took_s=took_s)
        tell_times(out, arrived)
        out.result(arrived, lambda: out.line(_told(arrived, place)))
        with _told_to_end() as end:
            ground.serve(end)
        out.note("ending Airflow and its database")
    out.note(_ended(journal))


def _up_mwaa(
    ctx: Context,
    lake: Lake,
    journal: Journal,
    place: MwaaPlace,
    *,
    source: str | None,
    take_over: bool,
) -> None:
    out = ctx.output
    name = journal.environment
    told = (
        f"what AWS was asked to make it goes on making, and it costs money: airkeep up {name} goes "
        f"on, airkeep down {name} deletes it, airkeep status {name} tells where it stands"
    )
    with ends_as(Ending(ending().give_up_s, told)), out.progress("up") as progress:
        traveller = mwaa_traveller(ctx, lake, journal, place, progress)
        arrived = traveller.up(snapshot=source, take_over=take_over)
    tell_times(out, arrived)
    woken = f" as {arrived.snapshot} left it" if _is_restored(arrived) else ""
    out.result(
        arrived,
        lambda: out.line(f"{arrived.environment} is up{woken} ({seconds(arrived.took_s)})"),
    )


def _told(arrived: Arrived, place: LocalPlace) -> str:
    woken = f" as {arrived.snapshot} left it" if _is_restored(arrived) else ""
    return (
        f"{arrived.environment} is up{woken}: Airflow {place.airflow} at "
        f"http://127.0.0.1:{place.port}, DAGs in {place.dags}, logs in {place.folder}/logs "
        f"({seconds(arrived.took_s)}); Ctrl-C ends it"
    )


def _ended(journal: Journal) -> str:
    """What is said when its Airflow has ended, by Ctrl-C or by a `down` elsewhere."""
    with suppress(AirkeepError):  # what was read before is told then
        journal.read()
    name, state = journal.environment, journal.summary.state
    if state.standing == "asleep":
        return f"{name} is asleep: airkeep up {name} wakes it"
    if state.holder is not None and state.holder.journey == "down":
        return (
            f"{name} has ended, and its down is at work: airkeep status {name} tells how far it is"
        )
    return (
        f"{name} has ended: airkeep up {name} goes on where it was, airkeep down {name} puts it "
        f"to sleep"
    )


def _is_restored(arrived: Arrived) -> bool:
    return any(step.name == "restore" for step in arrived.steps)


@contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    """Set by Ctrl-C, SIGTERM or a terminal that is gone: the end of a local Airflow, no error."""
    end = threading.Event()
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: end.set()) for number in stops}
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
