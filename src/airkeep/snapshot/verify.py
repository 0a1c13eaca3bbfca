"""Verify, compare and diff as a library's user calls them: names in, results out.

The work is in `check`, `compare`, `diff`; here are the private folders, keys and readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airkeep.database.address import DatabasePlace, open_address
from airkeep.database.limits import ReadLimits
from airkeep.database.reader import open_reader
from airkeep.snapshot.check import verify_snapshot
from airkeep.snapshot.compare import Comparison, compare_with_database
from airkeep.snapshot.csv_check import CsvVerifyResult
from airkeep.snapshot.csv_check import verify_csv as check_csv
from airkeep.snapshot.diff import Diff, diff_snapshots
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Lake, LakePlace, Snapshot, open_lake
from airkeep.snapshot.opener import Keys
from airkeep.snapshot.progress import Progress, silent
from airkeep.snapshot.results import VerifyResult
from airkeep.snapshot.seal import ARCHIVE_KEY, SOURCE_KEY, open_keyring


def verify(
    lake: LakePlace,
    snapshot: str | Snapshot | None = None,
    *,
    sample: float | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> list[VerifyResult]:
    """Read a snapshot's files again and hold them against its manifest; the whole chain.

    Args:
        snapshot: which; None for every snapshot of the lake, newest first (one that an
            increment stands on is verified with it, once).
        sample: the share of files to read, None for all; that they exist is always seen.

    Returns:
        One result a snapshot; what is wrong stands in it, nothing is raised for it.

    Raises:
        StoreError: the lake could not be read.
    """
    opened = open_lake(lake)
    limits = limits or ReadLimits()
    wanted = _wanted(opened, snapshot)
    results: list[VerifyResult] = []
    seen: set[tuple[str, str]] = set()
    for one in wanted:
        if (one.environment, one.id) in seen:
            continue
        result = verify_snapshot(
            one,
            folder=spool,
            memory_bytes=limits.memory_bytes,
            threads=limits.threads,
            sample=sample,
            progress=progress,
        )
        results.append(result)
        if result.ok:  # what is wrong with a parent is recorded at the parent, too
            seen |= {(one.environment, ancestor) for ancestor in result.chain}
    return results


def _wanted(lake: Lake, snapshot: str | Snapshot | None) -> list[Snapshot]:
    if snapshot is None:
        return [lake.get(name) for name in lake.names()]
    return [lake.find(snapshot) if isinstance(snapshot, str) else snapshot]


def verify_csv(
    lake: LakePlace,
    summary: str,
    *,
    spool: Path | None = None,
    progress: Progress = silent,
) -> CsvVerifyResult:
    """Verify a dated CSV export by its summary (`csv/<env>/.../export_summary_<time>.json.gz`)."""
    opened = open_lake(lake)
    return check_csv(opened.store, summary, folder=spool, progress=progress)


def compare(
    lake: LakePlace,
    snapshot: str | Snapshot,
    database: DatabasePlace,
    *,
    tables: Sequence[str] = (),
    skip: Sequence[str] = (),
    fernet_key: str | None = None,
    archive_key: str | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Compare a snapshot's contents with what a database holds now.

    Args:
        fernet_key: the database's, so that secrets are compared by content.

    Raises:
        AirkeepError: see `airkeep.errors`. Differences are in the result.
    """
    opened = open_lake(lake)
    found = opened.find(snapshot) if isinstance(snapshot, str) else snapshot
    address = open_address(database)
    limits = limits or ReadLimits()
    with (
        private_folder(spool) as folder,
        open_reader(address, folder, limits) as reader,
    ):
        return compare_with_database(
            found,
            reader,
            folder=folder,
            memory_bytes=limits.memory_bytes,
            threads=limits.threads,
            keys=_keys(fernet_key, archive_key),
            tables=tables,
            skip=skip,
            progress=progress,
        )


def diff(
    lake: LakePlace,
    first: str | Snapshot,
    second: str | Snapshot,
    *,
    table: str | None = None,
    fernet_key: str | None = None,
    archive_key: str | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> Diff:
    """Say what `second` has that `first` has not, and the other way round.

    Args:
        table: only this one, with example keys.
    """
    opened = open_lake(lake)
    one, two = (opened.find(s) if isinstance(s, str) else s for s in (first, second))
    limits = limits or ReadLimits()
    with private_folder(spool) as folder:
        return diff_snapshots(
            one,
            two,
            table,
            folder=folder,
            memory_bytes=limits.memory_bytes,
            threads=limits.threads,
            keys=_keys(fernet_key, archive_key),
            progress=progress,
        )


def _keys(fernet_key: str | None, archive_key: str | None) -> Keys:
    return Keys(
        fernet=open_keyring(fernet_key, variable=SOURCE_KEY),
        archive=open_keyring(archive_key, variable=ARCHIVE_KEY),
    )
