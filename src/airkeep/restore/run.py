"""Put a snapshot back: everything in one transaction, or nothing.

Looked at first: the target's tables and rows, without a lock that a writer would wait for, since
the target may be a living database by mistake. Then the plan; a dry run ends there. Then the same
again under locks that keep other writers out, tables in the plan's order, sequences, and the
commit. A file's sha256 is compared before its rows go anywhere, so a damaged snapshot changes
nothing. A target that is in use on purpose goes another way: see `living`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

from airkeep.database.address import Address, DatabasePlace, open_address
from airkeep.database.catalog import Catalog, Table
from airkeep.database.limits import ReadLimits
from airkeep.database.sql import qualified
from airkeep.errors import NotAirflowError, NotEmptyError, RestoreError
from airkeep.restore.fresh import TargetTable
from airkeep.restore.inflight import InFlight, Outcome
from airkeep.restore.living import Living, Wish
from airkeep.restore.merge_plan import Only, Policy, read_policies
from airkeep.restore.plan import RestorePlan, plan_restore
from airkeep.restore.quiet import MissedRuns
from airkeep.restore.source import Source
from airkeep.restore.target import Target, open_target
from airkeep.restore.wake import Wake, columns_of, foresee, instant, settle, start_quietly
from airkeep.snapshot.choose import choose_entries, named
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import LakePlace, Snapshot, open_lake
from airkeep.snapshot.manifest import TableEntry, UpgradedEntry
from airkeep.snapshot.names import SnapshotName
from airkeep.snapshot.progress import Progress, silent
from airkeep.snapshot.seal import ARCHIVE_KEY, OLD_KEY, TARGET_KEY, SecretsBack, open_keyring


@dataclass(frozen=True)
class RestoreResult:
    """What was done; `took_s` is 0 for a dry run, `notes` is what people should know.

    Attributes:
        locked_s: how long a target in use had its tables locked, or waited to have them so.
        outcomes: what became of runs and tasks in flight, and how DAGs wake.
        upgraded: of `restore_upgraded`, what became of the tables, and what was proved.
    """

    plan: RestorePlan
    rows: int
    took_s: float
    dry_run: bool = False
    notes: tuple[str, ...] = ()
    locked_s: float = 0.0
    outcomes: tuple[Outcome, ...] = ()
    upgraded: UpgradedEntry | None = None


def restore(
    lake: LakePlace,
    snapshot: str | Snapshot,
    database: DatabasePlace,
    *,
    dry_run: bool = False,
    create_schema: bool = False,
    tables: Sequence[str] = (),
    skip: Sequence[str] = (),
    on_conflict: str | None = None,
    only: Only = "all",
    in_flight: InFlight = "fail",
    active: Collection[str] | None = None,
    missed_runs: MissedRuns = "skip",
    fernet_key: str | None = None,
    source_fernet_key: str | None = None,
    archive_key: str | None = None,
    back: SecretsBack | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> RestoreResult:
    """Restore a snapshot into a database of the same revision: empty, fresh, or in use.

    Args:
        snapshot: a name (`latest`, `prod/2026...`, see `Lake`), or a `Snapshot`.
        dry_run: only plan.
        create_schema: the target has no tables; make them as the source had them.
        tables: only these; empty means all.
        on_conflict: what becomes of rows that the target has with other content: `fail`, `skip` or
            `replace`, for all or by class of table (`skip,history=replace`). None: a target that
            is in use is refused.
        only: the tables of one class, and the rows of others that theirs point at.
        in_flight: what becomes of runs and tasks that the snapshot caught unfinished: they `fail`
            at the snapshot's instant, are cleared to run again, or are kept as they were.
        active: the DAGs that are to be unpaused, and no others of the snapshot; None: those that
            were so at the snapshot.
        missed_runs: `skip`: for each active DAG of which a run fell due since, one run is added
            that stands for that time, so that a scheduler starts with the next; `make`: it makes
            them as it sees fit.
        fernet_key: the target's, for sealed and plain secrets, and for kept ones of another key.
        source_fernet_key: what kept secrets are encrypted with, where that is not the target's.
        archive_key: what the snapshot was sealed with.
        back: what is done with secrets, where it is not the snapshot's own way with these keys.

    Raises:
        AirkeepError: see `airkeep.errors`; the target is as it was.
    """
    policies = None if on_conflict is None else read_policies(on_conflict)
    wish = Wish(named(tables), named(skip), only, policies)
    lake = open_lake(lake)
    over: list[SnapshotName] = []
    if isinstance(snapshot, str):
        found = lake.find(snapshot, complete=True, passed_over=over)
    else:
        found = snapshot
    address = open_address(database)
    back = back or SecretsBack(
        found.manifest.secrets.mode,
        open_keyring(archive_key, variable=ARCHIVE_KEY),
        open_keyring(fernet_key, variable=TARGET_KEY),
        open_keyring(source_fernet_key, variable=OLD_KEY),
    )
    engine = found.manifest.server.engine
    if address.kind != engine and (address.kind == "sqlite" or create_schema):
        into = engine + (" or a migrated PostgreSQL" if engine == "sqlite" else "")
        raise RestoreError(
            f"the snapshot is of {engine}, {address} is {address.kind}: restore it into {into}"
            + (", without --create-schema" if create_schema and engine == "sqlite" else "")
        )
    limits = limits or ReadLimits()
    with private_folder(spool) as folder, open_target(address, folder, limits) as target:
        wake = Wake(in_flight, None if active is None else tuple(active), missed_runs)
        run = _Restore(Source(found, back, folder, limits, progress), address, target, wake)
        result = run.run(wish, create_schema=create_schema, dry_run=dry_run)
    passed = tuple(f"passed over {name}: it is not complete" for name in over)
    return replace(result, notes=(*passed, *result.notes))


class _Restore:
    """One run; its methods are its steps, in order."""

    def __init__(self, source: Source, address: Address, target: Target, wake: Wake) -> None:
        self.source, self.address, self.target = source, address, target
        self.wake = wake
        self.outcomes: tuple[Outcome, ...] = ()

    def run(self, wish: Wish, *, create_schema: bool, dry_run: bool) -> RestoreResult:
        began = monotonic()
        entries = choose_entries(self.source.manifest, wish.tables, wish.skip)
        policies = None if create_schema else self.living(wish, entries)
        if policies is not None:
            result = self.merge(wish, policies, dry_run=dry_run)
        else:
            result = self.fill(entries, create_schema=create_schema, dry_run=dry_run)
        took_s = 0.0 if dry_run else round(monotonic() - began, 3)
        return replace(result, took_s=took_s)

    def living(self, wish: Wish, entries: Sequence[TableEntry]) -> Mapping[str, Policy] | None:
        """The policies of a merge, None where the target is filled as a whole, or refused."""
        other = self.address.kind != self.source.manifest.server.engine
        if wish.policies is None and wish.only == "all" and not other:
            return None
        catalog = self.catalog(create_schema=False)
        if catalog is None and other:
            version = self.source.manifest.airflow_version
            raise RestoreError(
                f"{self.address} has no tables, and those of SQLite are not made there: make them "
                f"with this Airflow's own `airflow db migrate` ({version}) first"
            )
        if catalog is None:
            return None
        used = any(t.used for t in self.look(catalog, entries).values())
        return wish.over(used=used, whole=wish.only == "all" and not other)

    def merge(self, wish: Wish, policies: Mapping[str, Policy], *, dry_run: bool) -> RestoreResult:
        """Into a target that is in use."""
        if dry_run:
            self.target.begin_looking()
        else:
            self.target.begin()
        began = monotonic()
        catalog = self.catalog(create_schema=False)
        if catalog is None:
            raise RestoreError(f"{self.address} has lost its tables")
        living = Living(self.source, self.target, catalog, wish, self.wake)
        living.plan(str(self.address), policies)
        told = self.source.try_secrets(living.entries)
        living.stage()
        plan = living.decide(str(self.address), dry_run=dry_run)
        if dry_run:
            notes = (*told, *living.foresee())
            return RestoreResult(
                plan, plan.rows, 0.0, dry_run=True, notes=notes, outcomes=living.outcomes
            )
        notes = living.write(plan)
        self.source.tell("committing", self.source.rows)
        self.target.commit()
        # A SQLite file has one lock, which `begin` took.
        locked_at = began if self.target.dialect.is_sqlite else living.locked_at
        locked_s = round(monotonic() - locked_at, 3)
        return RestoreResult(
            plan,
            plan.rows,
            0.0,
            notes=(*told, *notes),
            locked_s=locked_s,
            outcomes=living.outcomes,
        )

    def fill(
        self, entries: Sequence[TableEntry], *, create_schema: bool, dry_run: bool
    ) -> RestoreResult:
        """Into a target that holds nothing of its own."""
        plan = self.plan(entries, create_schema=create_schema)
        filled = {fate.label for fate in plan.tables if fate.rows}
        told = self.source.try_secrets([e for e in entries if e.label in filled])
        if dry_run:
            notes = (*told, *self.foresee(entries))
            return RestoreResult(
                plan, plan.rows, 0.0, dry_run=True, notes=notes, outcomes=self.outcomes
            )
        self.target.begin()
        plan = self.plan(entries, create_schema=create_schema, lock=True)
        notes = self.load(plan, entries)
        self.source.tell("committing", plan.rows)
        self.target.commit()
        return RestoreResult(
            plan, self.source.rows, 0.0, notes=(*told, *notes), outcomes=self.outcomes
        )

    def plan(
        self, entries: Sequence[TableEntry], *, create_schema: bool, lock: bool = False
    ) -> RestorePlan:
        catalog = self.catalog(create_schema=create_schema)
        found: dict[str, TargetTable] = {}
        if catalog is not None and not create_schema:
            found = self.look(catalog, entries, lock=lock)
        return plan_restore(
            self.source.manifest,
            entries,
            target=str(self.address),
            catalog=catalog,
            found=found,
            create_schema=create_schema,
        )

    def look(
        self, catalog: Catalog, entries: Sequence[TableEntry], *, lock: bool = False
    ) -> dict[str, TargetTable]:
        """What stands in the target's tables, by label."""
        wanted = {e.label for e in entries}
        tables = [t for t in catalog.tables if catalog.label(t) in wanted]
        if lock:
            self.target.lock(tables)
        looked = self.target.look(tables)
        return {catalog.label(t): seen for t, seen in zip(tables, looked, strict=True)}

    def catalog(self, *, create_schema: bool) -> Catalog | None:
        try:
            return self.target.catalog()
        except NotAirflowError:
            if not create_schema:
                raise
            raise NotEmptyError(
                f"{self.address} has tables of something else already: --create-schema needs an "
                f"empty database. Name another one."
            ) from None

    def load(self, plan: RestorePlan, entries: Sequence[TableEntry]) -> tuple[str, ...]:
        by_label = {e.label: e for e in entries}
        if plan.create_schema:
            self.target.create(self.source.schema_sql())
        catalog = self.target.catalog()
        if catalog is None:
            raise RestoreError(f"{self.address}: the tables were not made")
        tables = catalog.by_label()
        self.target.begin_loading(plan)
        for fate in reversed(plan.tables):
            if fate.defaults:
                self.target.clear(tables[fate.label])
        with self.source.reader() as reader:
            for fate in plan.tables:
                table = tables[fate.label]
                self.source.load(
                    reader,
                    by_label[fate.label],
                    plan.rows,
                    partial(self.target.load, table),
                )
        ending = "building keys and indexes" if plan.create_schema else "setting sequences"
        self.source.tell(ending, plan.rows)
        notes = (*self.target.finish(plan), *self.settle(entries, tables))
        self.target.set_sequences(self.source.manifest.sequences, by_label)
        return notes

    def settle(self, entries: Sequence[TableEntry], tables: Mapping[str, Table]) -> tuple[str, ...]:
        """What was in flight, and a quiet start, in the target's own tables."""
        manifest = self.source.manifest
        columns = columns_of(manifest, entries)

        def relation(table: str) -> str:
            return qualified(tables[table].schema, table)

        self.outcomes = settle(
            self.target,
            self.wake,
            columns,
            relation,
            at=instant(manifest),
            own_run=manifest.dag_run,
        )
        quiet = start_quietly(self.target, self.wake, columns, relation)
        if quiet is None:
            return ()
        self.outcomes += quiet.outcomes()
        return quiet.notes()

    def foresee(self, entries: Sequence[TableEntry]) -> tuple[str, ...]:
        """The same counted over the snapshot's files."""
        own_run, now = self.source.manifest.dag_run, self.target.clock()
        with self.source.reader() as reader:
            self.outcomes, notes = foresee(reader, self.wake, entries, own_run=own_run, now=now)
        return notes
