"""Put a snapshot back: everything in one transaction, or nothing.

Looked at first: the target's tables and rows, without a lock that a writer would wait for, since
the target may be a living database by mistake. Then the plan; a dry run ends there. Then the same
again under locks that keep other writers out, tables in the plan's order, sequences, and the
commit. A file's sha256 is compared before its rows go anywhere, so a damaged snapshot changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from airkeep.database.address import Address, DatabasePlace, open_address
from airkeep.database.catalog import Catalog
from airkeep.database.limits import ReadLimits
from airkeep.errors import NotAirflowError, NotEmptyError, RestoreError
from airkeep.restore.fresh import TargetTable
from airkeep.restore.plan import RestorePlan, plan_restore
from airkeep.restore.rows import TableRows
from airkeep.restore.secrets import held_by, try_secrets
from airkeep.restore.target import Target, open_target
from airkeep.snapshot.choose import choose_entries
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import LakePlace, Snapshot, open_lake
from airkeep.snapshot.manifest import TableEntry
from airkeep.snapshot.names import SnapshotName
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.read import SnapshotReader, bring
from airkeep.snapshot.seal import ARCHIVE_KEY, OLD_KEY, TARGET_KEY, SecretsBack, open_keyring


@dataclass(frozen=True)
class RestoreResult:
    """What was done; `took_s` is 0 for a dry run, `notes` is what people should know."""

    plan: RestorePlan
    rows: int
    took_s: float
    dry_run: bool = False
    notes: tuple[str, ...] = ()


def restore(
    lake: LakePlace,
    snapshot: str | Snapshot,
    database: DatabasePlace,
    *,
    dry_run: bool = False,
    create_schema: bool = False,
    tables: Sequence[str] = (),
    skip: Sequence[str] = (),
    fernet_key: str | None = None,
    source_fernet_key: str | None = None,
    archive_key: str | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> RestoreResult:
    """Restore a snapshot into an empty or freshly migrated database of the same revision.

    Args:
        snapshot: a name (`latest`, `prod/2026...`, see `Lake`), or a `Snapshot`.
        dry_run: only plan.
        create_schema: the target has no tables; make them as the source had them.
        tables: only these; empty means all.
        fernet_key: the target's, for sealed and plain secrets, and for kept ones of another key.
        source_fernet_key: what kept secrets are encrypted with, where that is not the target's.
        archive_key: what the snapshot was sealed with.

    Raises:
        AirkeepError: see `airkeep.errors`; the target is as it was.
    """
    lake = open_lake(lake)
    over: list[SnapshotName] = []
    if isinstance(snapshot, str):
        found = lake.find(snapshot, complete=True, passed_over=over)
    else:
        found = snapshot
    address = open_address(database)
    back = SecretsBack(
        found.manifest.secrets.mode,
        open_keyring(archive_key, variable=ARCHIVE_KEY),
        open_keyring(fernet_key, variable=TARGET_KEY),
        open_keyring(source_fernet_key, variable=OLD_KEY),
    )
    if address.kind != found.manifest.server.engine:
        engine = found.manifest.server.engine
        raise RestoreError(
            f"the snapshot is of {engine}, {address} is {address.kind}: restore it into {engine}"
        )
    limits = limits or ReadLimits()
    with private_folder(spool) as folder:
        run = _Restore(found, address, back, folder, limits, progress)
        result = run.run(tables, skip, create_schema=create_schema, dry_run=dry_run)
    passed = tuple(f"passed over {name}: it is not complete" for name in over)
    return replace(result, notes=(*passed, *result.notes))


class _Restore:
    """One run; its methods are its steps, in order."""

    def __init__(
        self,
        snapshot: Snapshot,
        address: Address,
        back: SecretsBack,
        folder: Path,
        limits: ReadLimits,
        progress: Progress,
    ) -> None:
        self.snapshot, self.address, self.back = snapshot, address, back
        self.folder, self.limits, self.progress = folder, limits, progress
        self.rows = 0

    def run(
        self, tables: Sequence[str], skip: Sequence[str], *, create_schema: bool, dry_run: bool
    ) -> RestoreResult:
        began = monotonic()
        entries = choose_entries(self.snapshot.manifest, tables, skip)
        with open_target(self.address, self.folder, self.limits) as target:
            plan = self.plan(target, entries, create_schema=create_schema)
            filled = {fate.label for fate in plan.tables if fate.rows}
            told = try_secrets(
                self.snapshot,
                [entry for entry in entries if entry.label in filled],
                self.back,
                folder=self.folder,
                limits=self.limits,
            )
            if dry_run:
                return RestoreResult(plan, plan.rows, 0.0, dry_run=True, notes=told)
            target.begin()
            plan = self.plan(target, entries, create_schema=create_schema, lock=True)
            notes = self.load(target, plan, entries)
            self.progress(Step("committing", self.rows, plan.rows))
            target.commit()
        took_s = round(monotonic() - began, 3)
        return RestoreResult(plan, self.rows, took_s, notes=(*told, *notes))

    def plan(
        self,
        target: Target,
        entries: Sequence[TableEntry],
        *,
        create_schema: bool,
        lock: bool = False,
    ) -> RestorePlan:
        catalog = self.catalog(target, create_schema=create_schema)
        found: dict[str, TargetTable] = {}
        if catalog is not None and not create_schema:
            wanted = {e.label for e in entries}
            tables = [t for t in catalog.tables if catalog.label(t) in wanted]
            if lock:
                target.lock(tables)
            looked = target.look(tables)
            found = {catalog.label(t): seen for t, seen in zip(tables, looked, strict=True)}
        return plan_restore(
            self.snapshot.manifest,
            entries,
            target=str(self.address),
            catalog=catalog,
            found=found,
            create_schema=create_schema,
        )

    def catalog(self, target: Target, *, create_schema: bool) -> Catalog | None:
        try:
            return target.catalog()
        except NotAirflowError:
            if not create_schema:
                raise
            raise NotEmptyError(
                f"{self.address} has tables of something else already: --create-schema needs an "
                f"empty database. Name another one."
            ) from None

    def load(
        self, target: Target, plan: RestorePlan, entries: Sequence[TableEntry]
    ) -> tuple[str, ...]:
        by_label = {e.label: e for e in entries}
        if plan.create_schema:
            target.create(self.schema_sql())
        catalog = target.catalog()
        if catalog is None:
            raise RestoreError(f"{self.address}: the tables were not made")
        tables = catalog.by_label()
        target.begin_loading(plan)
        for fate in reversed(plan.tables):
            if fate.defaults:
                target.clear(tables[fate.label])
        with SnapshotReader(
            self.snapshot,
            folder=self.folder,
            memory_bytes=self.limits.memory_bytes,
            threads=self.limits.threads,
        ) as reader:
            for fate in plan.tables:
                self.progress(Step(fate.label, self.rows, plan.rows))
                if fate.rows:
                    entry = by_label[fate.label]
                    secrets = held_by(entry, self.snapshot.manifest)
                    rows = TableRows(
                        reader, entry, self.back, secrets, self.teller(entry, plan.rows)
                    )
                    target.load(tables[fate.label], rows)
                    self.check_count(entry, rows.count)
        ending = "building keys and indexes" if plan.create_schema else "setting sequences"
        self.progress(Step(ending, self.rows, plan.rows))
        notes = target.finish(plan)
        target.set_sequences(self.snapshot.manifest.sequences, by_label)
        return notes

    def teller(self, entry: TableEntry, expected: int) -> Callable[[int], None]:
        """Tells how far one table is."""
        before = self.rows
        return lambda count: self.progress(Step(entry.label, before + count, expected))

    def check_count(self, entry: TableEntry, rows: int) -> None:
        if rows != entry.rows:
            raise RestoreError(
                f"{entry.label} has {rows} rows, its manifest says {entry.rows}: "
                f"run verify on this snapshot"
            )
        self.rows += rows

    def schema_sql(self) -> str:
        local = self.folder / "schema.sql"
        bring(self.snapshot.store, self.snapshot.manifest.schema_sql, local)
        return local.read_text(encoding="utf-8")
