"""What a restore with --upgrade can refuse before the upgrade: mistakes should not take minutes.

The restore itself asks all of it again of the upgraded snapshot; which tables that one has is known
here as far as the snapshot and the new Airflow's own tables go.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog
from airkeep.database.limits import ReadLimits
from airkeep.errors import ConfigError, RestoreError, no_such_table
from airkeep.restore.merge_plan import read_policies
from airkeep.restore.plan import check_target, check_unused
from airkeep.restore.quiet import check_active
from airkeep.restore.target import open_target
from airkeep.snapshot.choose import named
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.read import SnapshotReader
from airkeep.snapshot.seal import ARCHIVE_KEY, OLD_KEY, TARGET_KEY, open_keyring
from airkeep.tables.roles import is_airflow_table
from airkeep.tables.shapes import core_tables


@dataclass(frozen=True)
class Wishes:
    """What was asked for of a restore, by the names of its arguments; see `restore`."""

    tables: Sequence[str] = ()
    skip: Sequence[str] = ()
    on_conflict: str | None = None
    only: str = "all"
    active: Collection[str] | None = None
    create_schema: bool = False
    fernet_key: str | None = None
    source_fernet_key: str | None = None
    archive_key: str | None = None

    @classmethod
    def of(cls, arguments: dict[str, Any]) -> Wishes:
        """Those of a restore's arguments that can be judged before it."""
        return cls(**{name: v for name, v in arguments.items() if name in cls.__annotations__})


def check_wishes(
    wishes: Wishes,
    snapshot: Snapshot,
    catalog: Catalog,
    address: Address,
    *,
    to: str,
    folder: Path,
    limits: ReadLimits,
) -> None:
    """Refuse what the restore would refuse after the upgrade.

    Args:
        catalog: the target's.
        to: the target's release.

    Raises:
        AirkeepError: as the restore would.
    """
    _check_words(wishes)
    manifest, name = snapshot.manifest, str(address)
    engine = manifest.server.engine
    if address.kind == "sqlite" and engine != "sqlite":
        raise RestoreError(
            f"the snapshot is of {engine}, {name} is sqlite: restore it into {engine}, which an "
            f"upgrade keeps"
        )
    if wishes.create_schema:
        check_target(manifest, (), target=name, catalog=catalog, found={}, create_schema=True)
    chosen = _chosen(wishes, snapshot, catalog, name)
    if wishes.active and wishes.only == "all" and "dag" in chosen:
        _check_active(wishes.active, snapshot, folder, limits)
    if wishes.on_conflict is None:
        filled = chosen & {*manifest.labels, *core_tables(to)}
        tables = [t for label, t in catalog.by_label().items() if label in filled]
        with open_target(address, folder, limits) as target:
            looked = target.look(tables)
        check_unused(name, {catalog.label(t): s for t, s in zip(tables, looked, strict=True)})


def _check_words(wishes: Wishes) -> None:
    """What is wrong whatever the snapshot and the target are."""
    if wishes.on_conflict is not None:
        read_policies(wishes.on_conflict)
    open_keyring(wishes.archive_key, variable=ARCHIVE_KEY)
    open_keyring(wishes.fernet_key, variable=TARGET_KEY)
    open_keyring(wishes.source_fernet_key, variable=OLD_KEY)


def _chosen(wishes: Wishes, snapshot: Snapshot, catalog: Catalog, target: str) -> set[str]:
    """The target's tables that --tables and --skip leave."""
    ours, there = set(snapshot.manifest.labels), set(catalog.by_label())
    arriving = {label for label in there if label in ours or is_airflow_table(label)}
    tables, skip = named(wishes.tables), named(wishes.skip)
    for flag, given, known, where in (
        ("--tables", tables, arriving, target),
        ("--skip", skip, arriving | ours, f"the snapshot or {target}"),
    ):
        for name in given:
            if name not in known:
                raise no_such_table(flag, name, where, sorted(known))
    chosen = (set(tables) or arriving) - set(skip)
    if not chosen:
        raise ConfigError("--tables and --skip leave no table")
    return chosen


def _check_active(
    active: Collection[str], snapshot: Snapshot, folder: Path, limits: ReadLimits
) -> None:
    if snapshot.manifest.table("dag") is None:
        return
    with SnapshotReader(
        snapshot, folder=folder, memory_bytes=limits.memory_bytes, threads=limits.threads
    ) as reader:
        known = {name for b in reader.batches("dag") for name in b.column("dag_id").to_pylist()}
    check_active(active, known)
