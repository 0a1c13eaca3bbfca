"""Decide what a restore does: a pure function of the snapshot and the target as they were read.

A target is either without any table (`--create-schema` makes them from the snapshot's own
`schema.sql`) or a freshly migrated Airflow of the same revision, whose tables are empty but
for the rows that every fresh Airflow has (default pool, roles, log templates). Those rows
are replaced by the snapshot's, ids and all: they are the same rows with other numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from airkeep.database.catalog import Catalog, Table
from airkeep.database.types import takes
from airkeep.errors import NotEmptyError, OtherRevisionError, RestoreError
from airkeep.restore.fates import Fate, Merged
from airkeep.restore.fresh import TargetTable
from airkeep.restore.order import parents_first
from airkeep.snapshot.manifest import Manifest, SecretsMode, TableEntry
from airkeep.tables.revisions import airflow_version, version_order

Action = Literal["insert", "replace defaults", "merge", "bring", "nothing"]


@dataclass(frozen=True)
class TableRestore:
    """One table's fate.

    Attributes:
        rows: of the snapshot, to insert.
        defaults: rows of a fresh Airflow that go first.
        reason: why the table is left alone, or "".
        fates: in a living target, what becomes of the rows.
    """

    label: str
    action: Action
    rows: int
    defaults: int = 0
    reason: str = ""
    fates: tuple[Fate, ...] = ()


@dataclass(frozen=True)
class RestorePlan:
    """All of it, in the order in which tables are loaded: parents before children.

    Attributes:
        deferred: foreign keys (table label, name) that a cycle makes wait until the end.
    """

    snapshot: str
    target: str
    airflow_version: str
    secrets: SecretsMode
    create_schema: bool
    tables: tuple[TableRestore, ...]
    deferred: tuple[tuple[str, str], ...] = ()

    @property
    def rows(self) -> int:
        return sum(t.rows for t in self.tables if t.action != "nothing")


def plan_restore(
    manifest: Manifest,
    entries: Sequence[TableEntry],
    *,
    target: str,
    catalog: Catalog | None,
    found: Mapping[str, TargetTable],
    create_schema: bool,
) -> RestorePlan:
    """Decide for every table.

    Args:
        catalog: the target's; None when it has no table.
        found: what stands in the target's tables, by label.

    Raises:
        NotEmptyError: the target has rows, or tables where none are wanted.
        OtherRevisionError: the target is another Airflow.
        RestoreError: a table or a column of the snapshot is not in the target.
    """
    name = f"{manifest.environment}/{manifest.id}"
    if catalog is None:
        if not create_schema:
            raise RestoreError(
                f"{target} has no tables: make them with --create-schema, or with this Airflow's "
                f"own `airflow db migrate` ({manifest.airflow_version}) first"
            )
    else:
        check_target(
            manifest,
            entries,
            target=target,
            catalog=catalog,
            found=found,
            create_schema=create_schema,
        )
    order, deferred = load_order(entries)
    by_label = {e.label: e for e in entries}
    return RestorePlan(
        snapshot=name,
        target=target,
        airflow_version=manifest.airflow_version,
        secrets=manifest.secrets.mode,
        create_schema=create_schema,
        tables=tuple(_fate(by_label[label], found.get(label)) for label in order),
        deferred=tuple(deferred),
    )


def merge_plan_of(
    manifest: Manifest,
    merged: Sequence[Merged],
    *,
    target: str,
    deferred: Sequence[tuple[str, str]],
) -> RestorePlan:
    """What was decided for a living target, as a plan; its rows are those that are written."""
    return RestorePlan(
        snapshot=f"{manifest.environment}/{manifest.id}",
        target=target,
        airflow_version=manifest.airflow_version,
        secrets=manifest.secrets.mode,
        create_schema=False,
        tables=tuple(
            TableRestore(
                m.label,
                ("bring" if m.brought else "merge") if m.rows else "nothing",
                m.count("inserted", "remapped", "replaced"),
                reason="" if m.rows else "no rows",
                fates=m.fates,
            )
            for m in merged
        ),
        deferred=tuple(deferred),
    )


def _fate(entry: TableEntry, before: TargetTable | None) -> TableRestore:
    defaults = before.defaults if before else 0
    if not entry.rows and not defaults:
        return TableRestore(entry.label, "nothing", 0, reason="no rows")
    action: Action = "replace defaults" if defaults else "insert"
    return TableRestore(entry.label, action, entry.rows, defaults)


def check_target(
    manifest: Manifest,
    entries: Sequence[TableEntry],
    *,
    target: str,
    catalog: Catalog,
    found: Mapping[str, TargetTable],
    create_schema: bool,
) -> None:
    """Refuse a target that cannot take the snapshot; see `plan_restore`."""
    if create_schema:
        raise NotEmptyError(
            f"{target} has {len(catalog.tables)} tables already: --create-schema needs an empty "
            f"database. Leave the flag out to restore into them."
        )
    check_fits(manifest, entries, target=target, catalog=catalog)
    check_unused(target, {e.label: found[e.label] for e in entries if e.label in found})


def check_unused(target: str, found: Mapping[str, TargetTable]) -> None:
    """Refuse a target where somebody was at work.

    Raises:
        NotEmptyError: a table has rows that no fresh Airflow has.
    """
    used = [label for label, table in found.items() if table.used]
    if used:
        more = f" and {len(used) - 5} more" if len(used) > 5 else ""
        raise NotEmptyError(
            f"{target} is not empty: rows are in {', '.join(used[:5])}{more}. Say what becomes of "
            f"rows that are there already (--on-conflict skip|replace|fail), leave these tables "
            f"out with --skip, or name an empty or freshly migrated database."
        )


def check_fits(
    manifest: Manifest, entries: Sequence[TableEntry], *, target: str, catalog: Catalog
) -> None:
    """Refuse a target of another revision, or without one of the tables or columns."""
    if set(catalog.revisions) != set(manifest.revisions):
        raise OtherRevisionError(
            f"{target} is at revision {_listed(catalog.revisions)}, the snapshot at "
            f"{_listed(manifest.revisions)} (Airflow {manifest.airflow_version}): "
            f"{_remedy(manifest.revisions, catalog.revisions)}"
        )
    tables = catalog.by_label()
    typed = manifest.server.engine == catalog.engine
    for entry in entries:
        _check_table(entry, tables.get(entry.label), target, typed=typed)


def _check_table(entry: TableEntry, table: Table | None, target: str, *, typed: bool) -> None:
    if table is None:
        raise RestoreError(
            f"{target} has no table {entry.label}: create it there, or leave it out with "
            f"--skip {entry.label}"
        )
    types = {c.name: c.type for c in table.columns}
    for column in entry.columns:
        if column.name not in types:
            raise RestoreError(f"{target}: {entry.label} has no column {column.name}")
        if typed and not takes(types[column.name], column.type):
            raise RestoreError(
                f"{target}: {entry.label}.{column.name} is {types[column.name]}, "
                f"the snapshot's is {column.type}"
            )


def _remedy(snapshot: Collection[str], target: Collection[str]) -> str:
    ours, theirs = airflow_version(snapshot), airflow_version(target)
    if ours.known and theirs.known and version_order(theirs.first) > version_order(ours.first):
        return "add --upgrade, which makes the snapshot as that Airflow would have it first"
    return "migrate the target to that version first"


def _listed(revisions: Collection[str]) -> str:
    return ", ".join(sorted(revisions)) or "none"


def load_order(entries: Sequence[TableEntry]) -> tuple[list[str], list[tuple[str, str]]]:
    """Parents before children; where references form a cycle, the ones that must wait.

    A table that references itself is loaded in one statement, at whose end the key is checked.
    """
    labels = [e.label for e in entries]
    order, passed_over = parents_first(
        {
            e.label: {
                r.target: True for r in e.references if r.target in labels and r.target != e.label
            }
            for e in entries
        }
    )
    waiting = [
        (e.label, r.name)
        for child, parent in passed_over
        for e in entries
        if e.label == child
        for r in e.references
        if r.target == parent
    ]
    return order, waiting
