"""Bring the secrets of a snapshot to another key: a new snapshot of the same instant.

A snapshot is never written again, so a new one is made beside it, full, a chain folded: the same
rows, but for the tokens in it. Every secret is opened before a byte is written; every table that is
written anew is read back from the lake and compared; all that was made is verified, and only then
the manifest is saved. The old one stays until somebody asks for its removal, by the same command. A
run that was killed leaves garbage, or the new snapshot: the next run makes it, or finds it. Where
that one was damaged since, it is passed over, and another is made.

See docs/decisions/0024-rekey.md for what else it might have been.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from airkeep.database.arrow import Spooler
from airkeep.database.limits import ReadLimits
from airkeep.errors import MissingKeyError, RekeyError, SnapshotError
from airkeep.lake.folded import copy_table, is_whole, save_folded
from airkeep.rekey.plan import RekeyPlan, fernet_ring
from airkeep.rekey.removal import check_removable, holds_pruned
from airkeep.rekey.removal import remove_old as remove
from airkeep.snapshot import manifest as m
from airkeep.snapshot import names
from airkeep.snapshot.compare import side_of
from airkeep.snapshot.fold import Layer, fold
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Lake, LakePlace, Snapshot, open_lake
from airkeep.snapshot.match import compare_sides
from airkeep.snapshot.opener import Keys, Opener
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.read import SnapshotReader, bring
from airkeep.snapshot.rotate import Rotation
from airkeep.snapshot.seal import ARCHIVE_KEY, Keyring, open_keyring
from airkeep.snapshot.write import SnapshotWriter
from airkeep.tables.secrets import Secret

if TYPE_CHECKING:
    import pyarrow as pa

_NEAR = 1000  # ids that a new snapshot moves on by at most


@dataclass(frozen=True)
class SnapshotRekeyed:
    """What was done.

    Attributes:
        old, made: names; `made` is None for a dry run, and where there was nothing to do.
        found: it had been made by an earlier run.
        damaged: what earlier runs had made; they were passed over, and are still there.
        beneath: snapshots that the old one stands on: they are under the old key, too.
        removed: the old one's manifest is gone.
        pruned: the old one holds rows that a prune deleted, so it cannot be removed.
    """

    plan: RekeyPlan
    old: str
    made: str | None = None
    found: bool = False
    beneath: tuple[str, ...] = ()
    removed: bool = False
    pruned: bool = False
    damaged: tuple[str, ...] = ()
    rows: int = 0
    took_s: float = 0.0
    dry_run: bool = False


def rekey_snapshot(
    lake: LakePlace,
    snapshot: str | Snapshot,
    *,
    fernet_key: str | None = None,
    source_fernet_key: str | None = None,
    archive_key: str | None = None,
    dry_run: bool = False,
    remove_old: bool = False,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> SnapshotRekeyed:
    """Make a snapshot with the same contents, its secrets under another key.

    Args:
        fernet_key: for kept secrets: the new key, those behind a comma open.
        source_fernet_key: more keys that open kept secrets.
        archive_key: for sealed secrets: the new key, those behind a comma open.
        dry_run: only open every secret, and see whether what is to be removed can be.
        remove_old: when the new one has verified, remove the old one's manifest, as `clean` does.

    Raises:
        DecryptError: values that no given key opens, all by name; nothing was written.
        MissingKeyError: no new key.
        RekeyError: no secret of the snapshot is encrypted, or others stand on the one to remove.
        AirkeepError: see `airkeep.errors`; the lake holds what it held.
    """
    began, opened, limits = monotonic(), open_lake(lake), limits or ReadLimits()
    old = opened.find(snapshot) if isinstance(snapshot, str) else snapshot
    ring = _ring(old, fernet_key, source_fernet_key, archive_key)
    beneath = tuple(str(one.name) for one in old.chain()[1:])
    with private_folder(spool) as folder:
        run = _Rekey(old, ring, folder, limits, progress)
        plan = run.plan()
        result = SnapshotRekeyed(plan, str(old.name), beneath=beneath, dry_run=dry_run)
        if dry_run:
            if remove_old and plan.old and not plan.unreadable:
                check_removable(opened, old.name)
            return result
        plan.check()
        if not plan.old:
            return result
        if remove_old:
            check_removable(opened, old.name)
        found, damaged = run.find(_made(opened, old, ring))
        new = found or run.make()
    removed = remove_old and remove(opened, old.name)
    return replace(
        result,
        made=str(new.name),
        found=found is not None,
        damaged=damaged,
        removed=removed,
        pruned=not removed and holds_pruned(opened, old.name),
        rows=new.manifest.rows,
        took_s=round(monotonic() - began, 3),
    )


def _ring(
    old: Snapshot,
    fernet_key: str | None,
    source_fernet_key: str | None,
    archive_key: str | None,
) -> Keyring:
    mode = old.manifest.secrets.mode
    if mode == "keep":
        return fernet_ring(fernet_key, source_fernet_key)
    if mode != "seal":
        raise RekeyError(
            f"{old.name} was made with --secrets {mode}: nothing in it is encrypted, so there is "
            f"no key to change"
        )
    ring = open_keyring(archive_key, variable=ARCHIVE_KEY)
    if ring is None:
        raise MissingKeyError(
            f"{old.name} is sealed: set AIRKEEP_ARCHIVE_KEY to the new key, with the old one "
            f"behind a comma (make one with: airkeep key)"
        )
    return ring


def _made(lake: Lake, old: Snapshot, ring: Keyring) -> Iterator[Snapshot]:
    """What earlier runs made of the same bytes for the same key, the newest first."""
    last = old.id
    for _ in range(_NEAR):
        last = names.next_id(last)
    for name in lake.committed(old.environment):
        if old.id < name.id <= last:
            try:
                entry = lake.get(name).manifest.rekeyed
            except SnapshotError:  # whatever it was: another one is made
                continue
            if entry is not None and (entry.id, entry.manifest_sha256, entry.key) == (
                old.id,
                old.manifest_sha256,
                ring.fingerprints[0],
            ):
                yield lake.get(name)


class _Rekey:
    """One snapshot; its methods are its steps, in order."""

    def __init__(
        self, old: Snapshot, ring: Keyring, folder: Path, limits: ReadLimits, progress: Progress
    ) -> None:
        self.old, self.ring, self.folder, self.limits = old, ring, folder, limits
        self.progress, self.mode = progress, old.manifest.secrets.mode

    def reader(self) -> SnapshotReader:
        return SnapshotReader(
            self.old,
            folder=self.folder,
            memory_bytes=self.limits.memory_bytes,
            threads=self.limits.threads,
        )

    def secrets(self, entry: m.TableEntry) -> tuple[Secret, ...]:
        if entry.schema != self.old.manifest.main_schema:
            return ()
        return Rotation(self.ring, self.mode).secrets(entry.name, [c.name for c in entry.columns])

    def plan(self) -> RekeyPlan:
        """Open every secret."""
        rotation = Rotation(self.ring, self.mode)
        with self.reader() as back:
            for entry in self.old.tables:
                if secrets := self.secrets(entry):
                    self.progress(Step(f"opening {entry.label}", 0, 0))
                    for batch in back.batches(entry.label):
                        rotation.treat(batch, entry.label, secrets)
        return RekeyPlan(
            str(self.old.name),
            self.ring.fingerprints[0],
            self.ring.variable,
            rotation.columns(),
        )

    def find(self, made: Iterable[Snapshot]) -> tuple[Snapshot | None, tuple[str, ...]]:
        """The first that is whole, and the names of those that are not."""
        damaged: list[str] = []
        for one in made:
            if is_whole(one, folder=self.folder, limits=self.limits, progress=self.progress):
                return one, tuple(damaged)
            damaged.append(str(one.name))
        return None, tuple(damaged)

    def make(self) -> Snapshot:
        """Write the new one, verify it, save its manifest last."""
        chain = self.old.chain()
        secrets = replace(
            self.old.manifest.secrets,
            archive_keys=self.ring.fingerprints[:1] if self.mode == "seal" else (),
            plain_values=sum(one.manifest.secrets.plain_values for one in chain),
        )
        return save_folded(
            self.old,
            self.table,
            folder=self.folder,
            limits=self.limits,
            progress=self.progress,
            secrets=secrets,
            compacted=None,
            rekeyed=m.RekeyedEntry(
                self.old.id,
                self.old.manifest_sha256,
                tuple(one.id for one in chain),
                self.ring.fingerprints[0],
            ),
        )

    def table(
        self, entry: m.TableEntry, back: SnapshotReader, writer: SnapshotWriter
    ) -> m.TableEntry:
        if secrets := self.secrets(entry):
            return self.turned(entry, secrets, back, writer)
        return copy_table(entry, back, writer, self.folder, self.limits)

    def turned(
        self,
        entry: m.TableEntry,
        secrets: tuple[Secret, ...],
        back: SnapshotReader,
        writer: SnapshotWriter,
    ) -> m.TableEntry:
        """The table with its secrets under the new key, read back from the lake and compared."""
        rotation = Rotation(self.ring, self.mode)
        layers = back.fetch(entry.label)
        try:
            rows = back.arrow(fold(layers), doing=f"reading {entry.label}")
            treated = (rotation.treat(batch, entry.label, secrets) for batch in rows)
            files = tuple(self.saved(entry, rows.schema, treated, writer)) if entry.rows else ()
            made = replace(entry, files=files, whole=True, deleted=(), deleted_rows=0)
            self.prove(made, layers, rotation, back)
        finally:
            back.drop(layers)
        return made

    def saved(
        self,
        entry: m.TableEntry,
        schema: pa.Schema,
        batches: Iterator[pa.RecordBatch],
        writer: SnapshotWriter,
    ) -> Iterator[m.FileEntry]:
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_batches(schema, batches)
        with (
            private_folder(self.folder) as folder,
            Spooler(folder, self.limits) as spooler,
        ):
            for made in spooler.spool(reader, what=entry.label):
                yield writer.save(entry.label, made.path, made.rows)
                made.path.unlink()

    def prove(
        self, made: m.TableEntry, before: list[Layer], rotation: Rotation, back: SnapshotReader
    ) -> None:
        """Read the new files back: the new key alone opens them, and nothing else differs."""
        with private_folder(self.folder) as folder:
            brought = [folder / f"{n}.parquet" for n in range(len(made.files))]
            for file, path in zip(made.files, brought, strict=True):
                bring(self.old.store, file, path)
            query = fold([Layer(made, tuple(brought), ())])
            after = Rotation(self.ring.first, self.mode)
            for batch in back.arrow(query, doing=f"reading {made.label} back"):
                after.treat(batch, made.label, self.secrets(made))
            opener = Opener(Keys(self.ring, self.ring))
            rows = compare_sides(
                back.db,
                side_of(fold(before), self.old.manifest, made),
                side_of(query, self.old.manifest, made),
                label=made.label,
                opener=opener,
                modes=(self.mode, self.mode),
            )
        same = rows.equal == rows.here == rows.there == made.rows and not rows.not_compared
        if not same or opener.failed or after.contents != rotation.contents:
            raise RekeyError(
                f"{self.old.name}: {made.label} would not have been the same under another key "
                f"({rows.equal} of {made.rows} rows equal), so no snapshot was made; `airkeep "
                f"verify` says whether the old one is damaged"
            )
