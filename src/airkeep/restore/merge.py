"""Put a snapshot into a living environment: staged first, decided by reads, then written.

The order keeps Airflow going: rows come from the lake into temporary tables while nobody waits;
then the tables are locked in one short step, and what is left to do is SQL inside the server.
A dry run stages and decides as well, without a lock, and is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any

from airkeep.database.catalog import Catalog, NumberSequence
from airkeep.database.numbering import numbered_columns
from airkeep.database.sql import ident, qualified
from airkeep.restore.fates import Fate, FateKind, Merged, check_conflicts
from airkeep.restore.merge_plan import Link, Policy, TableMerge
from airkeep.restore.merge_sql import MergeSql, Unique
from airkeep.restore.statements import Dialect
from airkeep.restore.target import Target

EXAMPLES = 3

# A run is kept whole: what hangs on one that is another run here would be mixed into it.
_WHOLE = frozenset({"dag_run", "task_instance", "task_instance_history"})
_RUNS = frozenset({"dag_run"})


class Merge:
    """One merge; its methods are its steps, in order.

    Args:
        merges: parents before children.
        orphans: rows may arrive whose parent is nowhere.
    """

    def __init__(
        self,
        target: Target,
        catalog: Catalog,
        merges: Sequence[TableMerge],
        *,
        orphans: bool = False,
    ) -> None:
        self.orphans = orphans and catalog.engine == "postgresql"
        self.target, self.catalog, self.merges = target, catalog, merges
        self.dialect = Dialect(catalog.engine)
        self.maps: dict[str, str] = {}
        self.sql = {
            merge.label: MergeSql(merge, place, self.dialect, self.maps)
            for place, merge in enumerate(merges)
        }
        self.rows: dict[str, int] = {}
        self.locked: frozenset[str] = frozenset()
        self.decided: dict[str, int] = {}  # rows that do not simply go in
        self.dropped: set[str] = set()
        self.other: set[str] = set()  # parents that the target has and keeps, with other content

    def stage(self, load: Callable[[TableMerge, str], None]) -> None:
        """Make and fill the temporary tables.

        Args:
            load: fills a table's stage, which has a name and the target's columns.
        """
        for merge in self.merges:
            self.target.stage_table(merge.table, self.sql[merge.label].stage, merge.columns)
            load(merge, self.sql[merge.label].stage)

    def settle(self) -> None:
        """After the last change to a stage: what is only brought along, and statistics."""
        for merge in reversed(self.merges):
            sql = self.sql[merge.label]
            if merge.brought:
                self._run(sql.keep_reached(self._children(merge)), f"choosing from {merge.label}")
            self.target.analyze(sql.stage)
            self.rows[merge.label] = self._count(sql.stage)

    def _children(self, parent: TableMerge) -> list[tuple[MergeSql, Link]]:
        return [
            (self.sql[m.label], link)
            for m in self.merges
            if m.label != parent.label
            for link in m.links
            if link.parent == parent.label
        ]

    def put_beside(self, tell: Callable[[str], None]) -> None:
        """Write the tables that nobody needs to be kept out of: their rows only come beside others.

        Their sequences are moved behind a short lock, so that nobody has a number of ours.
        """
        numbered = [m for m in self._beside if m.number and self.rows[m.label]]
        if numbered:
            with self.target.barrier([m.table for m in numbered]):
                for merge in numbered:
                    self._move_sequence(merge)
        for merge in self._beside:
            self._decide(merge, dry_run=False)
        self._write(self._beside, tell)

    @cached_property
    def _beside(self) -> list[TableMerge]:
        """The tables that need no lock, and point only at each other."""
        free = {m.label for m in self.merges if not m.locked}
        arrive = {m.label for m in self.merges}
        while True:
            stuck = {
                m.label
                for m in self.merges
                if m.label in free
                and any(x.firm or x.parent in arrive - free for x in m.links if x.parent != m.label)
            }
            if not stuck:
                return [m for m in self.merges if m.label in free]
            free -= stuck

    @property
    def _rest(self) -> list[TableMerge]:
        return [m for m in self.merges if m not in self._beside]

    def lock(self, also: Collection[str] = ()) -> None:
        """Keep other writers out of all other tables that change, in one short step.

        Args:
            also: tables that more is written to than the snapshot's rows.
        """
        filled = [m for m in self._rest if self.rows[m.label] or m.label in also]
        labels = {m.label for m in filled} | self._may_lose_rows()
        tables = self.catalog.by_label()
        self.target.lock_living([tables[label] for label in sorted(labels)])
        self.locked = frozenset(m.label for m in filled)
        self.move_sequences()

    def _may_lose_rows(self) -> set[str]:
        """Tables whose rows may go with a run that is replaced, by us or by the server."""
        found = {
            m.label
            for m in self.merges
            if any(self.rows[link.parent] for link, _ in self._hanging(m))
        }
        while True:
            more = {
                self.catalog.label(t)
                for t in self.catalog.tables
                for f in t.foreign_keys
                if self.catalog.label_of(f.target_schema or t.schema, f.target) in found
            } - found
            if not more:
                return found
            found |= more

    def move_sequences(self) -> None:
        """Past every number that is there now, of the tables that are locked."""
        for merge in self.merges:
            if merge.number and merge.label in self.locked:
                self._move_sequence(merge)

    def decide(self, *, dry_run: bool) -> tuple[Merged, ...]:
        """Every row's fate; a dry run tells conflicts as such.

        Raises:
            ConflictError: a row is there with other content, and its policy is `fail`.
        """
        for merge in [*self._beside, *self._rest] if dry_run else self._rest:
            self._decide(merge, dry_run=dry_run)
        merged = tuple(self._tell(m) for m in self.merges)
        if not dry_run:
            check_conflicts(merged)
        return merged

    def _decide(self, merge: TableMerge, *, dry_run: bool) -> None:
        sql, doing = self.sql[merge.label], f"comparing {merge.label}"
        self._run(sql.make_fates(), doing)
        if self.target.has_rows([merge.table])[0]:
            uniques = self.target.uniques(merge.table)
            self._meet(merge, uniques, doing)
            for unique in uniques:
                if not _is_own(unique, merge) and not _is_key(unique, merge):
                    self._run(sql.drop_taken(unique), doing)
                    if merge.policy == "replace":
                        self._run(sql.keep_taken(unique), doing)
        self._drop(merge, doing)
        if merge.own:
            self._run(sql.renumber(self._new(merge, dry_run=dry_run)), doing)
        self.decided[merge.label] = self._count(sql.fate)
        if self.decided[merge.label]:
            self.target.analyze(sql.fate)
            fates = {f for (f,) in self.target.query(sql.kinds(), doing=doing)}
            if "dropped" in fates:
                self.dropped.add(merge.label)
            if merge.label in _WHOLE and (merge.policy == "skip" or "kept out" in fates):
                self.other.add(merge.label)
        if merge.own and any(link.parent == merge.label for m in self.merges for link in m.links):
            self._map(merge, doing)

    def _name(self, link: Link) -> str:
        parent = self.catalog.by_label()[link.parent]
        return qualified(parent.schema, parent.name)

    def _map(self, merge: TableMerge, doing: str) -> None:
        sql = self.sql[merge.label]
        soft = [
            (child, link)
            for child, link in self._children(merge)
            if not link.firm and link.to == (merge.own,)
        ]
        self._run(sql.make_map(soft), doing)
        if self._count(sql.map):
            self.target.analyze(sql.map)
            self.maps[merge.label] = sql.map

    def _drop(self, merge: TableMerge, doing: str) -> None:
        """Leave out what would hang on nothing."""
        sql = self.sql[merge.label]
        for link in merge.links:
            if link.parent in self.other and merge.label not in _RUNS and merge.hangs_on(link):
                self._run(sql.keep_out(link, self.sql[link.parent]), doing)
                if merge.policy == "replace":
                    self._run(sql.keep_met(link, self.sql[link.parent]), doing)
            if link.part and link.parent in self.sql and merge.hangs_on(link):
                self._run(sql.keep_strangers(link, self.sql[link.parent]), doing)
            if link.parent in self.dropped and _needs(merge, link, self.sql[link.parent].merge):
                self._run(sql.drop_without(link, self.sql[link.parent]), doing)
            if set(link.columns) <= set(merge.emptied):
                continue
            if link.firm and (self.orphans or link.parent not in self.sql):
                self._run(
                    sql.drop_orphans(link, self.sql.get(link.parent), self._name(link)), doing
                )

    def _meet(self, merge: TableMerge, uniques: Sequence[Unique], doing: str) -> None:
        sql = self.sql[merge.label]
        if merge.key:
            single = any(_is_key(u, merge) for u in uniques)
            self._run(sql.meet_by_key(single=single), doing)
            if merge.own and any(link.parent == merge.label for link in merge.links):
                self._meet_again(merge, doing, single=single)
        else:
            self._run(sql.meet_by_content(), doing)

    def _meet_again(self, merge: TableMerge, doing: str, *, single: bool) -> None:
        """Rows that point at rows of their own table, as those are called here."""
        sql = self.sql[merge.label]
        self._map(merge, doing)
        if self.maps.get(merge.label):
            self._run(sql.forget(), doing)
            self._run(sql.meet_by_key(single=single), doing)
            del self.maps[merge.label]
        self._run(sql.forget_map(), doing)

    def _new(self, merge: TableMerge, *, dry_run: bool) -> str:
        if not merge.number:
            return self.dialect.uuid()
        sequence = self._sequence(merge)
        if sequence is not None and self.dialect.engine == "postgresql" and not dry_run:
            return self.target.next_number(sequence)
        return f"{self._highest(merge)} + row_number() OVER (ORDER BY old)"

    def _highest(self, merge: TableMerge) -> int:
        """The highest number in use, on either side or ever given by the sequence."""
        sequence, sql = self._sequence(merge), self.sql[merge.label]
        own = ident(merge.own or "")
        [(highest,)] = self.target.query(
            f"SELECT max(n) FROM (SELECT max({own}) AS n FROM {sql.stage} "
            f"UNION ALL SELECT max({own}) FROM {sql.target}) x",
            doing=f"numbering {merge.label}",
        )
        return max(int(highest or 0), sequence.last_value if sequence else 0)

    def _replaced(self, merge: TableMerge) -> list[tuple[Link, MergeSql]]:
        """What a table's rows hang on, where that is replaced."""
        return [found for found in self._hanging(merge) if self.decided.get(found[0].parent)]

    def _hanging(self, merge: TableMerge) -> list[tuple[Link, MergeSql]]:
        """What a table's rows hang on, where that is a run's and may be replaced."""
        if merge.label in _RUNS or merge.policy != "replace":
            return []
        return [
            (link, self.sql[link.parent])
            for link in merge.links
            if link.parent in _WHOLE
            and link.parent in self.sql
            and self.sql[link.parent].merge.policy == "replace"
            and merge.hangs_on(link)
        ]

    def _sequence(self, merge: TableMerge) -> NumberSequence | None:
        table = merge.table
        for s in self.catalog.sequences:
            owner = (s.owner_schema, s.owner_table, s.owner_column)
            if owner == (table.schema, table.name, merge.own):
                return s
        for s in self.catalog.sequences:
            if merge.own in numbered_columns((s.schema, s.name), table):
                return s
        return None

    def _move_sequence(self, merge: TableMerge) -> None:
        """Past every number that arrives: from now on nobody is given one of them."""
        sequence = self._sequence(merge)
        if sequence is not None and self.dialect.engine == "postgresql":
            self.target.move_sequence(sequence, self._highest(merge))

    def write(self, tell: Callable[[str], None]) -> None:
        """Insert and replace, in the tables that are locked."""
        self._write(self._rest, tell)

    def _write(self, merges: Sequence[TableMerge], tell: Callable[[str], None]) -> None:
        for merge in reversed(merges):
            if links := self._replaced(merge):
                tell(merge.label)
                self._run(self.sql[merge.label].remove(links), f"removing from {merge.label}")
        for merge in merges:
            if not self.rows[merge.label]:
                continue
            tell(merge.label)
            sql, doing = self.sql[merge.label], f"writing {merge.label}"
            self.target.change(sql.insert(), doing=doing)  # what is replaced may point at it
            if merge.policy == "replace" and self.decided.get(merge.label) and sql.update():
                self.target.change(sql.update(), doing=doing)

    # Telling.

    def _tell(self, merge: TableMerge) -> Merged:
        sql, fates = self.sql[merge.label], []
        if self.decided.get(merge.label):
            for fate, why, rows in self.target.query(sql.counts(), doing="counting"):
                shown = self.target.query(sql.examples(fate, why, EXAMPLES), doing="counting")
                told = tuple(_example(merge, row, fate) for row in shown)
                fates.append(Fate(_kind(fate, merge), int(rows), why or _why(fate, merge), told))
        if links := self._replaced(merge):
            found = self._count(f"({sql.left_over(links)}) x")
            if found:
                why = "it hung on a run that is replaced, and the snapshot does not know it"
                shown = self.target.query(sql.removed_examples(links, EXAMPLES), doing="counting")
                fates.append(Fate("removed", found, why, tuple(_told(row) for row in shown)))
        rows = self.rows[merge.label]
        plain = rows - sum(f.rows for f in fates if f.kind != "removed")
        if plain:
            shown = self.target.query(sql.plain_examples(EXAMPLES), doing="counting")
            fates.insert(0, Fate("inserted", plain, examples=tuple(_told(row) for row in shown)))
        return Merged(merge.label, rows, merge.brought, tuple(fates))

    def _run(self, statement: str, doing: str) -> None:
        self.target.change(statement, doing=doing)

    def _count(self, table: str) -> int:
        [(count,)] = self.target.query(f"SELECT count(*) FROM {table}", doing="counting")
        return int(count)


