"""Decide what an export takes, and how: a pure function of what was read first.

An increment stands on a parent only where nothing speaks against it. Whatever does is a
reason, in words, for a full snapshot (or for one table taken whole): it lands in the
manifest. See docs/format.md, "Increments", for why each check is there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from airkeep.database.catalog import Catalog, Lineage, Table
from airkeep.database.sql import literal
from airkeep.errors import ConfigError, no_such_table
from airkeep.snapshot.manifest import LineageEntry, Manifest, SecretsMode, TableEntry
from airkeep.snapshot.names import id_time
from airkeep.tables.revisions import airflow_version
from airkeep.tables.roles import Role, is_airflow_table, role_of
from airkeep.tables.secrets import DROPPED_WHOLE, Secret, secrets_of
from airkeep.tables.window import needed_by, window_rule

WRAP = 1 << 32
# Kept as a number and read as another object's name, which changes without a word in the row.
_NAMES_OTHERS = re.compile(r"(reg\w+|aclitem)(\[\])*")
How = Literal["whole", "changed"]


@dataclass(frozen=True)
class ExportOptions:
    """What the user asked for; every default is the plain full snapshot."""

    environment: str
    increment: bool = False
    since: datetime | None = None
    tables: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    airflow_only: bool = False
    secrets: SecretsMode = "keep"
    allow_plain: bool = False


@dataclass(frozen=True)
class TablePlan:
    """How one table is taken.

    Attributes:
        where: a condition in the server's SQL, None for every row.
        how: `whole`, or `changed`: the rows since the parent's entry.
        window: the rows taken, in words, where a window cuts this table.
    """

    table: Table
    label: str
    role: str
    how: How
    where: str | None
    window: str | None
    secrets: tuple[Secret, ...]
    parent: TableEntry | None = None


@dataclass(frozen=True)
class ExportPlan:
    """All of it; `parent` is None for a full snapshot, `full_because` says why one was made."""

    tables: tuple[TablePlan, ...]
    complete: bool
    parent: Manifest | None
    full_because: str | None


def choose_tables(labels: Collection[str], options: ExportOptions) -> set[str]:
    """The labels that the options ask for.

    Raises:
        ConfigError: --tables or --skip names a table that is not there, or they leave none.
    """
    for flag, named in (("--tables", options.tables), ("--skip", options.skip)):
        for name in named:
            if name not in labels:
                raise no_such_table(flag, name, "the database", labels)
    chosen = set(options.tables) or set(labels)
    if options.airflow_only:
        chosen = {label for label in chosen if is_airflow_table(label)}
    if not chosen - set(options.skip):
        flags = "--airflow-only, --tables" if options.airflow_only else "--tables"
        raise ConfigError(f"{flags} and --skip leave no table")
    return chosen - set(options.skip)


def touched_tables(labels: Collection[str], chosen: Collection[str], *, window: bool) -> set[str]:
    """What is to be locked: the chosen ones, and those that a window asks which rows to take."""
    return set(needed_by(chosen)) & set(labels) if window else set(chosen)


def plan_export(
    catalog: Catalog,
    options: ExportOptions,
    *,
    chosen: Collection[str],
    parent: Manifest | None = None,
    because: str | None = None,
    altered: Collection[int] = (),
) -> ExportPlan:
    """Decide for every chosen table.

    Args:
        catalog: of the whole database.
        chosen: the labels of the tables to take.
        parent: what the increment stands on, None for a full snapshot.
        because: why there is no parent, where one was wanted.
        altered: oids of tables that `altered_since` found.
    """
    columns = {t.name: {c.name for c in t.columns} for t in catalog.tables if _is_main(t, catalog)}
    tables = tuple(
        _plan_table(t, catalog, options, columns, None if t.oid in altered else parent)
        for t in catalog.tables
        if catalog.label(t) in chosen
    )
    missing = missing_tables(catalog, chosen)
    return ExportPlan(
        tables=tables,
        complete=not missing and options.since is None and options.secrets != "drop",
        parent=parent,
        full_because=because,
    )


def missing_tables(catalog: Catalog, chosen: Collection[str]) -> set[str]:
    """Airflow's tables that the snapshot will not hold with all their rows.

    Those that were not chosen; those that are no ordinary tables (a partitioned `log`), or have
    children that inherit; and, of an Airflow whose revision is not known, every other table beside
    Airflow's: it may be a new one of its own.
    """
    place = f" {catalog.main_schema}."
    odd = {what.partition(place)[2] for what in catalog.left_out}
    odd |= {catalog.label(t) for t in catalog.tables if t.has_children}
    own = {label for label in catalog.by_label() if is_airflow_table(label)}
    if not airflow_version(catalog.revisions).known:
        own |= {catalog.label(t) for t in catalog.tables if _is_main(t, catalog)}
    return {name for name in odd if is_airflow_table(name)} | (own - set(chosen))


def _is_main(table: Table, catalog: Catalog) -> bool:
    return table.schema == catalog.main_schema


def _plan_table(
    table: Table,
    catalog: Catalog,
    options: ExportOptions,
    columns: Mapping[str, Collection[str]],
    parent: Manifest | None,
) -> TablePlan:
    label = catalog.label(table)
    is_main = _is_main(table, catalog)
    secrets = secrets_of(table.name, columns[table.name]) if is_main else ()
    where, phrase = None, None
    if options.since is not None and is_main:
        rule = window_rule(table.name, columns, schema=table.schema or "")
        where = rule.where(_cutoff(options.since, catalog))
        phrase = None if where is None else rule.phrase
    if options.secrets == "drop" and is_main and table.name in DROPPED_WHOLE:
        where, phrase = "1 = 0", "no row: they hold nothing but secrets"
    entry = parent.table(label) if parent is not None else None
    changed = entry is not None and comparable(table, entry)
    return TablePlan(
        table=table,
        label=label,
        role=(role_of(table.name) if is_main else Role.FOREIGN).value,
        how="changed" if changed else "whole",
        where=where,
        window=phrase,
        secrets=secrets,
        parent=entry if changed else None,
    )


def comparable(table: Table, entry: TableEntry) -> bool:
    """Whether a table's rows can be told from the parent's by row version and key."""
    ours = [(c.name, c.type, c.nullable, c.default, c.generated is not None) for c in table.columns]
    theirs = [(c.name, c.type, c.nullable, c.default, c.generated) for c in entry.columns]
    return (
        bool(table.key)
        and table.oid == entry.oid
        and table.key == entry.key
        and ours == theirs
        and entry.settled is not None
        and table.persistence == "p"
        and not any(_NAMES_OTHERS.fullmatch(c.type) for c in table.columns)
    )


def _cutoff(since: datetime, catalog: Catalog) -> str:
    text = since.replace(tzinfo=None).isoformat(" ", "microseconds")
    return (
        f"TIMESTAMPTZ {literal(text + '+00')}" if catalog.engine == "postgresql" else literal(text)
    )


def why_not_parent(
    parent: Manifest,
    *,
    catalog: Catalog,
    lineage: Lineage | None,
    fixed_at: datetime,
    secrets: SecretsMode,
    archive_keys: tuple[str, ...],
) -> str | None:
    """The first reason against this parent, None when there is none."""
    if parent.adopted is not None:
        return "the snapshot before it was adopted from a backup"
    if lineage is None or parent.lineage is None:
        return "SQLite keeps no row versions"
    checks = (
        (parent.revisions != catalog.revisions, "the alembic revision changed"),
        (parent.main_schema != catalog.main_schema, "Airflow's schema changed"),
        (parent.secrets.mode != secrets, f"the parent has --secrets {parent.secrets.mode}"),
        # The first seals; those behind it only open what was sealed before.
        (parent.secrets.archive_keys[:1] != archive_keys[:1], "the archive key changed"),
        (
            parent.rekeyed is not None and parent.secrets.mode == "keep",
            "the secrets of the snapshot before it were encrypted with another key",
        ),
        (id_time(parent.id) > fixed_at, "the server's clock is behind the parent"),
        *_lineage_checks(parent.lineage, lineage),
    )
    return next((reason for failed, reason in checks if failed), None)


def _lineage_checks(parent: LineageEntry, now: Lineage) -> tuple[tuple[bool, str], ...]:
    return (
        (
            not now.system_identifier or parent.system_identifier != now.system_identifier,
            "it is another database server",
        ),
        (parent.database_oid != now.database_oid, "it is another database"),
        (parent.timeline != now.timeline, "the server's timeline changed"),
        (
            parent.server_start != now.server_start,
            "the server was started since the parent, so it may be a copy",
        ),
        (
            now.xmin < parent.xmin or now.xmax < parent.xmax,
            "the server's transaction counter is behind the parent",
        ),
        (now.xmax - parent.xmin >= WRAP, "more than 2^32 transactions since the parent"),
    )


def changed_since(parent_xmin: int, now_xmax: int) -> str:
    """The condition for rows whose version is not older than the parent's horizon.

    Row versions carry the low 32 bits of their transaction id, for ever, frozen ones too; so
    the distance to the horizon is taken modulo 2^32. A frozen row that is older than 2^32
    transactions may look new and is exported once too often; a new one can never look old.
    """
    span = now_xmax - parent_xmin
    if span == 0 or span >= WRAP:
        return "true" if span else "false"  # no transaction since then; or any row may be new
    low, high = parent_xmin % WRAP, (parent_xmin + span) % WRAP
    # Four bytes, most significant first: compared as numbers are, in half the time of xmin::text.
    sides = f"xidsend(xmin) >= {_sent(low)}", f"xidsend(xmin) < {_sent(high)}"
    return f"({(' OR ' if high < low else ' AND ').join(sides)})"


def _sent(xid: int) -> str:
    return f"decode('{xid:08x}', 'hex')"


def altered_since(changed: str, oids: Collection[int]) -> str:
    """The statement that gives the oids of tables whose rows may read otherwise, unmoved.

    A column that is dropped and added again with a default, or an enum value that gets another
    name, rewrites no row; and the columns may look as they did. So the catalogue's own row
    versions are asked.

    Args:
        changed: the condition of `changed_since`.
    """
    listed = ", ".join(str(oid) for oid in oids) or "0"
    types = (
        f"EXISTS (SELECT 1 FROM pg_enum WHERE {changed}) OR EXISTS (SELECT 1 FROM pg_attribute "
        f"WHERE attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'c') AND {changed})"
    )
    made_of_types = "SELECT oid FROM pg_type WHERE typtype <> 'b' OR typelem <> 0"
    return (
        f"SELECT DISTINCT attrelid::bigint FROM pg_attribute WHERE attrelid IN ({listed}) "
        f"AND attnum > 0 AND ({changed} OR (atttypid IN ({made_of_types}) AND ({types})))"
    )
