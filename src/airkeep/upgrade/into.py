"""Restore a snapshot into a database of a newer Airflow: upgrade, then restore, in one step.

The upgraded snapshot lives in a private folder as long as the restore needs it; the lake gets
nothing. What the target has no table for (Airflow's archive of pickled XComs, tables of SLAs, of
users where FAB is not installed) stays behind, and is told with its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from airkeep.database.address import Address, DatabasePlace, open_address
from airkeep.database.catalog import Catalog
from airkeep.database.limits import ReadLimits
from airkeep.errors import NoWayError, RestoreError
from airkeep.restore.run import RestoreResult, restore
from airkeep.restore.target import open_target
from airkeep.snapshot.choose import named
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Lake, LakePlace, Snapshot, open_lake
from airkeep.snapshot.progress import Progress, silent
from airkeep.tables.revisions import airflow_version, last_releases, revisions_of
from airkeep.upgrade.airflow import Airflows
from airkeep.upgrade.run import UpgradeResult, upgrade
from airkeep.upgrade.wishes import Wishes, check_wishes


def restore_upgraded(
    lake: LakePlace,
    snapshot: str | Snapshot,
    database: DatabasePlace,
    *,
    airflows: Sequence[Path] = (),
    cache: Path | None = None,
    skip: Sequence[str] = (),
    fernet_key: str | None = None,
    source_fernet_key: str | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
    **wishes: Any,
) -> RestoreResult:
    """Restore a snapshot into a database that a newer Airflow has migrated.

    A target of the snapshot's own revision is restored into as it is.

    Args:
        airflows, cache: see `upgrade`.
        skip: tables that are left out, of those before the upgrade or after it.
        source_fernet_key: the environment's own, where it is not the target's.
        wishes: what else `restore` takes.

    Raises:
        AirkeepError: see `airkeep.errors`; the target is as it was, and so is the lake.
    """
    opened = open_lake(lake)
    found = opened.find(snapshot, complete=True) if isinstance(snapshot, str) else snapshot
    address, limits, skip = open_address(database), limits or ReadLimits(), named(skip)
    keys: dict[str, Any] = {"fernet_key": fernet_key, "source_fernet_key": source_fernet_key}
    means: dict[str, Any] = {"limits": limits, "spool": spool, "progress": progress}
    catalog = _catalog(address, limits, spool)
    if set(catalog.revisions) == set(found.manifest.revisions):
        return restore(opened, found, address, skip=skip, **keys, **means, **wishes)
    to = _release(catalog, Airflows(airflows, Path()).given_versions, address)
    with private_folder(spool) as folder:
        asked = Wishes.of({"skip": skip, **keys, **wishes})
        check_wishes(asked, found, catalog, address, to=to, folder=folder, limits=limits)
        here = {label for label in skip if found.manifest.table(label) is not None}
        done = upgrade(
            opened,
            found,
            to=to,
            airflows=airflows,
            into=Lake(str(folder / "upgraded")),
            skip=sorted(here),
            fernet_key=source_fernet_key or fernet_key,
            cache=cache,
            **means,
        )
        made = _made(done)
        absent = _absent(made, catalog)
        later = [t.label for t in made.tables if t.label in skip and t.label not in absent]
        result = restore(
            Lake(made.store), made, address, skip=(*later, *absent), **keys, **means, **wishes
        )
    left = tuple(
        f"{rows:,} rows of {label} stay behind: {address} has no such table"
        for label, rows in absent.items()
        if rows
    )
    return replace(
        result, notes=(*done.notes, *left, *result.notes), upgraded=made.manifest.upgraded
    )


def _made(done: UpgradeResult) -> Snapshot:
    assert done.snapshot is not None  # noqa: S101 - it was no dry run
    return done.snapshot


def _catalog(address: Address, limits: ReadLimits, spool: Path | None) -> Catalog:
    with private_folder(spool) as folder, open_target(address, folder, limits) as target:
        catalog = target.catalog()
    if catalog is None:
        raise RestoreError(
            f"{address} has no tables: make them with the new Airflow's own `airflow db migrate` "
            f"first, so that --upgrade knows what to upgrade to"
        )
    return catalog


def _release(catalog: Catalog, given: Sequence[str], address: Address) -> str:
    """The release that the target is of: the given one that fits, else the newest."""
    version = airflow_version(catalog.revisions)
    fitting = [
        v for v in (*given, *reversed(last_releases())) if revisions_of(v) == _heads(catalog)
    ]
    if fitting:
        return fitting[0]
    if version.known:
        return version.first
    shown = ", ".join(catalog.revisions) or "none"
    raise NoWayError(
        f"{address} is at revision {shown}, which no Airflow release up to {last_releases()[-1]} "
        f"ends at: migrate it to a release first"
    )


def _heads(catalog: Catalog) -> frozenset[str]:
    return frozenset(catalog.revisions)


def _absent(made: Snapshot, catalog: Catalog) -> dict[str, int]:
    """Tables that the target lacks, and how many rows they have."""
    there = catalog.by_label()
    return {t.label: t.rows for t in made.tables if t.label not in there}