def _needs(merge: TableMerge, link: Link, parent: TableMerge) -> bool:
    """Whether a row cannot be there without its parent; else it points at nothing."""
    if link.parent == merge.label or not (link.firm or link.part):
        return False
    required = any(not merge.table.column(c).nullable for c in link.columns)
    return required or link.to != (parent.own,)


def _is_own(unique: Unique, merge: TableMerge) -> bool:
    return merge.own is not None and unique.parts == (ident(merge.own),)


def _is_key(unique: Unique, merge: TableMerge) -> bool:
    named = {p.strip('"') for p in unique.parts}
    return bool(merge.key) and named == set(merge.key) and not unique.condition


_MET: dict[Policy, FateKind] = {"skip": "skipped", "replace": "replaced", "fail": "conflict"}
_KINDS: dict[str, FateKind] = {
    "same": "same", "remapped": "remapped", "dropped": "dropped", "kept out": "skipped",
}  # fmt: skip


def _kind(fate: str, merge: TableMerge) -> FateKind:
    if fate == "met" or (fate in ("dropped", "kept out") and merge.policy == "fail"):
        return _MET[merge.policy]
    return _KINDS[fate]


def _why(fate: str, merge: TableMerge) -> str:
    """Why a row that is there is skipped, where nobody said so."""
    if fate != "met" or merge.policy != "skip":
        return ""
    if merge.brought:
        return "it only comes along, for what points at it"
    return "a job that is there is never replaced" if merge.label == "job" else ""


def _example(merge: TableMerge, row: Sequence[Any], fate: str) -> str:
    new, *values = row
    told = _told(values)
    return f"{told} -> {new}" if fate == "remapped" else told


def _told(values: Sequence[Any]) -> str:
    return ", ".join(str(v) for v in values)
