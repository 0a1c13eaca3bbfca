"""A dated CSV export: what its files are called, and its summary. It is no snapshot.

    csv/<env>/YYYY/MM/DD/<table>_<HHMMSS>.csv.gz
    csv/<env>/YYYY/MM/DD/export_summary_<HHMMSS>.json.gz

Date and time are the whole run's: the instant that the database was read at, UTC, moved on by
whole seconds while they are taken. A second is taken by a small file under `uploads/` (garbage
once it is old, and nobody needs it then), because the summary, which would take it as well, is
the commit and must come last. Files without a summary are a run that died: garbage.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from airkeep.errors import (
    AlreadySavedError,
    ChangedError,
    ManifestError,
    MissingFileError,
    NewerFormatError,
    NotFoundError,
)
from airkeep.snapshot.manifest import SecretsMode
from airkeep.snapshot.names import table_folder
from airkeep.store.interface import UPLOADS, Store

FORMAT = 1
_ATTEMPTS = 1000
_SUMMARY = re.compile(
    r"csv/(?P<environment>[^/]+)/(?P<day>\d{4}/\d\d/\d\d)/export_summary_(?P<time>\d{6})\.json\.gz"
)
_TIME = re.compile(r"_(\d{6})\.(?:csv|json)\.gz$")


@dataclass(frozen=True)
class CsvFile:
    """One table's file: `sha256` of its compressed bytes, `rows` without the header.

    Attributes:
        window: the rows taken, in words, when not all were.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    columns: tuple[str, ...]
    window: str | None = None


@dataclass(frozen=True)
class CsvSummary:
    """What a run took; times are UTC.

    Attributes:
        export_timestamp: the instant of the rows, to the microsecond.
        cutoff_date: where `--since` cut, None for all rows.
        max_age_days: from the cutoff to the instant, None for all rows.
        tables: rows by table; a table that was not exported is not there.
        missing: tables that people expect and that this database does not have.
    """

    format: int
    airkeep: str
    run_id: str
    environment: str
    export_timestamp: datetime
    database_name: str
    airflow_version: str
    revisions: tuple[str, ...]
    cutoff_date: datetime | None
    max_age_days: int | float | None
    secrets: SecretsMode
    total_tables: int
    total_rows: int
    tables: dict[str, int]
    missing: tuple[str, ...]
    files: dict[str, CsvFile]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class CsvRun:
    """One finished run; `at` is the second in its files' names, UTC, `path` its summary's."""

    environment: str
    at: datetime
    path: str


def csv_folder(environment: str, at: datetime) -> str:
    """Where the files of a day lie."""
    return f"csv/{environment}/{at:%Y/%m/%d}"


def csv_path(environment: str, at: datetime, label: str) -> str:
    """A table's file."""
    return f"{csv_folder(environment, at)}/{table_folder(label)}_{at:%H%M%S}.csv.gz"


def summary_path(environment: str, at: datetime) -> str:
    """The commit."""
    return f"{csv_folder(environment, at)}/export_summary_{at:%H%M%S}.json.gz"


def take_second(store: Store, environment: str, wanted: datetime, run_id: str) -> datetime:
    """Take the first free second at or after `wanted`, for this run and no other.

    A second is free when the day has no file of it, not even one of a run that died.

    Raises:
        ChangedError: very many in a row are taken.
    """
    at = wanted.astimezone(UTC).replace(microsecond=0)
    folder, taken = "", set[str]()
    for _ in range(_ATTEMPTS):
        if folder != csv_folder(environment, at):
            folder = csv_folder(environment, at)
            taken = _times(store, folder)
        if f"{at:%H%M%S}" not in taken and _take(store, environment, at, run_id):
            return at
        at += timedelta(seconds=1)
    raise ChangedError(f"{_ATTEMPTS} seconds in a row are taken up to {at:%H%M%S}: export again")


def _times(store: Store, folder: str) -> set[str]:
    found = (_TIME.search(entry.path) for entry in store.list(f"{folder}/"))
    return {match[1] for match in found if match}


def _take(store: Store, environment: str, at: datetime, run_id: str) -> bool:
    try:
        store.save(f"{UPLOADS}csv/{environment}/{at:%Y%m%dT%H%M%S}Z", run_id.encode())
    except AlreadySavedError:
        return False
    return True


def csv_runs(store: Store, environment: str | None = None) -> list[CsvRun]:
    """Every finished run, newest first."""
    prefix = "csv/" if environment is None else f"csv/{environment}/"
    found = []
    for entry in store.list(prefix):
        if match := _SUMMARY.fullmatch(entry.path):
            at = _instant(f"{match['day']}{match['time']}")
            if at is not None:
                found.append(CsvRun(match["environment"], at, entry.path))
    return sorted(found, key=lambda run: (run.at, run.environment), reverse=True)


def _instant(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y/%m/%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def check_there(store: Store, environment: str, at: datetime, files: Collection[CsvFile]) -> None:
    """Look for a run's files once more, before its summary names them.

    Raises:
        ChangedError: one is gone, or is another.
    """
    found = {e.path: e.bytes for e in store.list(f"{csv_folder(environment, at)}/")}
    if gone := sorted(f.path for f in files if found.get(f.path) != f.bytes):
        raise ChangedError(
            f"{gone[0]} and {len(gone) - 1} other files were removed or changed during the "
            f"export: export again."
        )


def encode_summary(summary: CsvSummary) -> bytes:
    """The summary as gzipped JSON; equal summaries are equal bytes."""
    text = msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n"
    return gzip.compress(text, mtime=0)


def read_summary(store: Store, path: str) -> CsvSummary:
    """Read a run's summary.

    Raises:
        MissingFileError: it is not there.
        NewerFormatError: it was written by a newer airkeep.
        ManifestError: it is no summary of ours.
    """
    try:
        text = gzip.decompress(store.load(path))
        version = msgspec.json.decode(text, type=_Versioned).format
        if version > FORMAT:
            raise NewerFormatError(path, found=version, known=FORMAT)
        return msgspec.json.decode(text, type=CsvSummary)
    except NotFoundError:
        raise MissingFileError(path) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
        raise ManifestError(
            f"{path} is not a summary that can be read ({error}): the file was changed or cut "
            f"off, or airkeep did not write it. Use another run."
        ) from None


@dataclass(frozen=True)
class _Versioned:
    format: int
