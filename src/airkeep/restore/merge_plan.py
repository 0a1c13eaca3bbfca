"""How rows that arrive in a living target are known again there, and what points at what.

A row is the same row in another database when

- its natural key is (`tables.defaults`), the references in it translated first; else
- its primary key is, where that is no number or uuid that the database gave it; else
- all of it is, but for that number (`log`, `job`, `task_reschedule`, `trigger`, ...), so that a
  second run finds everything there.

A number or uuid of the database's own is kept where it is free in the target; where another row
has it the row gets a new one, and every column that points at it follows: foreign keys as the
catalogue has them, and what no foreign key says from `tables.references`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from airkeep.database.catalog import Catalog, Column, Table
from airkeep.errors import ConfigError, did_you_mean
from airkeep.restore.order import parents_first
from airkeep.snapshot.manifest import TableEntry
from airkeep.tables.defaults import natural_key, written_anew
from airkeep.tables.references import soft_references
from airkeep.tables.roles import Role, role_of
from airkeep.tables.secrets import secrets_of
from airkeep.tables.window import known_of

Policy = Literal["fail", "skip", "replace"]
Only = Literal["history", "config", "all"]

POLICIES: tuple[Policy, ...] = ("fail", "skip", "replace")
CLASSES = tuple(role.value for role in Role if role is not Role.ALEMBIC)

_NUMBERS = frozenset({"smallint", "integer", "bigint"})
# SQLite has no uuid: SQLAlchemy stores one as 32 hex digits, or as PostgreSQL's name for it.
_UUIDS = frozenset({"uuid", "char(32)"})


@dataclass(frozen=True)
class Link:
    """Columns that point at a row of another table, or of the same one.

    Attributes:
        parent: the label of the table pointed at.
        to: its columns, in the order of `columns`.
        firm: a foreign key says so, which the target may enforce.
        text: the one column holds the number as text.
        part: no foreign key says so, and yet a row is a part of the one that it points at: before
            2.2 a task instance of the run of its date.
    """

    columns: tuple[str, ...]
    parent: str
    to: tuple[str, ...]
    firm: bool = True
    text: bool = False
    part: bool = False


@dataclass(frozen=True)
class TableMerge:
    """How one table's rows go into a living target.

    Attributes:
        columns: those of the snapshot, stored ones only.
        own: the column whose number or uuid the database gives, None where there is none.
        number: `own` is a number, not a uuid.
        key: what a row is known by again; empty: by all columns but `own`.
        emptied: columns that would point at rows of a table that is left out: they become NULL.
        brought: only rows that others point at come, and never over a row that is there.
        locked: other writers are kept out. Where rows are only ever added beside others and
            nothing firm points at them, nobody needs to wait: heartbeats in `job` go on.
    """

    label: str
    table: Table
    columns: tuple[str, ...]
    own: str | None
    number: bool
    key: tuple[str, ...]
    links: tuple[Link, ...]
    policy: Policy
    emptied: tuple[str, ...] = ()
    brought: bool = False
    locked: bool = True

    @property
    def told_by(self) -> tuple[str, ...]:
        """The columns that name a row to people; no secret, as a session's id is one."""
        hidden = {s.column for s in secrets_of(self.table.name, self.columns)}
        named = self.key or ((self.own,) if self.own else self.columns[:3])
        return tuple(c for c in named if c not in hidden) or ((self.own,) if self.own else ())

    def hangs_on(self, link: Link) -> bool:
        """Whether a row cannot be without the one that the link points at."""
        return any(not self.table.column(c).nullable for c in link.columns)

    @property
    def compared(self) -> tuple[str, ...]:
        """What rows of one key are compared in.

        A replaced row becomes the snapshot's as a whole; else it is no other row for what each
        parse of a DAG file writes anew.
        """
        passing = () if self.policy == "replace" else written_anew(self.table.name)
        return tuple(c for c in self.content if c not in passing)

    @property
    def content(self) -> tuple[str, ...]:
        """What a row says, apart from the number it has."""
        return tuple(c for c in self.columns if c != self.own)


