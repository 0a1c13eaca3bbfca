"""Delete what a lake needs no more: garbage, and snapshots by retention.

Garbage is a file in one of our places that no manifest names. To delete it beside running
exports, the order is: first list the files, then list and read the manifests. A file whose
manifest was saved in between is then seen as named; one saved later is not in the list. An
export that has not saved its manifest yet is told by its age: all files of one snapshot id
share a fate, and are left alone until the youngest is older than the grace, by the store's
clock. Right before they are deleted, the manifest is looked for once more.

A snapshot is removed children first, so that a kill at any moment leaves no increment
without its parent: `removed.json` (the manifest's bytes; being young, it starts the grace
anew) is saved, then the index entry is deleted, then the manifest (`Lake.names` believes the
index, so an entry must never be there alone). The data is garbage from then on, and goes when
the grace is over. An increment may be committed upon a parent at the very moment that the
parent is removed: manifests are listed again at the end, and such a parent is put back.

Never touched: `csv/`, whatever has no name of ours, and what `clean_plan` keeps.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from airkeep.errors import (
    AlreadySavedError,
    ManifestError,
    MissingFileError,
    NewerFormatError,
    NotFoundError,
)
from airkeep.snapshot import names
from airkeep.snapshot.clean_plan import (
    CleanPlan,
    Garbage,
    KeepOptions,
    Known,
    LakeState,
    check_not_negative,
    is_record,
    owner_of,
    plan_clean,
)
from airkeep.snapshot.lake import Lake, LakePlace, open_lake
from airkeep.snapshot.manifest import Manifest, decode_manifest, encode, summarize
from airkeep.snapshot.names import SnapshotName
from airkeep.snapshot.pruned import marked
from airkeep.store.interface import UPLOADS, Entry, Store

GRACE = timedelta(hours=24)
_LOADERS = 16
_DELETED_AT_ONCE = 1000

_PLACES = ("tables/", "deleted/", "snapshots/", "index/", "jobs/", UPLOADS)


@dataclass(frozen=True)
class CleanResult:
    """What `clean` did; of a dry run, only the plan.

    Attributes:
        removed: snapshots whose manifest is deleted; their data goes after the grace.
        put_back: removed ones that an increment was made on meanwhile.
        deleted: files of garbage that are gone, and their bytes.
        spared: files of garbage whose manifest appeared meanwhile.
    """

    plan: CleanPlan
    dry_run: bool
    removed: tuple[str, ...] = ()
    put_back: tuple[str, ...] = ()
    deleted: int = 0
    bytes: int = 0
    spared: int = 0


def clean(
    lake: LakePlace,
    *,
    environment: str | None = None,
    keep: timedelta | None = None,
    keep_last: int | None = None,
    keep_daily: int | None = None,
    keep_weekly: int | None = None,
    keep_monthly: int | None = None,
    grace: timedelta = GRACE,
    dry_run: bool = False,
    now: datetime | None = None,
) -> CleanResult:
    """Remove garbage, and snapshots that no `keep` option names.

    Args:
        environment: only its snapshots and files; uploads and records of jobs stay.
        keep: with the other `keep_...`, see `KeepOptions`; without any, only garbage goes.
        grace: how old a file must be to be garbage. Longer than any export pauses.
        now: defaults to the store's own clock, whatever this machine's says; a dry run, which saves
            nothing, takes this machine's.

    Raises:
        ConfigError: an age or a number below 0.
        NoSuchSnapshotError: the lake has other environments only.
        StoreError: the lake could not be read, or not be written.
    """
    lake = open_lake(lake)
    check_not_negative("grace", grace)
    if environment is not None:
        lake.check_environment(environment)
    options = KeepOptions(keep, keep_last, keep_daily, keep_weekly, keep_monthly)
    now = now or (datetime.now(UTC) if dry_run else store_time(lake.store))
    state = read_state(lake, environment)
    plan = plan_clean(state, options, grace=grace, now=now)
    return CleanResult(plan, dry_run=True) if dry_run else run_clean(lake, plan)


def store_time(store: Store) -> datetime:
    """The store's clock: when it says that a file was saved just now."""
    path = f"{UPLOADS}{uuid.uuid4().hex}"
    store.save(path, b"what time is it?")
    try:
        return store.head(path).modified
    finally:
        store.delete([path])


# What is there.


def read_state(lake: Lake, environment: str | None = None) -> LakeState:
    """List the files, then list and read the manifests: never the other way round."""
    files = tuple(e for e in _list(lake, environment) if _is_ours(e.path, environment))
    found = lake.committed(environment)
    with ThreadPoolExecutor(_LOADERS) as pool:
        known = [k for k in pool.map(lambda name: _know(lake, name), found) if k is not None]
    holding = marked(e.path for e in files)
    known = [replace(k, pruned=True) if k.name in holding else k for k in known]
    warnings = [
        f"{k.name}: its manifest cannot be read, so it, its files and all older snapshots of "
        f"{k.name.environment} are kept"
        for k in known
        if not k.readable
    ]
    return LakeState(files, tuple(known), tuple(warnings))


