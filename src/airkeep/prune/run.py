"""Prune: verify, read what is old, compare, plan; then delete batch by batch.

Nothing is deleted before the whole chain of the snapshot was read again and found right in this
same run. The snapshot is marked then, so that no retention removes it.
Every batch is a transaction of its own, so a run that is stopped, or killed, leaves what
it did and nothing half-done; the next run finds what is left by looking, not by a note.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

from airkeep.database.address import Address, DatabasePlace, open_address
from airkeep.database.catalog import Catalog, Column, Lineage, Table
from airkeep.database.limits import ReadLimits
from airkeep.database.reader import Reader, open_reader
from airkeep.database.sql import literal, qualified
from airkeep.errors import (
    ConfigError,
    NoSuchSnapshotError,
    OtherDatabaseError,
    PruneError,
    SnapshotError,
)
from airkeep.prune.named import with_namings
from airkeep.prune.plan import (
    BATCH_ROWS,
    PAUSE_MS,
    PrunePlan,
    Scope,
    TableFate,
    Unseen,
    hanging_on,
    plan_scope,
)
from airkeep.prune.postgres import PostgresDeleter
from airkeep.prune.statements import HASHED, sizes, unseen_keys, vacuum
from airkeep.prune.units import Proof, Units, proved
from airkeep.snapshot.check import verify_snapshot
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Lake, LakePlace, Snapshot, open_lake
from airkeep.snapshot.manifest import LineageEntry, Manifest
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.prove import XMIN, has_rows, prove
from airkeep.snapshot.pruned import mark
from airkeep.snapshot.read import SnapshotReader
from airkeep.snapshot.results import gravest
from airkeep.tables.old import RUN, OldRows

_ROUNDS = 3  # how often a batch that somebody is in the way of is tried
_AGAIN_S = 1.0
_LISTED = 5  # environments, of those that a lake has


@dataclass(frozen=True)
class PruneResult:
    """What was done.

    Attributes:
        plan: what would be, all of it for a dry run.
        rows: deleted, by table.
        left: batches that somebody was in the way of to the end: run it again.
        vacuum: the statement that makes room of deleted rows; empty where none is needed.
    """

    plan: PrunePlan
    rows: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    left: int = 0
    took_s: float = 0.0
    dry_run: bool = False
    vacuum: str = ""

    @property
    def total(self) -> int:
        return sum(self.rows.values())

    @property
    def bytes(self) -> int:
        """About what the deleted rows took, indexes and all."""
        fates = {t.table: t for t in self.plan.tables if t.rows}
        shares = (fates[t].bytes * n / fates[t].rows for t, n in self.rows.items() if t in fates)
        return round(sum(shares))


def prune(
    database: DatabasePlace,
    lake: LakePlace,
    *,
    older_than: timedelta | datetime,
    environment: str | None = None,
    snapshot: str | None = None,
    tables: Sequence[str] = (),
    dry_run: bool = False,
    batch_rows: int = BATCH_ROWS,
    pause_ms: int = PAUSE_MS,
    confirm: Callable[[PrunePlan], bool] = lambda _: True,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> PruneResult:
    """Delete old rows from a living database, those that a snapshot in the lake holds unchanged.

    Args:
        older_than: an age, or an instant.
        environment: whose newest complete snapshot proves it; may be left out where the lake has
            one environment only.
        snapshot: another snapshot, by name.
        tables: only these, with what hangs on them.
        confirm: asked with the plan before the first row is deleted.

    Raises:
        AirkeepError: see `airkeep.errors`. What was deleted until then stays deleted.
    """
    if batch_rows < 1 or pause_ms < 0:
        raise ConfigError("batch_rows: expected 1 or more; pause_ms: expected 0 or more")
    if environment is not None and snapshot is not None:
        raise ConfigError("environment and snapshot: expected one of them, found both")
    address = open_address(database)
    if address.kind != "postgresql":
        raise PruneError(
            f"{address} is {address.kind}: a prune deletes from PostgreSQL only, where Airflow can "
            f"go on beside it. Stop this Airflow and use its own `airflow db clean`."
        )
    began = monotonic()
    found = _snapshot(open_lake(lake), environment, snapshot)
    limits = limits or ReadLimits()
    run = _Prune(found, address, limits, batch_rows, pause_ms, progress)
    run.verify(spool)
    with private_folder(spool) as folder:
        result = run.run(folder, _instant(older_than), tables, confirm, dry_run=dry_run)
    return replace(result, took_s=round(monotonic() - began, 3))


def _snapshot(lake: Lake, environment: str | None, snapshot: str | None) -> Snapshot:
    if snapshot is not None:
        return lake.find(snapshot, complete=True)
    if environment is not None:
        return lake.find(f"{environment}/latest", complete=True)
    if len(lake.environments()) > 1:
        there = sorted({name.environment for name in lake.names()})
        if len(there) > 1:
            more = ", ..." if len(there) > _LISTED else ""
            raise NoSuchSnapshotError(
                f"{lake.url} holds snapshots of {len(there)} environments, "
                f"{', '.join(there[:_LISTED])}{more}: say with --environment which of them the "
                f"database is, or name one with --snapshot"
            )
    return lake.find("latest", complete=True)


def _instant(older_than: timedelta | datetime) -> datetime:
    now = datetime.now(UTC)
    at = now - older_than if isinstance(older_than, timedelta) else older_than.astimezone(UTC)
    if at > now:
        raise ConfigError(f"--older-than: {at:%Y-%m-%dT%H:%M:%SZ} is still to come")
    return at


class _Prune:
    """One run; its methods are its steps, in order."""

    def __init__(
        self,
        snapshot: Snapshot,
        address: Address,
        limits: ReadLimits,
        batch_rows: int,
        pause_ms: int,
        progress: Progress,
    ) -> None:
        self.snapshot, self.address, self.limits = snapshot, address, limits
        self.batch_rows, self.pause_ms, self.progress = batch_rows, pause_ms, progress
        self.rows: dict[str, int] = {}
        self.done = 0
        self.unseen: tuple[Unseen, ...] = ()
        self.runs_before = 0

    def verify(self, spool: Path | None) -> None:
        """Read the whole chain again: nothing older counts."""
        result = verify_snapshot(
            self.snapshot,
            folder=spool,
            memory_bytes=self.limits.memory_bytes,
            threads=self.limits.threads,
            progress=self.progress,
        )
        if not result.ok:
            worst = gravest(result.problems)
            raise SnapshotError(
                f"{self.snapshot.name} does not verify, so nothing was deleted: {worst.path} "
                f"{worst.what}. Make a full export first."
            )

    def run(
        self,
        folder: Path,
        cutoff: datetime,
        tables: Sequence[str],
        confirm: Callable[[PrunePlan], bool],
        *,
        dry_run: bool,
    ) -> PruneResult:
        limits = self.limits
        with SnapshotReader(
            self.snapshot, folder=folder, memory_bytes=limits.memory_bytes, threads=limits.threads
        ) as rows:
            units = Units(rows, batch_rows=self.batch_rows)
            with open_reader(self.address, folder, limits) as reader:
                scope = self.scope(reader, cutoff, tables)
                self.prove(reader, rows, scope)
                self.ask(reader, units, scope)
                weights = _weights(reader, scope)
                catalog = reader.catalog
            proofs = [units.settle(n, family) for n, family in enumerate(scope.families)]
            plan = self.plan(cutoff, scope, proofs, weights)
            if dry_run or not plan.rows or not confirm(plan):
                return PruneResult(plan, dry_run=dry_run)
            left = self.delete(folder, catalog, units, proofs, plan)
        touched = [catalog.by_label()[label] for label, count in self.rows.items() if count]
        return PruneResult(plan, self.rows, self.done, left, vacuum=vacuum(touched))

    # Looking.

    def scope(self, reader: Reader, cutoff: datetime, tables: Sequence[str]) -> Scope:
        manifest = self.snapshot.manifest
        labels = {t.label for t in manifest.tables}
        reader.fix(lambda known: labels & set(known))
        reader.query(HASHED)
        check_lineage(manifest, reader.lineage, str(self.address), str(self.snapshot.name))
        catalog = reader.catalog
        main = [t for t in catalog.tables if t.schema == catalog.main_schema]
        columns = {t.name: [c.name for c in t.columns] for t in main}
        text = cutoff.replace(tzinfo=None).isoformat(" ", "microseconds")
        old = OldRows(columns, catalog.main_schema or "", f"TIMESTAMPTZ {literal(text + '+00')}")
        self.unseen = _unseen(reader)
        scope = plan_scope(catalog, manifest, old, unseen=self.unseen, tables=tables)
        families = with_namings(scope.families, self.tables(catalog), hanging_on(old, (RUN,)))
        if any(f.root.label == RUN for f in families):
            self.runs_before = _count(reader, old.source(RUN), old.by_dates(RUN))
        return _with_old_rows(reader, replace(scope, families=families))

    def tables(self, catalog: Catalog) -> dict[str, Table]:
        """By label, those that no snapshot holds among them."""
        return catalog.by_label() | {catalog.label(u.table): u.table for u in self.unseen}

    def prove(self, reader: Reader, rows: SnapshotReader, scope: Scope) -> None:
        """Read every old row once, a table at a time, and hold it against the snapshot's."""
        wanted: dict[str, list[tuple[int, int]]] = {}
        for number, family in enumerate(scope.families):
            for place, member in enumerate(family.members):
                wanted.setdefault(member.label, []).append((number, place))
        for label, places in wanted.items():  # a family's parents before its children
            table, entry = reader.catalog.by_label()[label], self.snapshot.manifest.table(label)
            if entry is None:
                continue  # such a table is left out of the scope
            self.progress(Step(f"comparing {label}", 0, 0))
            layers = rows.fetch(label)
            for number, place in places:
                family = scope.families[number]
                above = family.parent_of(place)
                files = (
                    reader.spool(_with_version(table), family.members[place].where)
                    if above is None or has_rows(rows.db, proved(number, above))
                    else ()
                )
                into, keep = proved(number, place), scope.columns_of(number, label)
                prove(rows.db, entry, files, layers, keep=keep, into=into)
            rows.drop(layers)

    def ask(self, reader: Reader, units: Units, scope: Scope) -> None:
        """Read which old rows are named by what is not old itself."""
        for number, family in enumerate(scope.families):
            for turn, naming in enumerate(family.namings):
                label, place = naming.hang.parent, family.place_of(naming.hang.parent)
                if naming.where is None or not units.has_old(number, place):
                    continue
                self.progress(Step(f"looking at who names {label}", 0, 0))
                table = reader.catalog.by_label()[label]
                named = replace(table, columns=tuple(map(table.column, naming.hang.to)))
                where = f"{family.members[place].where} AND {naming.where}"
                units.note_named(number, turn, label, reader.spool(named, where))

    def plan(
        self,
        cutoff: datetime,
        scope: Scope,
        proofs: Sequence[Proof],
        weights: dict[str, float],
    ) -> PrunePlan:
        fates: dict[str, TableFate] = {}
        for fate in (f for proof in proofs for f in proof.fates if f.old):
            total = fates.setdefault(fate.table, TableFate(fate.table))
            for count in ("old", "rows", "changed", "unknown", "held", "named"):
                setattr(total, count, getattr(total, count) + getattr(fate, count))
        for fate in fates.values():
            fate.bytes = round(fate.rows * weights.get(fate.table, 0))
        old_runs = fates[RUN].old if RUN in fates else 0
        return PrunePlan(
            snapshot=str(self.snapshot.name),
            database=str(self.address),
            cutoff=cutoff,
            tables=tuple(fates.values()),
            left_out=scope.left_out,
            batches=sum(p.batches for p in proofs),
            batch_rows=self.batch_rows,
            pause_ms=self.pause_ms,
            units={p.family.name: p.units for p in proofs if p.units},
            kept_runs=max(self.runs_before - old_runs, 0),
        )

    # Deleting.

    def delete(
        self,
        folder: Path,
        catalog: Catalog,
        units: Units,
        proofs: Sequence[Proof],
        plan: PrunePlan,
    ) -> int:
        """All batches; how many somebody was in the way of to the end."""
        left = 0
        tables = self.tables(catalog)
        with PostgresDeleter(self.address, folder, self.limits) as deleter:
            for number, proof in enumerate(p for p in proofs if p.batches):
                self.progress(Step(f"deleting {proof.family.name}", self.total, plan.rows))
                places = range(len(proof.family.members))
                staged = [units.staged(proof, place) for place in places]
                deleter.begin(proof.family, tables, staged)
                if not number:
                    deleter.try_none()
                    rows = {t.table: t.rows for t in plan.tables}
                    mark(self.snapshot, cutoff=plan.cutoff, rows=rows)
                left += self.delete_family(deleter, proof, plan)
        return left

    def delete_family(self, deleter: PostgresDeleter, proof: Proof, plan: PrunePlan) -> int:
        waiting = list(range(proof.batches))
        for turn in range(_ROUNDS):
            if turn and waiting:
                sleep(_AGAIN_S)
            again = []
            for batch in waiting:
                outcome = deleter.delete(batch, patient=turn == _ROUNDS - 1)
                if not outcome.done:
                    again.append(batch)
                    continue
                self.done += 1
                for member, rows in zip(proof.family.members, outcome.rows, strict=True):
                    self.rows[member.label] = self.rows.get(member.label, 0) + rows
                self.progress(Step(f"deleting {proof.family.name}", self.total, plan.rows))
                sleep(self.pause_ms / 1000)
            waiting = again
        return len(waiting)

    @property
    def total(self) -> int:
        return sum(self.rows.values())