def read_policies(text: str) -> dict[str, Policy]:
    """`skip`, or `skip,history=replace`: a policy by class of table, "" for all others.

    Raises:
        ConfigError: a word that is neither.
    """
    found: dict[str, Policy] = {}
    for part in text.split(","):
        kind, equals, word = part.strip().rpartition("=")
        policy = next((p for p in POLICIES if p == word), None)
        if policy is None:
            raise ConfigError(
                f"--on-conflict {text}: {word!r} is none of fail, skip, replace"
                f"{did_you_mean(word, POLICIES)}"
            )
        if equals and kind not in CLASSES:
            raise ConfigError(
                f"--on-conflict {text}: {kind!r} is no class of tables "
                f"({', '.join(CLASSES)}){did_you_mean(kind, CLASSES)}"
            )
        if kind in found:
            raise ConfigError(f"--on-conflict {text}: {kind or 'the policy'} is given twice")
        found[kind] = policy
    return found


def chosen_by(only: Only, entries: Sequence[TableEntry]) -> list[TableEntry]:
    """The tables of `--only`."""
    if only == "all":
        return list(entries)
    return [e for e in entries if e.role == only]


def plan_merge(
    entries: Sequence[TableEntry],
    chosen: Collection[str],
    catalog: Catalog,
    policies: Mapping[str, Policy],
    *,
    left_out: Collection[str] = (),
) -> tuple[TableMerge, ...]:
    """How every table goes in: what is pointed at comes before what points, by a key or without.

    Args:
        entries: every table of the snapshot that the target has.
        chosen: labels of those that were asked for; of the others come the rows that these
            point at.
        policies: see `read_policies`.
        left_out: tables of the snapshot that were not to come.

    Raises:
        ConfigError: rows cannot be without those of a table that is left out.
    """
    tables = catalog.by_label()
    firm = {
        catalog.label_of(f.target_schema or t.schema, f.target)
        for t in catalog.tables
        for f in t.foreign_keys
    }
    there = {e.label for e in entries}
    planned = [
        _table_merge(e, tables[e.label], catalog, _policy(e, policies), firm) for e in entries
    ]
    wanted = _reached({p.label: p for p in planned}, chosen)
    rows = {e.label: e.rows for e in entries}
    planned = [
        replace(p, emptied=_emptied(p, there, catalog, left_out if rows[p.label] else ()))
        for p in planned
        if p.label in wanted
    ]
    return tuple(
        p if p.label in chosen else replace(p, brought=True, policy="skip")
        for p in in_order(planned)
    )


def _emptied(
    merge: TableMerge, there: Collection[str], catalog: Catalog, left_out: Collection[str]
) -> tuple[str, ...]:
    """The columns whose number means another row in the target, or none."""
    tables = catalog.by_label()
    found = []
    for link in merge.links:
        parent = tables.get(link.parent)
        if link.parent in there or parent is None or len(link.columns) > 1:
            continue
        firm = [x for x in links_of(parent, catalog, [c.name for c in parent.columns]) if x.firm]
        if link.to != (own_column(parent, firm),):
            continue
        if link.parent not in left_out and (link.text or merge.hangs_on(link)):
            continue  # a snapshot without FAB's users: what names a user names it otherwise
        if merge.hangs_on(link):
            raise ConfigError(
                f"{link.parent} is left out, and {merge.label}.{link.columns[0]} points at its "
                f"rows: leave {merge.label} out as well (--skip), or take both"
            )
        found.append(link.columns[0])
    return tuple(found)


def in_order(merges: Sequence[TableMerge]) -> list[TableMerge]:
    """Parents first; where they form a cycle, a soft link is passed over before a firm one."""
    by_label = {m.label: m for m in merges}
    edges = {
        m.label: {
            link.parent: link.firm or link.part
            for link in sorted(m.links, key=lambda link: link.firm or link.part)
            if link.parent in by_label and link.parent != m.label
        }
        for m in merges
    }
    order, _ = parents_first(edges)
    return [by_label[label] for label in order]


def _policy(entry: TableEntry, policies: Mapping[str, Policy]) -> Policy:
    found = policies.get(entry.role) or policies.get("", "fail")
    # A job that the target has is at work there, or knows better how it ended.
    return "skip" if entry.name == "job" else found


