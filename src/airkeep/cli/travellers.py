"""Who takes an environment's journeys, by its kind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from airkeep.cli.context import Context
from airkeep.cli.ending import Ending, ending, ends_as
from airkeep.cli.environments import local_ground, local_traveller
from airkeep.cli.output import Output, counted
from airkeep.cli.steps import step_teller
from airkeep.errors import ConfigError

if TYPE_CHECKING:
    from airkeep.environment.events import Journey, MwaaPlace, Place
    from airkeep.environment.journal import Journal
    from airkeep.environment.journey import Traveller
    from airkeep.environment.means import Foreseen
    from airkeep.snapshot.lake import Lake
    from airkeep.snapshot.progress import Progress

# AWS that is too busy is asked for 300 s, and 250 DAGs take half a minute.
_GIVING_BACK_S = 360


@contextmanager
def traveller_of(
    ctx: Context,
    lake: Lake,
    journal: Journal,
    place: Place,
    progress: Progress,
    *,
    is_new: bool = False,
) -> Iterator[Traveller]:
    """Of any environment, wherever it is.

    Args:
        is_new: it never was awake.
    """
    from airkeep.environment.events import MwaaPlace

    if isinstance(place, MwaaPlace):
        yield mwaa_traveller(ctx, lake, journal, place, progress)
        return
    ground = local_ground(ctx, lake, journal.environment, place, progress, is_new=is_new)
    with ground:
        yield local_traveller(ctx, lake, journal, ground, progress)


@contextmanager
def on_its_way(
    ctx: Context,
    lake: Lake,
    journal: Journal,
    place: Place,
    progress: Progress,
    *,
    drain_minutes: float,
) -> Iterator[Traveller]:
    """Of any environment, for a journey; stopped, it has the time to give back what it paused."""
    name = journal.environment
    told = f"airkeep status {name} tells where it stands"
    paused = f"its DAGs may be paused: airkeep up {name}"
    with (
        ends_as(Ending(ending().give_up_s, told)),
        traveller_of(ctx, lake, journal, place, progress) as traveller,
    ):
        yield replace(
            traveller,
            patience=replace(traveller.patience, drain_s=drain_minutes * 60),
            giving_back=partial(ends_as, Ending(_GIVING_BACK_S, paused)),
        )


def foresee(
    ctx: Context,
    lake: Lake,
    journal: Journal,
    place: Place,
    journey: Journey,
    *,
    source: str | None = None,
    is_new: bool = False,
    force: bool = False,
) -> None:
    """Print what a journey would do; for `--dry-run`."""
    out = ctx.output
    with (
        out.progress(journey) as progress,
        traveller_of(ctx, lake, journal, place, progress, is_new=is_new) as traveller,
    ):
        found = traveller.foresee(journey, snapshot=source, force=force)
    out.result(found, lambda: show_foreseen(found, out))


def show_foreseen(found: Foreseen, out: Output) -> None:
    """What a journey would do, for people."""
    if found.steps:
        out.line(f"{found.environment} would take these steps: {', '.join(found.steps)}")
    elif not found.against:
        out.line(f"{found.environment} is where it is to be: nothing would be done")
    if found.snapshot is not None:
        out.line(f"restored would be {found.snapshot}")
    if found.pulse is not None:
        out.line(
            f"{counted(len(found.active), 'DAG')} would be paused, and the end of "
            f"{counted(found.pulse.running, 'task')} at work waited for"
        )
        warn_of_orphaned(found.pulse.orphaned, out)
    for reason in found.against:
        out.line(f"it would be refused: {reason}")
    for loss in found.lost:
        out.line(f"--force would give up: {loss}")


def warn_of_orphaned(tasks: int, out: Output) -> None:
    """Say what becomes of tasks at work whose Airflow had ended before them."""
    if tasks:
        out.warn(
            f"tasks at work when Airflow was ended: {tasks}. They sleep as they stood, and Airflow "
            f"fails or repeats them when it wakes, as after a crash"
        )


def _tell(progress: Progress, line: str) -> None:
    from airkeep.snapshot.progress import Step

    progress(Step(line, 0, 0))


def unreached(lake: str, environment: str, place: MwaaPlace) -> str | None:
    """What is said where jobs that run in a DAG would not reach the lake."""
    from airkeep.store.open import is_folder

    if place.jobs != "dag" or not is_folder(lake):
        return None
    return (
        f"{lake} is a folder of this machine, which {environment}'s workers do not reach: its lake "
        f"must be a bucket, such as s3://bucket/prefix"
    )


def mwaa_traveller(
    ctx: Context, lake: Lake, journal: Journal, place: MwaaPlace, progress: Progress
) -> Traveller:
    """Of an environment of MWAA; its secrets are sealed unless another way is asked for."""
    from airkeep.aws.wait import Patience
    from airkeep.environment.journey import Traveller
    from airkeep.environment.means import Keys
    from airkeep.environment.mwaa.ground import MwaaGround, MwaaMeans
    from airkeep.environment.mwaa.job import EVERY_S, STARTS_S, Here, OnDag, RunJob
    from airkeep.environment.notify import place_of as aws_place
    from airkeep.jobs.dag import DAG
    from airkeep.jobs.record import jobs_of
    from airkeep.store.open import open_store

    settings, is_dag = ctx.settings, place.jobs == "dag"
    tell = partial(_tell, progress)
    if told := unreached(lake.url, journal.environment, place):
        raise ConfigError(told)
    timeout_s = settings.job_minutes * 60
    folder = open_store(jobs_of(lake.url), options=dict(settings.store))
    run: RunJob
    if is_dag:
        patience = Patience(timeout_s + STARTS_S, EVERY_S)
        run = OnDag(place.name, folder, aws_place(place), tell, patience)
    else:
        run = Here(place.name, folder, os.environ, tell, timeout_s)
    means = MwaaMeans(
        lake,
        run,
        settings.archive_key,
        settings.secrets or "seal",
        job_dag=DAG if is_dag else None,
        is_here=not is_dag,
        spool=ctx.spool,
        progress=progress,
        warn=ctx.output.warn,
    )
    return Traveller(
        lake,
        journal,
        MwaaGround(journal.environment, place, means),
        Keys(settings.archive_key),
        spool=ctx.spool,
        progress=progress,
        warn=ctx.output.warn,
        taken=step_teller(ctx.output, journal.environment),
    )