def check_lineage(manifest: Manifest, now: Lineage | None, database: str, snapshot: str) -> None:
    """Refuse a database that the snapshot is not of: a mistake, most likely.

    Rows are compared one by one all the same, so this is no proof of anything.
    """
    then = manifest.lineage
    reason = "nobody knows of which" if then is None or now is None else _other(then, now)
    if reason:
        raise OtherDatabaseError(
            f"{snapshot} is of another database than {database} ({reason}): nothing was deleted. "
            f"Export this one first, then prune by that snapshot."
        )


def _other(then: LineageEntry, now: Lineage) -> str:
    known = then.system_identifier and now.system_identifier
    if known and then.system_identifier != now.system_identifier:
        return "another server"
    return "" if then.database_oid == now.database_oid else "another database of the server"


def _with_version(table: Table) -> Table:
    return replace(table, columns=(*table.columns, Column(XMIN, "xid")))


def _weights(reader: Reader, scope: Scope) -> dict[str, float]:
    """Bytes of a row, indexes and all, by table; as good as the server's guess of its rows."""
    labels = {m.label for f in scope.families for m in f.members}
    tables = {t.oid: label for label, t in reader.catalog.by_label().items() if label in labels}
    found = reader.query(sizes([t for t in reader.catalog.tables if t.oid in tables]))
    return {tables[oid]: size / max(rows, 1.0) for oid, size, rows in found}


