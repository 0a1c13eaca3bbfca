"""What `up`, `down`, `status` and `env` share: an environment's journal, and its ground."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, setting_option
from airkeep.cli.steps import step_teller
from airkeep.config import FILE
from airkeep.errors import AirkeepError, ConfigError, JourneyError, did_you_mean

if TYPE_CHECKING:
    from airkeep.environment.events import LocalPlace, Place
    from airkeep.environment.journal import Journal
    from airkeep.environment.journey import Traveller
    from airkeep.environment.local.ground import LocalGround
    from airkeep.environment.local.place import Said
    from airkeep.environment.state import State
    from airkeep.snapshot.lake import Lake
    from airkeep.snapshot.progress import Progress

lake_option = setting_option("lake", "--lake", help="Where its snapshots and its journal are.")
take_over_option = click.option(
    "--take-over", is_flag=True, help="Another run's hold on it is not waited for."
)

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print what would be done, and change nothing."
)

drain_option = click.option(
    "--drain-minutes",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    help="How long tasks at work may take to end; then it is left as it was.",
)

job_option = setting_option(
    "job_minutes", "--job-minutes", help="MWAA: how long its export or restore may take.  [60]"
)

LOCAL = "local"  # an environment of this name needs no `env add`
FOLDER = Path(".airkeep")
# The user's variables that an Airflow on this machine is to see.
_OWN = re.compile(
    r"AIRFLOW(__\w+__\w+|_VAR_\w+|_CONN_\w+)|AWS_\w+|(HTTPS?|NO)_PROXY", re.IGNORECASE
)


def own_variables(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """What of the user's variables an Airflow on this machine is to see.

    Its home is another, where AWS's tools would look for the profile in vain.
    """
    own = {name: value for name, value in environ.items() if _OWN.fullmatch(name)}
    if "AWS_PROFILE" not in own:
        return own
    files = {
        "AWS_CONFIG_FILE": str(home / ".aws" / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / ".aws" / "credentials"),
    }
    return files | own


def open_lake(ctx: Context, environment: str | None, *, new: bool = False) -> Lake:
    """The configured lake; where none is, the one that a local environment has here.

    Args:
        new: one that is not there is made by the first save.

    Raises:
        ConfigError: no lake is set, and none is here.
        NoSuchSnapshotError: it is a folder that is not there.
    """
    from airkeep.snapshot.lake import Lake

    here = (FOLDER / "lake").absolute()
    if ctx.settings.lake is not None:
        return ctx.lake("-", new=new)
    if here.is_dir() or (new and environment == LOCAL):
        return Lake(here)
    raise ConfigError(
        f"no lake is set, and there is no {FOLDER}/lake here, which airkeep up {LOCAL} makes: give "
        f"--lake, AIRKEEP_LAKE, or lake in {FILE}"
    )


def read_state(lake: Lake, environment: str) -> tuple[Journal, State]:
    """An environment's journal, and what it comes to."""
    from airkeep.environment.journal import Journal
    from airkeep.snapshot.names import check_environment

    journal = Journal(lake.store, check_environment(environment))
    return journal, journal.read().state


def need_place(lake: Lake, state: State) -> Place:
    """Where a known environment is.

    Raises:
        JourneyError: it is not known.
    """
    if state.place is None:
        raise unknown_environment(lake, state.environment)
    return state.place


def unknown_environment(lake: Lake, environment: str) -> JourneyError:
    """What is said of an environment that the lake does not know."""
    from airkeep.environment.journal import environments

    known = []
    for name in environments(lake.store):
        with suppress(AirkeepError):  # one that is damaged is no answer to a wrong name
            if read_state(lake, name)[1].place is not None:  # else it was forgotten
                known.append(name)
    listed = f", but {', '.join(known)}" if known else ""
    add = f"airkeep env add {environment} --kind mwaa, or local"
    begin = f"airkeep up {LOCAL}" if environment == LOCAL else add
    return JourneyError(
        f"{lake.url} knows no environment {environment!r}{did_you_mean(environment, known)}{listed}"
        f": {begin}"
    )


def no_environment(lake: Lake) -> str:
    """What is said of a lake that knows none, which an S3 prefix of a wrong name is, too."""
    return f"{lake.url} knows no environment yet: airkeep env add, or correct the lake's name"


def placed_here(state: State, said: Said) -> LocalPlace:
    """A local environment's place as the flags say, on top of what it was."""
    from airkeep.environment.events import LocalPlace
    from airkeep.environment.local.folder import Folder
    from airkeep.environment.local.place import local_place

    before = state.place if isinstance(state.place, LocalPlace) else None
    folder = str((FOLDER / state.environment).absolute())
    there = Folder(Path(said.folder or (folder if before is None else before.folder)))
    return local_place(before, said, folder=folder, has_database=there.has_database)


def runs_here(place: Place) -> bool | None:
    """Whether a process runs the Airflow there; None where that is not to be seen from here."""
    from airkeep.environment.events import LocalPlace
    from airkeep.environment.local.folder import Folder

    if not isinstance(place, LocalPlace):
        return None
    folder = Folder(Path(place.folder))
    try:
        return folder.is_held() if folder.has_database else None
    except OSError:  # another user's
        return None


def local_ground(
    ctx: Context,
    lake: Lake,
    environment: str,
    place: LocalPlace,
    progress: Progress,
    *,
    is_new: bool = False,
) -> LocalGround:
    """A local environment's ground, with the keys and variables of this process."""
    from airkeep.environment.local.ground import LocalGround, LocalMeans

    settings = ctx.settings
    means = LocalMeans(
        lake,
        ctx.cache("airflow"),
        own_variables(os.environ, Path.home()),
        settings.secrets or "keep",
        settings.archive_key,
        settings.source_fernet_key,
        ctx.spool,
        progress,
        is_new=is_new,
        warn=ctx.output.warn,
    )
    return LocalGround(environment, place, means)


def local_traveller(
    ctx: Context, lake: Lake, journal: Journal, ground: LocalGround, progress: Progress
) -> Traveller:
    """Who takes a local environment's journeys."""
    from airkeep.environment.journey import Traveller
    from airkeep.environment.means import Keys, Patience

    return Traveller(
        lake,
        journal,
        ground,
        # A new one has no key yet, and nothing that was locked with it.
        Keys(ctx.settings.archive_key, None if ground.means.is_new else ground.fernet_key),
        Patience(every_s=0.5, ready_s=600),
        key_dies=False,
        spool=ctx.spool,
        progress=progress,
        warn=ctx.output.warn,
        taken=step_teller(ctx.output, journal.environment),
    )


def need_file(flag: str, path: str | None) -> str | None:
    """An absolute path of what is there.

    Raises:
        ConfigError: it is not.
    """
    if path is None:
        return None
    if not path or not Path(path).exists():  # '' would be the current folder
        raise ConfigError(f"{flag} {path or repr(path)}: there is nothing of that name")
    return str(Path(path).absolute())
