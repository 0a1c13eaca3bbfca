"""Restore into an environment that is in use, while it is; `merge` says how rows find their place.

Rows come from the lake first, without a lock; a dry run ends before the first one is asked for. A
SQLite file has one lock, which is held from the beginning; a dry run is on a copy of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from airkeep.database.catalog import Catalog
from airkeep.database.numbering import numbered_tables
from airkeep.database.sql import ident, qualified
from airkeep.errors import ConfigError
from airkeep.restore.fates import Merged
from airkeep.restore.inflight import Outcome
from airkeep.restore.merge import Merge
from airkeep.restore.merge_plan import Only, Policy, TableMerge, chosen_by, plan_merge
from airkeep.restore.plan import RestorePlan, check_fits, check_unused, load_order, merge_plan_of
from airkeep.restore.quiet import (
    QuietPlan,
    going_question,
    plan_quiet,
    quiet_question,
    read_dags,
)
from airkeep.restore.secrets import held_by
from airkeep.restore.source import Source
from airkeep.restore.target import Target
from airkeep.restore.versions import renumber_newest
from airkeep.restore.wake import (
    Wake,
    columns_of,
    instant,
    missed_runs_of,
    settle,
    start_quietly,
)
from airkeep.snapshot.choose import choose_entries
from airkeep.snapshot.manifest import Manifest, SequenceEntry, TableEntry
from airkeep.tables.revisions import airflow_version
from airkeep.tables.roles import Role

# What `start_quietly` writes to.
_WOKEN = frozenset({"dag", "dag_run", "dag_run_note", "task_instance"})


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

    def __init__(
        self, source: Source, target: Target, catalog: Catalog, wish: Wish, wake: Wake
    ) -> None:
        self.source, self.target, self.catalog = source, target, catalog
        self.wish, self.wake = wish, wake
        self.outcomes: tuple[Outcome, ...] = ()
        self.paused: dict[str, bool] = {}
        self.locked_at = 0.0

    def plan(self, name: str, policies: Mapping[str, Policy]) -> None:
        """Which tables go in, and how their rows are known again.

        Args:
            name: the target's, for messages.
        """
        manifest, wish = self.source.manifest, self.wish
        entries = mergeable(manifest, self.catalog, wish)
        asked = chosen_by(wish.only, choose_entries(manifest, wish.tables, wish.skip))
        asked = [e for e in asked if e.role != Role.ALEMBIC.value]
        if not asked:
            raise ConfigError(
                f"--only {wish.only} and --tables, --skip leave no table of the snapshot: "
                f"change one of them"
            )
        check_fits(manifest, asked, target=name, catalog=self.catalog)
        _, self.deferred = load_order(list(entries.values()))
        chosen = {e.label for e in asked}
        self.merges = plan_merge(
            list(entries.values()), chosen, self.catalog, policies, left_out=wish.skip
        )
        self.entries: Sequence[TableEntry] = [entries[m.label] for m in self.merges]
        orphans = manifest.server.engine == "sqlite"  # which keeps no reference by itself
        if self.wake.active is not None and not self.wakes:
            raise ConfigError("--active says which DAGs wake, and no DAG is restored: leave it out")
        self.merge = Merge(self.target, self.catalog, self.merges, orphans=orphans)

    def stage(self) -> None:
        """Bring the rows near; nobody waits meanwhile but for a SQLite file."""
        total = sum(e.rows for e in self.entries)
        self.source.know_secrets(self.known_secrets)
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
        manifest = self.source.manifest
        self.outcomes = settle(
            self.target,
            self.wake,
            columns_of(manifest, self.entries),
            self._stage,
            at=instant(manifest),
            own_run=manifest.dag_run,
        )
        self.merge.settle()

    def known_secrets(self) -> dict[str, bytes]:
        """The target's own tokens by the names of their values: Fernet gives others each time."""
        found: dict[str, bytes] = {}
        for planned, entry in zip(self.merges, self.entries, strict=True):
            for secret in held_by(entry, self.source.manifest):
                column, table = ident(secret.column), self._table(entry.name)
                for name, value in self.target.query(
                    f"SELECT {ident(secret.named_by)}, {column} FROM {table} "
                    f"WHERE {column} IS NOT NULL",
                    doing=f"reading {planned.label}",
                ):
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    found[f"{entry.label} {name}.{secret.column}"] = raw
        return found

    def _stage(self, table: str) -> str:
        """Where the snapshot's rows of one of Airflow's own tables are."""
        return self.merge.sql[table].stage

    def decide(self, name: str, *, dry_run: bool) -> RestorePlan:
        """Every row's fate, under locks unless it is only asked for."""
        if not dry_run:
            self.merge.put_beside(lambda label: self.source.tell(label, self.source.rows))
            self.source.tell("locking tables", self.source.rows)
            self.locked_at = monotonic()
            self.merge.lock(_WOKEN if self.wakes else ())
            if self.wish.policies is None:
                self.check_still_unused(name)
            self.renumber_versions()
        self.source.tell("comparing", self.source.rows)
        merged: Sequence[Merged] = self.merge.decide(dry_run=dry_run)
        return merge_plan_of(self.source.manifest, merged, target=name, deferred=self.deferred)

    def check_still_unused(self, name: str) -> None:
        """Nobody said what becomes of rows that came since the first look."""
        merges = [m for m in self.merges if m.label in self.merge.locked]
        looked = self.target.look([m.table for m in merges])
        check_unused(name, {m.label: t for m, t in zip(merges, looked, strict=True)})

    def renumber_versions(self) -> None:
        """See `versions`; a dry run, which changes nothing, tells the fates without it."""
        version = airflow_version(self.source.manifest.revisions)
        if version.major == 3 and version.first < "3.3" and "dag_version" in self.merge.sql:
            self.target.change(
                renumber_newest(self._table("dag_version"), self._stage("dag_version")),
                doing="numbering DAG versions",
            )

    def write(self, plan: RestorePlan) -> tuple[str, ...]:
        """Put the rows in, and let DAGs wake: what people should know."""
        total = self.source.rows
        going, self.paused = self.going(), self.are_paused()
        self.target.begin_loading(plan)
        self.merge.write(lambda label: self.source.tell(f"writing {label}", total))
        notes = (*self.target.finish(plan), *self.start_quietly(going))
        self.merge.move_sequences()
        self.target.set_sequences(self.sequences(), self.merge.locked)
        return notes

    def sequences(self) -> list[SequenceEntry]:
        """Those of locked tables: others are in use, and were moved past what came."""
        tables = self.catalog.by_label()
        return [
            s
            for s in self.source.manifest.sequences
            if (numbered := numbered_tables((s.schema, s.name), tables) | {s.owner} - {None})
            <= self.merge.locked
            or not numbered
        ]

    @property
    def wakes(self) -> bool:
        """Whether DAGs are restored, not only brought along: then they wake as they were."""
        return any(m.label == "dag" and not m.brought for m in self.merges)

    def going(self) -> tuple[str, ...]:
        """The snapshot's DAGs that are at work in the target, and slept through nothing there."""
        if not self.wakes:
            return ()
        question = going_question(self._columns(), self._table, self._stage)
        found = self.target.query(question, doing="looking at what is active")
        return tuple(str(dag_id) for (dag_id,) in found)

    def start_quietly(self, going: Collection[str]) -> tuple[str, ...]:
        """The snapshot's DAGs are active or paused as they were there; no others are touched."""
        if not self.wakes:
            return ()
        wake = replace(self.wake, active=self.active())
        quiet = start_quietly(
            self.target, wake, self._columns(), self._table, asked_of=self._asked, going=going
        )
        return self._told(quiet)

    def foresee(self) -> tuple[str, ...]:
        """What `start_quietly` would do, from the staged rows."""
        question = quiet_question(self._columns(), self._stage) if self.wakes else None
        if question is None:
            return ()
        self.paused = self.are_paused()
        return self._told(
            plan_quiet(
                read_dags(self.target.query(question, doing="looking at what is active")),
                now=self.target.clock(),
                active=self.active(),
                missed_runs=missed_runs_of(self.wake, self._columns()),
                going=self.going(),
            )
        )

    def are_paused(self) -> dict[str, bool]:
        """The snapshot's DAGs that the target has, and whether they are paused there."""
        if not self.wakes:
            return {}
        found = self.target.query(
            f"SELECT dag_id, is_paused FROM {self._table('dag')} "
            f"WHERE dag_id IN (SELECT dag_id FROM {self._stage('dag')})",
            doing="looking at what is active",
        )
        return {str(dag_id): bool(paused) for dag_id, paused in found}

    def active(self) -> tuple[str, ...]:
        """The DAGs that are to be active: those that were named, else the snapshot's."""
        if self.wake.active is not None:
            return self.wake.active
        statement = (
            f"SELECT dag_id FROM {self._stage('dag')} WHERE NOT is_paused "
            f"AND dag_id IN (SELECT dag_id FROM {self._table('dag')})"
        )
        found = self.target.query(statement, doing="looking at what is active")
        return tuple(str(dag_id) for (dag_id,) in found)

    def _told(self, quiet: QuietPlan | None) -> tuple[str, ...]:
        if quiet is None:
            return ()
        self.outcomes += (*quiet.outcomes(), *quiet.changes(self.paused))
        return quiet.notes()

    def _columns(self) -> dict[str, tuple[str, ...]]:
        return columns_of(self.source.manifest, self.entries)

    def _table(self, table: str) -> str:
        found = self.merge.sql[table].merge.table
        return qualified(found.schema, found.name)

    def _asked(self, table: str) -> str:
        """The snapshot's DAGs as they are in the target now; other tables as they are."""
        name = self._table(table)
        if table != "dag":
            return name
        return f"(SELECT * FROM {name} WHERE dag_id IN (SELECT dag_id FROM {self._stage('dag')}))"


def mergeable(manifest: Manifest, catalog: Catalog, wish: Wish) -> dict[str, TableEntry]:
    """The snapshot's tables that the target has too, but for revisions and --skip."""
    found = catalog.by_label()
    return {
        e.label: e
        for e in manifest.tables
        if e.label in found and e.label not in wish.skip and e.role != Role.ALEMBIC.value
    }
