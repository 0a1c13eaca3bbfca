"""`airkeep env`: which environments a lake knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import click

from airkeep.cli.context import Context, Group, refuse_unused, shared_options
from airkeep.cli.environments import (
    lake_option,
    local_ground,
    need_file,
    need_place,
    no_environment,
    open_lake,
    placed_here,
    read_state,
)
from airkeep.cli.output import Output
from airkeep.cli.schedule_run import run as schedule_run
from airkeep.cli.travellers import unreached
from airkeep.errors import ConfigError

if TYPE_CHECKING:
    from airkeep.environment.events import Entry, MwaaPlace, Place
    from airkeep.environment.state import State


# Flags of one kind only, by their parameters.
_ONLY_OF = {
    **dict.fromkeys(("name", "region", "profile", "role_arn", "external_id", "jobs"), "mwaa"),
    **dict.fromkeys(("version", "dags", "port", "folder"), "local"),
}


@click.group(cls=Group)
def env() -> None:
    """Environments that `up` and `down` know: where each is, and what has become of it.

    What is known stands in the lake, so whoever has the lake knows them all.
    """


@env.command()
@click.argument("environment")
@click.option("--kind", type=click.Choice(["mwaa", "local"]), required=True, help="Where it lives.")
@click.option("--name", help="mwaa: its name there.  [ENVIRONMENT]")
@click.option("--region", help="mwaa: where it is; '' for none any more.  [AWS_REGION]")
@click.option("--profile", help="mwaa: of AWS's configuration; '' for none any more.")
@click.option(
    "--role-arn", help="mwaa: the role to take, of another account; '' for none any more."
)
@click.option("--external-id", help="mwaa: what that role asks for; '' for nothing any more.")
@click.option(
    "--jobs",
    type=click.Choice(["dag", "here"]),
    help="mwaa: where its export and restore run: in its DAG airkeep_job, or where airkeep runs.  "
    "[dag]",
)
@click.option("--airflow", "version", metavar="VERSION", help="local: which Airflow.  [newest]")
@click.option("--dags", type=click.Path(), help="local: its folder of DAGs.")
@click.option("--port", type=click.IntRange(1, 65_535), help="local: of the page.  [8080]")
@click.option(
    "--folder",
    type=click.Path(),
    help="local: where its data is, or was moved to.  [.airkeep/ENVIRONMENT]",
)
@lake_option
@shared_options("lake", tuning=False)
def add(
    ctx: Context,
    environment: str,
    *,
    kind: str,
    name: str | None,
    region: str | None,
    profile: str | None,
    role_arn: str | None,
    external_id: str | None,
    jobs: Literal["dag", "here"] | None,
    version: str | None,
    dags: str | None,
    port: int | None,
    folder: str | None,
) -> None:
    """Make ENVIRONMENT known; of one that is known, change where it is.

    What is not given stays as it was, unless it becomes another kind. One of MWAA that sleeps keeps
    its name, region and account: it is made there again.
    """
    from airkeep.environment.events import MwaaPlace, Placed
    from airkeep.environment.local.place import Said, latest

    if environment == schedule_run.name:
        raise ConfigError(
            f"`airkeep schedule {environment}` is a command, so no environment can be called that: "
            f"choose another name (of MWAA's own --name tells)"
        )
    refuse_unused(f"--kind {kind}", lambda flag: flag not in _ONLY_OF or _ONLY_OF[flag] == kind)
    lake = open_lake(ctx, environment, new=True)
    journal, state = read_state(lake, environment)
    place: Place
    _check_kind(state, kind)
    if kind == "mwaa":
        before = state.place if isinstance(state.place, MwaaPlace) else MwaaPlace(environment)
        place = MwaaPlace(
            latest(name, before.name) or environment,
            latest(region, before.region),
            latest(profile, before.profile),
            latest(role_arn, before.role_arn),
            latest(external_id, before.external_id),
            jobs or before.jobs,
        )
        _check_place(state, place)
        if told := unreached(lake.url, environment, place):
            ctx.output.warn(f"no up or down of it until that is mended: {told}")
    else:
        there = need_file("--folder", folder)
        place = placed_here(
            state, Said(version, need_file("--dags", dags), port=port, folder=there)
        )
        if version is not None:
            with ctx.output.progress("add") as progress:
                local_ground(ctx, lake, environment, place, progress).install()
    if place != state.place:
        journal.append(Placed(place))
    ctx.output.result(place, lambda: ctx.output.line(f"{environment} is known: {_where(place)}"))


@env.command(name="list")
@lake_option
@shared_options("lake", tuning=False)
def list_environments(ctx: Context) -> None:
    """Every environment that the lake knows."""
    from airkeep.environment.journal import environments

    lake = open_lake(ctx, None)
    states = [read_state(lake, name)[1] for name in environments(lake.store)]
    known = [(s.environment, s.standing, s.place) for s in states if s.place is not None]
    out = ctx.output
    rows = [[name, standing, _where(place)] for name, standing, place in known]
    out.result(
        [
            {"environment": name, "standing": stands, "place": place}
            for name, stands, place in known
        ],
        lambda: out.table(["environment", "stands", "where"], rows),
    )
    if not known:
        out.note(no_environment(lake))


@env.command()
@click.argument("environment")
@lake_option
@shared_options("lake", tuning=False)
def show(ctx: Context, environment: str) -> None:
    """What is known of ENVIRONMENT, and all that its journal says."""
    lake = open_lake(ctx, environment)
    journal, state = read_state(lake, environment)
    place = need_place(lake, state)
    entries = journal.entries()
    ctx.output.result(
        {"state": state, "journal": entries}, lambda: _show(state, place, entries, ctx.output)
    )


@env.command()
@click.argument("environment")
@click.option(
    "--force",
    is_flag=True,
    help="Also when it sleeps, or a journey died half way: nothing could wake it then.",
)
@lake_option
@shared_options("lake", tuning=False)
def forget(ctx: Context, environment: str, *, force: bool) -> None:
    """Care for ENVIRONMENT no longer; it, and its snapshots, stay as they are."""
    from airkeep.environment.events import Forgotten
    from airkeep.environment.hold import check_free
    from airkeep.errors import JourneyError

    lake = open_lake(ctx, environment)
    journal, state = read_state(lake, environment)
    need_place(lake, state)
    check_free(journal)  # --force or not: nobody would unpause what it has paused
    if state.holder is not None and not force:
        raise JourneyError(
            f"an `airkeep {state.holder.journey} {environment}` died half way: run it again, or "
            f"forget it with --force"
        )
    if state.standing == "asleep" and not force:
        raise JourneyError(
            f"{environment} is asleep: forgotten, nothing knows how to make it again. Wake it "
            f"first, or forget it with --force"
        )
    journal.append(Forgotten())
    ctx.output.result(
        {"forgotten": environment}, lambda: ctx.output.line(f"{environment} is forgotten")
    )


def _check_kind(state: State, kind: str) -> None:
    """Refuse to take what is there, or sleeps, for something of another kind."""
    from airkeep.environment.events import LocalPlace
    from airkeep.errors import JourneyError

    if state.place is None or (state.standing == "new" and not state.made):
        return
    known = "local" if isinstance(state.place, LocalPlace) else "mwaa"
    if kind != known:
        raise JourneyError(
            f"{state.environment} is {state.standing}, and of the kind {known}: forget it first "
            f"(airkeep env forget {state.environment}), or choose another name"
        )


def _check_place(state: State, place: MwaaPlace) -> None:
    """Refuse to look elsewhere for what sleeps, or is being deleted."""
    from airkeep.environment.mwaa.definition import check_place

    if (state.standing == "asleep" or state.deleting) and state.last is not None:
        check_place(state.last.definition, place)


def _where(place: Place) -> str:
    from airkeep.environment.events import LocalPlace

    if isinstance(place, LocalPlace):
        return f"local, Airflow {place.airflow}, {place.folder}"
    region = f" in {place.region}" if place.region else ""
    role = f" by {place.role_arn}" if place.role_arn else ""
    return f"mwaa, {place.name}{region}{role}"


def _show(state: State, place: Place, entries: Sequence[Entry], out: Output) -> None:
    out.line(f"{state.environment}  {state.standing}  {_where(place)}")
    if state.kept is not None:
        out.line(f"snapshot: {state.kept.snapshot}")
    if state.recorded is not None:
        out.line(f"to be unpaused: {', '.join(state.recorded.active) or 'no DAG'}")
    out.table(
        ["at", "event", "what"],
        [[f"{e.at:%Y-%m-%d %H:%M:%S}", *_told(e)] for e in entries],
    )


def _told(entry: Entry) -> tuple[str, str]:
    from airkeep.environment import events

    match entry.event:
        case events.Placed(place):
            return "placed", _where(place)
        case events.Began(journey):
            return journey, f"begun by process {entry.pid} on {entry.host}"
        case events.Planned(steps, chosen):
            of = "" if chosen is None else f", of {chosen.snapshot}"
            return "planned", ", ".join(steps) + of
        case events.Stepped(step, is_done):
            return step, "done" if is_done else ""
        case events.Recorded(active):
            return "recorded", f"active: {', '.join(active) or 'none'}"
        case events.Kept(snapshot):
            return "kept", snapshot
        case events.Lost(reasons):
            return "lost", "; ".join(reasons)
        case events.Ended(how, why):
            return how, why
        case other:
            return type(other).__name__.lower(), ""
