"""Restore into an environment that is in use, while it is; `merge` says how rows find their place.

Rows come from the lake first, without a lock; a dry run ends before the first one is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airkeep.database.catalog import Catalog
from airkeep.restore.fates import Merged
from airkeep.restore.merge import Merge
from airkeep.restore.merge_plan import Only, Policy, TableMerge, chosen_by, plan_merge
from airkeep.restore.plan import RestorePlan, check_fits, load_order, merge_plan_of
from airkeep.restore.source import Source
from airkeep.restore.target import Target
from airkeep.snapshot.choose import choose_entries
from airkeep.snapshot.manifest import Manifest, TableEntry
from airkeep.tables.roles import Role


@dataclass(frozen=True)
class Wish:
    """What is to be restored, and over what.

    Attributes:
        policies: see `merge_plan.read_policies`; None where nobody said.
    """

    tables: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    only: Only = "all"
    policies: Mapping[str, Policy] | None = None

    def over(self, *, used: bool, whole: bool) -> Mapping[str, Policy] | None:
        """The policies of a merge; None where a fresh target is filled as a whole, or refused.

        A fresh target's default rows give way, as they do where all of it is restored.
        """
        if used:
            return self.policies
        return None if whole else self.policies or {"": "replace"}


class Living:
    """One restore into a living target; its methods are its steps, in order."""

    def __init__(self, source: Source, target: Target, catalog: Catalog, wish: Wish) -> None:
        self.source, self.target, self.catalog, self.wish = source, target, catalog, wish

    def plan(self, name: str, policies: Mapping[str, Policy]) -> None:
        """Which tables go in, and how their rows are known again.

        Args:
            name: the target's, for messages.
        """
        manifest, wish = self.source.manifest, self.wish
        entries = mergeable(manifest, self.catalog, wish)
        asked = chosen_by(wish.only, choose_entries(manifest, wish.tables, wish.skip))
        asked = [e for e in asked if e.role != Role.ALEMBIC.value]
        check_fits(manifest, asked, target=name, catalog=self.catalog)
        _, self.deferred = load_order(list(entries.values()))
        chosen = {e.label for e in asked}
        self.merges = plan_merge(list(entries.values()), chosen, self.catalog, policies)
        self.entries: Sequence[TableEntry] = [entries[m.label] for m in self.merges]
        orphans = manifest.server.engine == "sqlite"  # which keeps no reference by itself
        self.merge = Merge(self.target, self.catalog, self.merges, orphans=orphans)

    def stage(self) -> None:
        """Bring the rows near; nobody waits meanwhile."""
        total = sum(e.rows for e in self.entries)
        by_label = {e.label: e for e in self.entries}
        with self.source.reader() as reader:

            def load(planned: TableMerge, stage: str) -> None:
                self.source.load(
                    reader,
                    by_label[planned.label],
                    total,
                    lambda rows: self.target.stage(planned.table, stage, rows),
                )

            self.merge.stage(load)
        self.merge.settle()

    def decide(self, name: str, *, dry_run: bool) -> RestorePlan:
        """Every row's fate, under locks unless it is only asked for."""
        if not dry_run:
            self.source.tell("locking tables", self.source.rows)
            self.merge.lock()
        self.source.tell("comparing", self.source.rows)
        merged: Sequence[Merged] = self.merge.decide(dry_run=dry_run)
        return merge_plan_of(self.source.manifest, merged, target=name, deferred=self.deferred)

    def write(self, plan: RestorePlan) -> tuple[str, ...]:
        """Put the rows in: what people should know."""
        total = self.source.rows
        self.target.begin_loading(plan)
        self.merge.write(lambda label: self.source.tell(f"writing {label}", total))
        notes = self.target.finish(plan)
        labels = {m.label for m in self.merges}
        self.target.set_sequences(self.source.manifest.sequences, labels)
        return notes


def mergeable(manifest: Manifest, catalog: Catalog, wish: Wish) -> dict[str, TableEntry]:
    """The snapshot's tables that the target has too, but for revisions and --skip."""
    found = catalog.by_label()
    return {
        e.label: e
        for e in manifest.tables
        if e.label in found and e.label not in wish.skip and e.role != Role.ALEMBIC.value
    }
