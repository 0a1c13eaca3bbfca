"""Which tables a prune goes through, and in which order: pure data.

Rows leave in *units*: a run with all that hangs on it, a version of a DAG with its code and its
serialized form, or one row of a table that is judged by itself. A unit leaves whole or not at
all, in one transaction, so that no run is ever left without some of its tasks: a scheduler would
make those anew and run them. A *family* is the table of such units' roots with the tables that
hang on it; families go one after the other, those that others are named by first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from airkeep.database.catalog import Catalog, Table
from airkeep.errors import ConfigError, no_such_table
from airkeep.snapshot.manifest import Manifest, TableEntry
from airkeep.tables.old import BY_TIME, RUN, VERSION, OldRows
from airkeep.tables.window import Link

BATCH_ROWS = 5_000
PAUSE_MS = 100
# What a batch deletes in a second on a small server, its reading left out: docs/benchmarks.md.
ROWS_PER_S = 8_000


@dataclass(frozen=True)
class Member:
    """A table of a family: `up` leads to its parent there, None for the root.

    Attributes:
        where: the condition for its rows that are old.
    """

    label: str
    where: str
    up: Link | None = None


@dataclass(frozen=True)
class Hang:
    """Rows of `child` that point at rows of `parent` keep them; `child` may be outside the family.

    Attributes:
        hard: the database itself knows, and would delete or change the child's row.
    """

    child: str
    columns: tuple[str, ...]
    parent: str
    to: tuple[str, ...]
    hard: bool = True


@dataclass(frozen=True)
class Naming:
    """Rows outside a family that name its rows: those that stay keep what they name.

    Attributes:
        where: for the rows of `hang.parent` that are named by what no earlier family has read;
            None where none can be old.
    """

    hang: Hang
    where: str | None = None


@dataclass(frozen=True)
class Family:
    """A root and what hangs on it, parents before children.

    Attributes:
        hangs: by what rows a row of a member may still be held.
        weeds: what keeps a root's row although no foreign key says so: looked at once more, before
            the first row of the family is deleted.
        namings: all of these that come from outside, for the plan.
    """

    name: str
    members: tuple[Member, ...]
    hangs: tuple[Hang, ...] = ()
    weeds: tuple[Hang, ...] = ()
    namings: tuple[Naming, ...] = ()

    @property
    def root(self) -> Member:
        return self.members[0]

    def parent_of(self, place: int) -> int | None:
        """The place of the member that another one hangs on; None for the root."""
        up = self.members[place].up
        if up is None:
            return None
        return self.place_of(up.parent)

    def place_of(self, label: str) -> int:
        return next(n for n, m in enumerate(self.members) if m.label == label)

    def columns_of(self, label: str) -> tuple[str, ...]:
        """The columns by which others point at a member, and by which it points at its parent."""
        found = [c for h in (*self.hangs, *self.weeds) if h.parent == label for c in h.to]
        for member in self.members:
            if member.label == label and member.up is not None:
                found += member.up.columns
            if member.up is not None and member.up.parent == label:
                found += member.up.to
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class LeftOut:
    """A table that is left alone, and why."""

    table: str
    why: str


@dataclass(frozen=True)
class Unseen:
    """A foreign key of a table that no snapshot holds, a partitioned one: its rows hold, too."""

    table: Table
    columns: tuple[str, ...]
    target: str
    to: tuple[str, ...]


@dataclass(frozen=True)
class Scope:
    """What is looked at: pure, before a row was read."""

    families: tuple[Family, ...]
    left_out: tuple[LeftOut, ...] = ()

    def columns_of(self, number: int, label: str) -> tuple[str, ...]:
        """Of a family's member: the family's own, and those by which it names what goes later."""
        later = (n.hang for family in self.families[number + 1 :] for n in family.namings)
        naming = (c for hang in later if hang.child == label for c in hang.columns)
        return tuple(dict.fromkeys((*self.families[number].columns_of(label), *naming)))


@dataclass
class TableFate:
    """One table of the plan.

    Attributes:
        old: rows that are old.
        rows: of them, those that would be deleted.
        bytes: about what those take, indexes included.
        changed, unknown: old rows that the snapshot holds otherwise, or not at all.
        held: old rows, equal to the snapshot's, whose unit stays because of such a row.
        named: the same, whose unit stays because a row that stays names it.
    """

    table: str
    old: int = 0
    rows: int = 0
    bytes: int = 0
    changed: int = 0
    unknown: int = 0
    held: int = 0
    named: int = 0


@dataclass(frozen=True)
class PrunePlan:
    """What a prune would do.

    Attributes:
        snapshot: which holds the rows; it was verified just now.
        kept_runs: runs before the cutoff that stay: at work, or the latest of their DAG.
        minutes: expected, from the batches, the pause and an assumed pace of `ROWS_PER_S`.
    """

    snapshot: str
    database: str
    cutoff: datetime
    tables: tuple[TableFate, ...]
    left_out: tuple[LeftOut, ...]
    batches: int
    batch_rows: int
    pause_ms: int
    units: dict[str, int] = field(default_factory=dict)
    kept_runs: int = 0

    @property
    def rows(self) -> int:
        return sum(t.rows for t in self.tables)

    @property
    def bytes(self) -> int:
        return sum(t.bytes for t in self.tables)

    @property
    def minutes(self) -> float:
        return (self.batches * self.pause_ms / 1000 + self.rows / ROWS_PER_S) / 60


def plan_scope(
    catalog: Catalog,
    manifest: Manifest,
    old: OldRows,
    *,
    unseen: Sequence[Unseen] = (),
    tables: Sequence[str] = (),
) -> Scope:
    """Decide which tables are looked at.

    Args:
        catalog: of the live database.
        unseen: foreign keys into it that the catalogue leaves out.
        tables: only these, with what hangs on them; empty for all.

    Raises:
        ConfigError: a name is no table that a prune knows.
    """
    known = _prunable(catalog, old)
    for name in tables:
        if name not in known:
            raise no_such_table("--tables", name, "what a prune deletes from", known)
    left_out = {
        label: why
        for label in known
        if (why := _why_not(catalog.by_label()[label], manifest.table(label), manifest))
    }
    builder = _Builder(catalog, old, frozenset(known) - left_out.keys(), tuple(unseen))
    families = builder.families(tables)
    named = {m.label for f in families for m in f.members} | left_out.keys()
    if tables and not families:
        raise ConfigError(f"--tables: {'; '.join(f'{t}: {w}' for t, w in left_out.items())}")
    return Scope(
        families, tuple(LeftOut(t, w) for t, w in left_out.items() if not tables or t in named)
    )


def _prunable(catalog: Catalog, old: OldRows) -> list[str]:
    """Every table that rows may be deleted from, in this database."""
    roots = old.roots()
    found = list(roots)
    for table in catalog.tables:
        if table.schema == catalog.main_schema and table.name not in found:
            parents = {link.parent for link in old.known(table.name).links}
            if parents & hanging_on(old, roots):
                found.append(table.name)
    return found


def hanging_on(old: OldRows, roots: Sequence[str]) -> set[str]:
    """These tables, and those that hang on them, at once or through others."""
    found = set(roots)
    while True:
        more = {
            t for t in old.columns
            if t not in found and any(link.parent in found for link in old.known(t).links)
        }  # fmt: skip
        if not more:
            return found
        found |= more


def _why_not(table: Table, entry: TableEntry | None, manifest: Manifest) -> str | None:
    """Why no row of a table can be proved to be in the snapshot; None where it can."""
    if entry is None:
        return "the snapshot does not hold it"
    if not table.key:
        return "it has no primary key, so its rows cannot be told apart"
    ours = [(c.name, c.type) for c in table.stored_columns]
    theirs = [(c.name, c.type) for c in entry.columns if not c.generated]
    if ours != theirs:
        return "its columns are not those of the snapshot"
    if manifest.secrets.mode != "keep" and any(c.secret for c in entry.columns):
        return f"the snapshot has --secrets {manifest.secrets.mode}: its rows are not as they were"
    if any(entry.column(k).encoding != "same" for k in table.key):
        return "the type of its key is not one that can be compared"
    return None


@dataclass(frozen=True)
class _Builder:
    """Families out of what hangs on what, as far as this database has it."""

    catalog: Catalog
    old: OldRows
    usable: frozenset[str]
    unseen: tuple[Unseen, ...]

    def families(self, tables: Sequence[str]) -> tuple[Family, ...]:
        wanted = set(tables)
        found: list[Family] = []
        if RUN in self.usable and (not wanted or RUN in wanted):
            found.append(self.family(RUN, RUN, self.old.of_root(RUN)))
            found += self.orphans([m.label for m in reversed(found[0].members[1:])])
        elif wanted and RUN in self.usable:
            found += self.parts_of_runs(wanted)
        for table in (*BY_TIME, VERSION):
            is_here = table in self.usable and table in self.old.roots()
            if is_here and (not wanted or table in wanted):
                found.append(self.family(table, table, self.old.of_root(table)))
        return tuple(found)

    def parts_of_runs(self, wanted: Collection[str]) -> list[Family]:
        """Rows of the named tables that hang on old runs, with what hangs on those rows."""
        whole = self.family(RUN, RUN, self.old.of_root(RUN))
        found: list[Family] = []
        for member in whole.members[1:]:
            brought = {m.label for f in found for m in f.members}
            if member.label in wanted and member.label not in brought:
                found.append(self.family(member.label, member.label, member.where))
        return found

    def orphans(self, labels: Collection[str]) -> list[Family]:
        """What has lost its run: children before parents."""
        found = []
        for label in labels:
            condition = self.old.of_orphan(label)
            if condition is not None:
                found.append(self.family(label, f"{label} without a run", condition))
        return found

    def family(self, root: str, name: str, condition: str) -> Family:
        members = [Member(root, condition)]
        for label in self.order(root):
            by_label = {m.label: m for m in members}
            link = next(k for k in self.old.known(label).links if k.parent in by_label)
            where = self.old.of_member(label, link, by_label[link.parent].where)
            members.append(Member(label, where, link))
        labels = [m.label for m in members]
        return Family(name, tuple(members), self.hangs(members), self.weeds(root, labels))

    def order(self, root: str) -> list[str]:
        """What hangs on the root, parents before children."""
        found = [root]
        while True:
            more = [
                t for t in sorted(self.usable)
                if t not in found and t not in (RUN, *BY_TIME, VERSION)
                and any(link.parent in found for link in self.old.known(t).links)
            ]  # fmt: skip
            if not more:
                return self.deepest_last(found)[1:]
            found += more

    def deepest_last(self, found: list[str]) -> list[str]:
        """A table comes after every other one of the family that it points at."""
        done: list[str] = []
        waiting = list(found)
        while waiting:
            free = [t for t in waiting if not self.points_at(t) & set(waiting) - {t}]
            done += free or waiting[:1]
            waiting = [t for t in waiting if t not in done]
        return done

    def points_at(self, label: str) -> set[str]:
        table = self.catalog.by_label()[label]
        hard = {self.catalog.label_of(k.target_schema, k.target) for k in table.foreign_keys}
        return hard | {link.parent for link in self.old.known(label).links[:1]}

    def hangs(self, members: Sequence[Member]) -> tuple[Hang, ...]:
        labels = {m.label for m in members}
        found: list[Hang] = []
        for table in self.catalog.tables:
            child = self.catalog.label(table)
            for key in table.foreign_keys:
                target = self.catalog.label_of(key.target_schema, key.target)
                if target in labels:
                    found.append(Hang(child, key.columns, target, key.target_columns))
        for one in self.unseen:
            if one.target in labels:
                child = self.catalog.label(one.table)
                found.append(Hang(child, one.columns, one.target, one.to))
        held = {h.child for h in found}
        for member in members:
            if member.up is not None and member.label not in held:
                up = member.up
                found.append(Hang(member.label, up.columns, up.parent, up.to, hard=False))
        return tuple(dict.fromkeys(found))

    def weeds(self, root: str, labels: Collection[str]) -> tuple[Hang, ...]:
        if root not in (*BY_TIME, VERSION):
            return ()
        return tuple(
            Hang(link.parent, link.to, root, link.columns, hard=False)
            for link in self.old.references(root)
            if link.parent not in labels
        )
