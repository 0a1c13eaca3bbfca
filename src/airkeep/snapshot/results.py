"""What verifying gives: the problems, the result, and its record beside the manifest.

A record is saved create-if-absent as `verified/<time>.json`, for listings and gates. It speaks of
one manifest, named by its sha256.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

import msgspec

from airkeep.errors import (
    AlreadySavedError,
    DamagedFileError,
    ManifestError,
    MissingFileError,
    NewerFormatError,
    NotFoundError,
    SnapshotError,
    StoreError,
)
from airkeep.snapshot import names
from airkeep.snapshot.decode import decode
from airkeep.snapshot.lake import Load
from airkeep.snapshot.names import SnapshotName
from airkeep.store.interface import Store

Kind = Literal["damaged", "missing", "newer", "manifest"]
Depth = Literal["full", "sample"]

_STATUS: Final[Mapping[Kind, int]] = {
    "damaged": DamagedFileError.exit_status,
    "missing": MissingFileError.exit_status,
    "newer": NewerFormatError.exit_status,
    "manifest": ManifestError.exit_status,
}
_OWNER = re.compile(r"/environment=(?P<environment>[^/]+)/(?:snapshot=)?(?P<id>[^/]+)/")
_LOADERS = 8  # requests in flight: a small file from S3 is 30 ms of waiting
_ATTEMPTS = 10
_RECORDED = 100  # problems in a record; a lake that lost a disk has thousands


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file of the lake, or with one table (`path` is its folder)."""

    path: str
    what: str
    kind: Kind


def gravest(problems: Sequence[Problem]) -> Problem:
    """The first of those that give the status: damaged before missing before unreadable."""
    return min(problems, key=lambda p: _STATUS[p.kind])


def status_of(problems: Sequence[Problem]) -> int:
    """0, or the status of the gravest problem."""
    return _STATUS[gravest(problems).kind] if problems else 0


def said_of(path: str, error: SnapshotError) -> str:
    """What an error says of a path, as a problem's `what`: the path stands before it there."""
    return str(error).removeprefix(f"{path} ").removesuffix(".")


@dataclass(frozen=True)
class VerifyResult:
    """What a verification read and found.

    Attributes:
        chain: the ids that were looked at, the snapshot's own first.
        seed: what the sample was drawn with, so that it can be drawn again.
        files: how many there should be; `read` of them were read and hashed.
        rows: of the tables whose fold was counted.
        record: where this result was saved; None where it could not be, and `note` says why.
    """

    environment: str
    id: str
    manifest_sha256: str | None
    depth: Depth
    ok: bool
    problems: tuple[Problem, ...]
    chain: tuple[str, ...]
    files: int
    read: int
    bytes: int
    rows: int
    at: datetime
    airkeep: str
    share: float | None = None
    seed: int | None = None
    record: str | None = None
    note: str | None = None

    @property
    def exit_status(self) -> int:
        return status_of(self.problems)


@dataclass(frozen=True)
class Verified:
    """A saved result: what `verified/<time>.json` holds."""

    manifest_sha256: str
    depth: Depth
    ok: bool
    at: datetime
    airkeep: str
    files: int
    read: int
    share: float | None = None
    seed: int | None = None
    problems: tuple[Problem, ...] = ()


def save_result(store: Store, result: VerifyResult) -> VerifyResult:
    """Save the result beside the manifest, and say where, or why that could not be."""
    if result.manifest_sha256 is None:
        return replace(result, note="not recorded: there is no manifest")
    data = msgspec.json.format(msgspec.json.encode(_verified(result)), indent=1) + b"\n"
    stem = names.make_id(result.at)
    for _ in range(_ATTEMPTS):
        path = names.verified_path(result.environment, result.id, names.id_time(stem))
        try:
            store.save(path, data)
        except AlreadySavedError:
            stem = names.next_id(stem)
        except StoreError as error:
            return replace(result, note=f"not recorded: {error}")
        else:
            return replace(result, record=path)
    return replace(result, note="not recorded: other verifications save all the time")


def _verified(result: VerifyResult) -> Verified:
    return Verified(
        manifest_sha256=result.manifest_sha256 or "",
        depth=result.depth,
        ok=result.ok,
        at=result.at,
        airkeep=result.airkeep,
        files=result.files,
        read=result.read,
        share=result.share,
        seed=result.seed,
        problems=result.problems[:_RECORDED],
    )


def newest_verified(
    store: Store, name: SnapshotName, *, load: Load | None = None
) -> Verified | None:
    """The newest saved result of a snapshot; None when it was never verified.

    Whether it speaks of the manifest that is there now is for the caller to compare
    (`manifest_sha256`): a listing reads no manifests.
    """
    folder = names.snapshot_folder(name.environment, name.id) + "/verified/"
    for path in sorted((e.path for e in store.list(folder)), reverse=True):
        try:
            return decode((load or store.load)(path), Verified)
        except (msgspec.MsgspecError, UnicodeDecodeError, NotFoundError):
            continue
    return None


def newest_verified_of(
    store: Store, wanted: Sequence[SnapshotName], *, load: Load | None = None
) -> list[Verified | None]:
    """`newest_verified` of several, at once."""
    with ThreadPoolExecutor(_LOADERS) as pool:
        return list(pool.map(lambda name: newest_verified(store, name, load=load), wanted))


def states(wanted: Sequence[SnapshotName], found: Sequence[Verified | None]) -> list[str]:
    """`state` of each.

    A snapshot is damaged, too, where somebody verified an increment upon it after it was verified
    itself, and found a file of this one to be.
    """
    blamed: dict[SnapshotName, datetime] = {}
    for record in (one for one in found if one is not None):
        for owner in filter(None, (_OWNER.search(problem.path) for problem in record.problems)):
            name = SnapshotName(owner["environment"], owner["id"])
            blamed[name] = max(record.at, blamed.get(name, record.at))
    return [
        "damaged" if name in blamed and (one is None or blamed[name] > one.at) else state(one)
        for name, one in zip(wanted, found, strict=True)
    ]


def state(verified: Verified | None) -> str:
    """What a listing says: `verified 2026-11-21`, `sampled 2026-11-21`, `damaged`, `-`."""
    if verified is None:
        return "-"
    if not verified.ok:
        return "damaged"
    word = "verified" if verified.depth == "full" else "sampled"
    return f"{word} {verified.at:%Y-%m-%d}"
