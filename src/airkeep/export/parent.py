"""What an increment stands on: the newest complete snapshot, or nothing, and why not.

Whatever is odd about a parent is no error: it is a reason for a full snapshot, in words, which
lands in the manifest. The reasons that need no question come first, the database is asked last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from airkeep.database.reader import Reader
from airkeep.database.sql import qualified
from airkeep.errors import NoSuchSnapshotError, SnapshotError
from airkeep.export.plan import (
    ExportOptions,
    ExportPlan,
    altered_since,
    changed_since,
    plan_export,
    why_not_parent,
)
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.manifest import Manifest
from airkeep.snapshot.results import newest_verified_of


@dataclass(frozen=True)
class Counts:
    """Rows of a table, and how many of them are older than a horizon."""

    rows: int
    old: int


@dataclass(frozen=True)
class Ground:
    """What an export stands on.

    Attributes:
        parent: None for a full snapshot; `because` says why, where an increment was asked for.
        altered: oids of tables whose rows may read otherwise though none moved.
        counts: by label, of the tables that can be told row by row; old is older than the parent.
    """

    parent: Snapshot | None = None
    because: str | None = None
    altered: frozenset[int] = frozenset()
    counts: Mapping[str, Counts] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest | None:
        return None if self.parent is None else self.parent.manifest


def find_parent(
    lake: Lake,
    reader: Reader,
    options: ExportOptions,
    *,
    chosen: Collection[str],
    archive_keys: tuple[str, ...],
) -> Ground:
    """Look for what an increment can stand on.

    Args:
        chosen: the labels of the tables to take.
        archive_keys: fingerprints of the keys that this export seals with.

    Raises:
        StoreError: the lake could not be read.
    """
    if not options.increment:
        return Ground()
    try:
        parent = lake.find(f"{options.environment}/latest", complete=True)
        chain = parent.chain()
    except NoSuchSnapshotError:
        return Ground(because="there is no complete snapshot of this environment yet")
    except SnapshotError:
        return Ground(because="the newest snapshot, or one that it stands on, cannot be read")
    reason = why_not_parent(
        parent.manifest,
        catalog=reader.catalog,
        lineage=reader.lineage,
        fixed_at=reader.fixed_at,
        secrets=options.secrets,
        archive_keys=archive_keys,
    )
    if reason is None and any_damaged(chain):
        reason = "the parent did not verify"
    return Ground(because=reason) if reason else _counted(parent, reader, options, chosen)


def any_damaged(chain: Sequence[Snapshot]) -> bool:
    """Whether the newest `verify` of one of them found something; none reads the files now."""
    records = newest_verified_of(chain[0].store, [s.name for s in chain])
    return any(
        record is not None and not record.ok and record.manifest_sha256 == snapshot.manifest_sha256
        for record, snapshot in zip(records, chain, strict=True)
    )


def _counted(
    parent: Snapshot, reader: Reader, options: ExportOptions, chosen: Collection[str]
) -> Ground:
    """The ground with what the database says of it: no table may have more old rows."""
    condition = changed_rows(parent.manifest, reader)
    found = reader.query(altered_since(condition, [t.oid for t in reader.catalog.tables]))
    altered = frozenset(oid for (oid,) in found)
    plan = plan_export(
        reader.catalog, options, chosen=chosen, parent=parent.manifest, altered=altered
    )
    labels = [t.label for t in plan.tables if t.how == "changed"]
    counts = count_rows(reader, labels, condition)
    for label, count in counts.items():
        entry = parent.manifest.table(label)
        if entry and entry.settled is not None and count.old > entry.settled:
            return Ground(because=f"{label} has more old rows than the parent had")
    return Ground(parent, altered=altered, counts=counts)


def changed_rows(parent: Manifest, reader: Reader) -> str:
    """The condition for rows that the parent may not have."""
    now = reader.lineage
    assert parent.lineage is not None and now is not None  # noqa: S101, PT018
    return changed_since(parent.lineage.xmin, now.xmax)


def count_rows(reader: Reader, labels: Sequence[str], changed: str) -> dict[str, Counts]:
    """Rows by label, those that `changed` does not take are old; one question for all."""
    tables = reader.catalog.by_label()
    parts = [
        f"SELECT {n} AS n, count(*) AS rows, count(*) FILTER (WHERE {changed}) AS new "
        f"FROM ONLY {qualified(tables[label].schema, tables[label].name)}"
        for n, label in enumerate(labels)
    ]
    if not parts:
        return {}
    found = reader.query(" UNION ALL ".join(parts))
    return {labels[n]: Counts(rows, rows - new) for n, rows, new in found}


def settled_rows(reader: Reader, plan: ExportPlan) -> dict[str, int] | None:
    """Per table the rows older than our own horizon; None: all of them are."""
    lineage = reader.lineage
    if lineage is None or lineage.xmin == lineage.xmax:
        return None
    labels = [t.label for t in plan.tables]
    counts = count_rows(reader, labels, changed_since(lineage.xmin, lineage.xmax))
    return {label: count.old for label, count in counts.items()}
