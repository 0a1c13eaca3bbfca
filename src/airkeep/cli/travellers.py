"""Who takes an environment's journeys, by its kind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airkeep.cli.context import Context
from airkeep.cli.environments import local_ground, local_traveller

if TYPE_CHECKING:
    from airkeep.environment.events import MwaaPlace, Place
    from airkeep.environment.journal import Journal
    from airkeep.environment.journey import Traveller
    from airkeep.snapshot.lake import Lake
    from airkeep.snapshot.progress import Progress


@contextmanager
def traveller_of(
    ctx: Context, lake: Lake, journal: Journal, place: Place, progress: Progress
) -> Iterator[Traveller]:
    """Of any environment, wherever it is."""
    from airkeep.environment.events import MwaaPlace

    if isinstance(place, MwaaPlace):
        yield mwaa_traveller(ctx, lake, journal, place, progress)
        return
    with local_ground(ctx, lake, journal.environment, place, progress) as ground:
        yield local_traveller(ctx, lake, journal, ground, progress)


def mwaa_traveller(
    ctx: Context, lake: Lake, journal: Journal, place: MwaaPlace, progress: Progress
) -> Traveller:
    """Of an environment of MWAA; its secrets are sealed unless another way is asked for."""
    from airkeep.environment.journey import Keys, Traveller
    from airkeep.environment.mwaa.ground import MwaaGround, MwaaMeans
    from airkeep.environment.mwaa.job import Here

    settings = ctx.settings
    means = MwaaMeans(
        lake,
        Here(os.environ),
        settings.archive_key,
        "seal" if settings.secrets == "keep" else settings.secrets,
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
    )