def _list(lake: Lake, environment: str | None) -> Iterator[Entry]:
    if environment is None:
        for place in _PLACES:
            yield from lake.store.list(place)
        return
    tail = f"environment={environment}/"
    for kind in ("tables/", "deleted/"):
        for table in lake.store.folders(kind):
            yield from lake.store.list(f"{kind}{table}/{tail}")
    yield from lake.store.list(f"snapshots/{tail}")
    yield from lake.store.list(f"index/{tail}")


def _is_ours(path: str, environment: str | None) -> bool:
    if owner_of(path) is not None:
        return True
    return environment is None and (path.startswith(UPLOADS) or is_record(path))


def _know(lake: Lake, name: SnapshotName) -> Known | None:
    try:
        manifest = lake.get(name).manifest
    except (ManifestError, NewerFormatError):
        return Known(name, readable=False)
    except MissingFileError:
        return None  # removed since the listing, by another clean
    if (manifest.environment, manifest.id) != (name.environment, name.id):
        return Known(name, readable=False)
    return _known(manifest)


def _known(manifest: Manifest) -> Known:
    return Known(
        SnapshotName(manifest.environment, manifest.id),
        complete=manifest.complete,
        parent=SnapshotName(manifest.environment, manifest.parent.id) if manifest.parent else None,
        files=frozenset(f.path for f in manifest.files()),
    )


# Doing it.


def run_clean(lake: Lake, plan: CleanPlan) -> CleanResult:
    """Delete what the plan says; may be killed and run again at any moment."""
    removed: dict[SnapshotName, bytes] = {}
    for name in plan.remove:
        data = _remove(lake, name)
        if data is not None:
            removed[name] = data
    put_back = _put_back(lake, removed, {k.name for k in plan.kept})
    deleted, size, spared = _delete(lake, plan.garbage)
    return CleanResult(
        plan,
        dry_run=False,
        removed=tuple(str(n) for n in removed if n not in put_back),
        put_back=tuple(map(str, put_back)),
        deleted=deleted,
        bytes=size,
        spared=spared,
    )


def removed_path(name: SnapshotName) -> str:
    """Where a removed snapshot's manifest stays until its data goes."""
    return f"{names.snapshot_folder(name.environment, name.id)}/removed.json"


def _remove(lake: Lake, name: SnapshotName) -> bytes | None:
    store, path = lake.store, names.manifest_path(name.environment, name.id)
    try:
        data = store.load(path)
    except NotFoundError:
        return None
    try:
        store.save(removed_path(name), data)
    except AlreadySavedError:  # of a removal that was killed or undone: its age is not ours
        store.delete([removed_path(name)])
        store.save(removed_path(name), data)
    store.delete([names.index_path(name.environment, name.id)])
    store.delete([path])
    return data


def _put_back(
    lake: Lake, removed: Mapping[SnapshotName, bytes], seen: Collection[str]
) -> list[SnapshotName]:
    """Undo the removal of what a snapshot stands on that was committed since the plan."""
    put_back: list[SnapshotName] = []
    for environment in sorted({n.environment for n in removed}):
        new = [n for n in lake.committed(environment) if str(n) not in seen]
        wanted = [k.parent for name in new if (k := _know(lake, name)) is not None]
        while wanted:
            name = wanted.pop()
            if name is not None and name in removed and name not in put_back:
                put_back.append(name)
                wanted.append(_restore_manifest(lake, name, removed[name]).parent)
    return put_back


def _restore_manifest(lake: Lake, name: SnapshotName, data: bytes) -> Known:
    path = names.manifest_path(name.environment, name.id)
    manifest = decode_manifest(data, path)
    for document, at in (
        (data, path),
        (encode(summarize(manifest)), names.index_path(name.environment, name.id)),
    ):
        try:
            lake.store.save(at, document)
        except AlreadySavedError:
            continue
    return _known(manifest)


def _delete(lake: Lake, garbage: Sequence[Garbage]) -> tuple[int, int, int]:
    """Delete files; those of a snapshot without manifest only if it still has none."""
    owners = {owner_of(g.path) for g in garbage if g.orphan}
    with ThreadPoolExecutor(_LOADERS) as pool:
        free = dict(zip(owners, pool.map(lambda o: _is_free(lake, o), owners), strict=True))
    going = [g for g in garbage if not g.orphan or free[owner_of(g.path)]]
    # A snapshot's folder last: it tells what the rest was.
    going.sort(key=lambda g: g.path.startswith("snapshots/"))
    for start in range(0, len(going), _DELETED_AT_ONCE):
        lake.store.delete([g.path for g in going[start : start + _DELETED_AT_ONCE]])
    return len(going), sum(g.bytes for g in going), len(garbage) - len(going)


def _is_free(lake: Lake, owner: SnapshotName | None) -> bool:
    if owner is None:
        return True  # an upload, a record of a job
    try:
        lake.store.head(names.manifest_path(owner.environment, owner.id))
    except NotFoundError:
        return True
    return False
