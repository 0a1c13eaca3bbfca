"""Fold a chain into one full snapshot of equal content, and let the chain go after that.

The order keeps the data safe: files are saved, read back from the lake and compared with the folded
chain, row by row; then the new snapshot is verified as `verify` does, then its manifest is saved;
only then the old manifests go, as `clean` removes them (their data after the grace). A run
that is killed leaves the chain, or the chain and the full snapshot: the next run verifies that one
and goes on there, or passes over it and makes another.

The new snapshot is the tip at the same instant: its lineage is the tip's, so the next increment
stands on it. What the older snapshots of the chain knew beyond the tip, the points in time between,
is gone with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from airkeep.database.limits import ReadLimits
from airkeep.errors import DamagedFileError, MissingFileError, SnapshotError
from airkeep.lake.compact_plan import CompactPlan, Fold, plan_compact
from airkeep.lake.folded import copy_table, is_whole, save_folded
from airkeep.snapshot import manifest as m
from airkeep.snapshot.clean import run_clean
from airkeep.snapshot.clean_plan import CleanPlan, Kept
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Lake, LakePlace, Snapshot, open_lake
from airkeep.snapshot.names import SnapshotName
from airkeep.snapshot.progress import Progress, silent
from airkeep.snapshot.pruned import marked
from airkeep.snapshot.read import SnapshotReader
from airkeep.snapshot.write import SnapshotWriter

_LOADERS = 16
_ADVICE = "The chain stays as it is: bring the file back from a copy, or make a full export."


@dataclass(frozen=True)
class Compacted:
    """One chain that is a full snapshot now.

    Attributes:
        removed: the old snapshots whose manifests are gone.
        put_back: those of them that an increment was made on meanwhile.
        damaged: what an earlier run had made of it; it was passed over, and is still there.
        files, bytes: of the chain before and of the snapshot after.
    """

    snapshot: str
    removed: tuple[str, ...]
    put_back: tuple[str, ...]
    rows: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    damaged: str | None = None


@dataclass(frozen=True)
class CompactResult:
    """What `compact` did; of a dry run, only the plan."""

    plan: CompactPlan
    dry_run: bool
    compacted: tuple[Compacted, ...] = ()


def compact(
    lake: LakePlace,
    *,
    environment: str | None = None,
    dry_run: bool = False,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> CompactResult:
    """Fold chains of increments, and tables in many small files, into full snapshots.

    Args:
        environment: only its snapshots.

    Raises:
        SnapshotError: a chain cannot be read whole: it stays as it is.
        ExportError: what was made of it is not the same, or did not verify: the chain stays.
        NoSuchSnapshotError: the lake has other environments only.
        StoreError: the lake could not be read or written.
    """
    opened = open_lake(lake)
    limits = limits or ReadLimits()
    if environment is not None:
        opened.check_environment(environment)
    known, unreadable = _read(opened, environment)
    folder_of = "snapshots/" if environment is None else f"snapshots/environment={environment}/"
    pruned = marked(entry.path for entry in opened.store.list(folder_of))
    plan = plan_compact(known.values(), unreadable, pruned)
    if dry_run:
        return CompactResult(plan, dry_run=True)
    done = []
    for one in plan.folds:
        with private_folder(spool) as folder, _advised():
            run = _Compaction(opened, one, folder, limits, progress)
            made = run.snapshot(known)
            done.append(run.replace_with(made, [*known, *unreadable], known))
    return CompactResult(plan, dry_run=False, compacted=tuple(done))


def _read(
    lake: Lake, environment: str | None
) -> tuple[dict[SnapshotName, m.Manifest], list[SnapshotName]]:
    wanted = lake.committed(environment)

    def load(name: SnapshotName) -> m.Manifest | None:
        try:
            return lake.manifest(name)
        except SnapshotError:
            return None

    with ThreadPoolExecutor(_LOADERS) as pool:
        found = dict(zip(wanted, pool.map(load, wanted), strict=True))
    known = {name: manifest for name, manifest in found.items() if manifest is not None}
    return known, [name for name in wanted if name not in known]


@contextmanager
def _advised() -> Iterator[None]:
    """What else to do about a chain that is damaged than a restore may: no table is left out."""
    try:
        yield
    except DamagedFileError as error:
        raise DamagedFileError(
            error.path, expected=error.expected, found=error.found, advice=_ADVICE
        ) from None
    except MissingFileError as error:
        told = f"{error.path} is named by its manifest and is not in the lake. {_ADVICE}"
        raise MissingFileError(error.path, told) from None


class _Compaction:
    """One chain; its methods are its steps, in order."""

    def __init__(
        self, lake: Lake, plan: Fold, folder: Path, limits: ReadLimits, progress: Progress
    ) -> None:
        self.lake, self.plan, self.folder, self.limits = lake, plan, folder, limits
        self.progress = progress
        self.tip = lake.get(plan.tip)
        self.damaged: str | None = None

    def snapshot(self, known: dict[SnapshotName, m.Manifest]) -> Snapshot:
        """The full snapshot, verified: made now, or by a run that ended too early."""
        if self.plan.made is not None:
            made = self.lake.get(self.plan.made)
            if is_whole(made, folder=self.folder, limits=self.limits, progress=self.progress):
                return made
            self.damaged = str(made.name)
        tip = self.tip.manifest
        plain = sum(known[name].secrets.plain_values for name in self.plan.chain)
        return save_folded(
            self.tip,
            self._copy,
            folder=self.folder,
            limits=self.limits,
            progress=self.progress,
            secrets=replace(tip.secrets, plain_values=plain),
            compacted=m.CompactedEntry(
                tip.id, self.tip.manifest_sha256, tuple(n.id for n in self.plan.chain)
            ),
        )

    def _copy(
        self, entry: m.TableEntry, back: SnapshotReader, writer: SnapshotWriter
    ) -> m.TableEntry:
        return copy_table(entry, back, writer, self.folder, self.limits)

    def replace_with(
        self,
        made: Snapshot,
        there: Sequence[SnapshotName],
        known: dict[SnapshotName, m.Manifest],
    ) -> Compacted:
        """Remove the chain, children first."""
        kept = tuple(Kept(str(n), ()) for n in (*there, made.name) if n not in self.plan.chain)
        result = run_clean(self.lake, CleanPlan(self.plan.chain, kept, (), (), ()))
        old = [known[name] for name in self.plan.chain]
        return Compacted(
            snapshot=str(made.name),
            removed=result.removed,
            put_back=result.put_back,
            rows=made.manifest.rows,
            files_before=_total(old, lambda one: len(one.files()) - 1),
            files_after=len(made.manifest.files()) - 1,
            bytes_before=_total(old, lambda one: one.bytes),
            bytes_after=made.manifest.bytes,
            damaged=self.damaged,
        )


def _total(manifests: Sequence[m.Manifest], of: Callable[[m.Manifest], int]) -> int:
    return sum(map(of, manifests))