def _reached(merges: Mapping[str, TableMerge], chosen: Collection[str]) -> set[str]:
    """The chosen tables, and all that is reached from them."""
    reached: set[str] = set()
    todo = [label for label in chosen if label in merges]
    while todo:
        label = todo.pop()
        if label not in reached:
            reached.add(label)
            todo += [link.parent for link in merges[label].links if link.parent in merges]
    return reached


def _table_merge(
    entry: TableEntry, table: Table, catalog: Catalog, policy: Policy, firm: Collection[str]
) -> TableMerge:
    columns = tuple(c.name for c in entry.columns if not c.generated)
    links = links_of(table, catalog, columns)
    own = own_column(table, links)
    named = natural_key(table.name, columns) if role_of(entry.label) is not Role.FOREIGN else ()
    key = named or (() if own else table.key)
    return TableMerge(
        label=entry.label,
        table=table,
        columns=columns,
        own=own,
        number=own is not None and _plain(table.column(own)) in _NUMBERS,
        key=key,
        links=links,
        policy=policy,
        locked=_is_unique(table, own) or entry.label in firm,
    )


def links_of(table: Table, catalog: Catalog, columns: Collection[str]) -> tuple[Link, ...]:
    """Everything that a table's rows point at, foreign keys first."""
    firm = {
        Link(
            f.columns, catalog.label_of(f.target_schema or table.schema, f.target), f.target_columns
        )
        for f in table.foreign_keys
        if set(f.columns) <= set(columns)
    }
    said = {link.columns for link in firm}
    soft: set[Link] = set()
    if table.schema == catalog.main_schema:
        names = [t.name for t in catalog.tables if t.schema == catalog.main_schema]
        soft = {
            Link((s.column,), s.parent, (s.to,), firm=False, text=_is_text(table.column(s.column)))
            for s in soft_references(table.name, columns, names)
            if (s.column,) not in said
        }
        if not {link.parent for link in firm} & {"dag_run", "task_instance"}:
            soft |= _parts(table, catalog)
    return (*sorted(firm, key=_order), *sorted(soft, key=_order))


def _parts(table: Table, catalog: Catalog) -> set[Link]:
    """The run whose part a row is, where it names it and no foreign key does."""
    columns = {
        t.name: [c.name for c in t.columns]
        for t in catalog.tables
        if t.schema == catalog.main_schema
    }
    return {
        Link(k.columns, k.parent, k.to, firm=False, part=True)
        for k in known_of(table.name, columns).links
        if k.parent == "dag_run" and len(k.columns) > 1
    }


def _order(link: Link) -> tuple[tuple[str, ...], str]:
    return link.columns, link.parent


def own_column(table: Table, links: Sequence[Link]) -> str | None:
    """The one column of the primary key, where it is a number or uuid that says nothing.

    FAB's ids on 3.x have no default, so Airflow's own tables are believed by the column's name.
    """
    if len(table.key) != 1 or table.key in {link.columns for link in links}:
        return None
    column = table.column(table.key[0])
    kind = _plain(column)
    if kind in _UUIDS or (kind in _NUMBERS and _is_numbered(column, table)):
        return column.name
    return None


def _is_numbered(column: Column, table: Table) -> bool:
    """Not a hash, like 2.x's `dag_code.fileloc_hash`."""
    is_ours = role_of(table.name) is not Role.FOREIGN
    return (
        (is_ours and column.name == "id")
        or bool(column.identity)
        or "nextval(" in (column.default or "")
    )


def _is_unique(table: Table, own: str | None) -> bool:
    """Whether two rows may not say the same, apart from their number."""
    keys = [k.columns for k in table.constraints if k.kind in "pux"]
    return any(k != (own,) for k in keys) or any(i.unique for i in table.indexes)


def _is_text(column: Column) -> bool:
    return column.type.lower().startswith(("character varying", "text", "varchar"))


def _plain(column: Column) -> str:
    return re.sub(r"^(integer|bigint|smallint).*$", r"\1", column.type.lower())
