"""What can be said of an environment, one event at a time; the journal keeps them, in order.

An event is a fact and never changes. A field that is added later has a default, so that what was
written before is read as it was meant.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

Journey = Literal["down", "up"]
Kind = Literal["local", "mwaa"]


class LocalPlace(msgspec.Struct, frozen=True, tag="local", omit_defaults=True):
    """An Airflow on one machine.

    Attributes:
        folder: what it keeps on that machine.
        airflow: its version.
        dags, requirements, plugins: the user's, absolute.
    """

    folder: str
    airflow: str
    dags: str
    requirements: str | None = None
    plugins: str | None = None
    port: int = 8080


class MwaaPlace(msgspec.Struct, frozen=True, tag="mwaa", omit_defaults=True):
    """An environment of Amazon MWAA.

    Attributes:
        name: as MWAA knows it.
        role_arn, external_id: the role to take for another account.
        jobs: where export and restore run: in a DAG run of its own, or where airkeep runs.
    """

    name: str
    region: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    jobs: Literal["dag", "here"] = "dag"


Place = LocalPlace | MwaaPlace


class Placed(msgspec.Struct, frozen=True, tag="placed"):
    """Where the environment is, or is to be."""

    place: Place


class Began(msgspec.Struct, frozen=True, tag="began"):
    """A run has set out, and holds the environment until it ends or this time has passed."""

    journey: Journey
    until: datetime
    force: bool = False


class Renewed(msgspec.Struct, frozen=True, tag="renewed"):
    """The run is still at work."""

    until: datetime


class Stepped(msgspec.Struct, frozen=True, tag="stepped"):
    """A step is about to be taken, or was taken."""

    step: str
    is_done: bool


class Recorded(msgspec.Struct, frozen=True, tag="recorded"):
    """What must be known to make the environment again, before anything of it is changed.

    Attributes:
        active: the DAGs that were not paused.
        definition: JSON, as its kind needs it.
    """

    active: tuple[str, ...]
    definition: str = ""


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """The snapshot that the environment sleeps as."""

    snapshot: str
    manifest_sha256: str


class Planned(msgspec.Struct, frozen=True, tag="planned", omit_defaults=True):
    """The steps that the run will take.

    Attributes:
        chosen: the snapshot that it is to be made of, in place of the one that it sleeps as.
    """

    steps: tuple[str, ...]
    chosen: Kept | None = None


class Lost(msgspec.Struct, frozen=True, tag="lost"):
    """What `--force` gives up, in sentences; said before the deletion."""

    reasons: tuple[str, ...]


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """A run has ended.

    Attributes:
        how: `done`; `failed`: what was paused runs again as before.
    """

    how: Literal["done", "failed"]
    why: str = ""


class Forgotten(msgspec.Struct, frozen=True, tag="forgotten"):
    """The environment is no longer ours to care for; its snapshots stay."""


class Scheduled(msgspec.Struct, frozen=True, tag="scheduled", omit_defaults=True):
    """When it is to sleep and to wake, from now on; in place of what was said before.

    Attributes:
        down, up: cron of five fields, read in `timezone`; None: that is done by hand.
        notify: `sns:` and a topic's ARN. A webhook's address may hold a token: it stands nowhere.
    """

    down: str | None
    up: str | None
    timezone: str = "UTC"
    notify: str | None = None


class Unscheduled(msgspec.Struct, frozen=True, tag="unscheduled"):
    """It is put to sleep and woken by hand alone."""


Event = (
    Placed | Began | Planned | Renewed | Stepped | Recorded | Kept | Lost | Ended | Forgotten
    | Scheduled | Unscheduled
)  # fmt: skip


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event, as it stands in the lake.

    Attributes:
        number: its place, from 1; the file's name.
        run: whose event: random, one a command.
        pid: of its process on `host`.
        machine, started: tell that process from others of that id; see `process.py`.
    """

    number: int
    at: datetime
    run: str
    host: str
    pid: int
    airkeep: str
    event: Event
    machine: str = ""
    started: int = 0
    format: int = 1