def _count(reader: Reader, source: str, condition: str) -> int:
    return int(reader.query(f"SELECT count(*) AS rows FROM {source} WHERE {condition}")[0][0])


def _unseen(reader: Reader) -> tuple[Unseen, ...]:
    catalog = reader.catalog
    return tuple(
        Unseen(
            Table(schema, name, ()),
            tuple(json.loads(columns)),
            catalog.label_of(target_schema, target),
            tuple(json.loads(to)),
        )
        for schema, name, columns, target_schema, target, to in reader.query(
            unseen_keys(catalog.tables)
        )
    )


def _with_old_rows(reader: Reader, scope: Scope) -> Scope:
    """Only the families that have an old root: most databases have no orphans at all."""
    tables = reader.catalog.by_label()
    # Counted, not asked for one: a planner that looks for one row takes a loop of look-ups for it.
    asked = [
        f"SELECT {n} AS n, count(*) AS rows FROM ONLY {qualified(t.schema, t.name)} "
        f"WHERE {f.root.where}"
        for n, f in enumerate(scope.families)
        for t in [tables[f.root.label]]
    ]
    counted = reader.query(" UNION ALL ".join(asked)) if asked else []
    found = {n for n, rows in counted if rows}
    families = tuple(f for n, f in enumerate(scope.families) if n in found)
    return replace(scope, families=families)
