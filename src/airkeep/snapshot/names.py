"""What things are called in a lake: environments, snapshot ids, paths. Pure.

    tables/<table>/environment=<env>/snapshot=<id>/00000.parquet
    deleted/<table>/environment=<env>/snapshot=<id>/00000.parquet
    snapshots/environment=<env>/<id>/{schema.sql,manifest.json,verified/<time>.json}
    snapshots/environment=<env>/<id>/pruned/<time>.json
    index/environment=<env>/<id>.json

See docs/format.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from airkeep.errors import ConfigError, NoSuchSnapshotError, shown

ENVIRONMENT = re.compile(r"[A-Za-z0-9._-]{1,80}")
_ID = re.compile(r"\d{8}T\d{6}\.\d{6}Z")
_FORMAT = "%Y%m%dT%H%M%S.%fZ"  # to read: strftime's %Y does not fill a year before 1000 up
_TABLE_SAFE = "._- "  # percent-encoded beside letters and digits: everything else


@dataclass(frozen=True, order=True)
class SnapshotName:
    """An environment and an id; they sort by time within an environment."""

    environment: str
    id: str

    def __str__(self) -> str:
        return f"{self.environment}/{self.id}"


def check_environment(name: str) -> str:
    """The name itself, when it may be one.

    Raises:
        ConfigError: it may not; says what may.
    """
    if not ENVIRONMENT.fullmatch(name) or set(name) == {"."}:
        raise ConfigError(
            f"{shown(name)} cannot name an environment: use 1 to 80 of A-Z a-z 0-9 . _ - "
            f"(--environment)"
        )
    return name


def utc(at: datetime) -> datetime:
    """The same instant in UTC, which is what a time without a zone is.

    Raises:
        OverflowError: in UTC it is outside the calendar.
    """
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def make_id(at: datetime) -> str:
    """`20261121T143022.123456Z`; ids sort as their times do."""
    at = at.astimezone(UTC)
    return f"{at.year:04}{at:%m%dT%H%M%S.%fZ}"


def id_time(snapshot_id: str) -> datetime:
    """The instant of the snapshot, UTC."""
    return datetime.strptime(snapshot_id, _FORMAT).replace(tzinfo=UTC)


def next_id(snapshot_id: str) -> str:
    """One microsecond later: where a run goes whose id another run has taken."""
    return make_id(id_time(snapshot_id) + timedelta(microseconds=1))


def is_id(text: str) -> bool:
    """Whether the text is a whole id."""
    return _ID.fullmatch(text) is not None


def table_folder(label: str) -> str:
    """A table's label as one folder name; `/` and other odd characters percent-encoded."""
    return quote(label, safe=_TABLE_SAFE)


def data_folder(label: str, environment: str, snapshot_id: str, *, kind: str = "tables") -> str:
    """Where a table's files of one snapshot lie; `kind` is `tables` or `deleted`."""
    return f"{kind}/{table_folder(label)}/environment={environment}/snapshot={snapshot_id}"


def snapshot_folder(environment: str, snapshot_id: str) -> str:
    """What belongs to one snapshot and is no table."""
    return f"snapshots/environment={environment}/{snapshot_id}"


def manifest_path(environment: str, snapshot_id: str) -> str:
    """The commit."""
    return f"{snapshot_folder(environment, snapshot_id)}/manifest.json"


def schema_path(environment: str, snapshot_id: str) -> str:
    """The first file of a snapshot, which takes its id."""
    return f"{snapshot_folder(environment, snapshot_id)}/schema.sql"


def verified_path(environment: str, snapshot_id: str, at: datetime) -> str:
    """What a verify at that time found."""
    return f"{snapshot_folder(environment, snapshot_id)}/verified/{make_id(at)}.json"


def pruned_path(environment: str, snapshot_id: str, at: datetime) -> str:
    """The mark of a prune that began at that time."""
    return f"{snapshot_folder(environment, snapshot_id)}/pruned/{make_id(at)}.json"


def index_path(environment: str, snapshot_id: str) -> str:
    """The derived summary."""
    return f"index/environment={environment}/{snapshot_id}.json"


def parse_time(text: str) -> datetime:
    """The instant of `E@time`: ISO 8601, UTC unless it says otherwise; a bare date is its midnight.

    Raises:
        NoSuchSnapshotError: it is no time.
    """
    try:
        return utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise NoSuchSnapshotError(
            f"{text!r} is no time: write 2026-11-21 or 2026-11-21T14:30:00Z after the @"
        ) from None
