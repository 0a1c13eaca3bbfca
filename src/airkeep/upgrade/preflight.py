"""What is in a snapshot that a migration is known to end at, found before anything is installed.

Each finding is a line that names the rows and says what to do about them; all of them are told at
once. What Airflow takes in its own way (a pickled XCom, a conf that is no JSON) is no finding but a
note: it was that Airflow's decision, and the report counts it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from airkeep.database.sql import ident
from airkeep.snapshot.fold import fold
from airkeep.snapshot.manifest import Manifest, TableEntry
from airkeep.snapshot.read import SnapshotReader
from airkeep.tables.revisions import airflow_version, version_order
from airkeep.tables.roles import Role
from airkeep.tables.shapes import core_tables, known_versions
from airkeep.upgrade.plan import MigrationStep
from airkeep.upgrade.values import (
    NOT_JSON,
    OBJECTS,
    PICKLED,
    UNREADABLE,
    LeftOutError,
    Tally,
    of_old_conf,
    of_old_xcom,
)

_SHOWN = 3
# A table that another version makes later is there already, from an upgrade that was taken back.
_HARMLESS = frozenset({"_xcom_archive", "session", "alembic_version", "alembic_version_fab"})
_MOVED = "_airflow_moved__"
# No migration reads them: FAB or a later start of Airflow makes them where they are missing.
_NOT_NEEDED = frozenset({"session", "alembic_version", "alembic_version_fab", "log_template"})


@dataclass
class Findings:
    """What speaks against a migration, and what people should know."""

    against: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look_at(
    reader: SnapshotReader, steps: Sequence[MigrationStep], *, skip: Sequence[str] = ()
) -> Findings:
    """Look at a snapshot's tables and rows.

    Args:
        reader: of the snapshot, entered.
        steps: the way that it is to go.
        skip: tables that stay behind.
    """
    manifest = reader.snapshot.manifest
    found = Findings()
    found.against += _tables(manifest, steps, skip)
    found.against += look_at_skip(reader, skip)
    for check in _ROWS:
        table = manifest.table(check.table)
        if table is not None and table.rows and check.table not in skip:
            found.against += _rows(reader, table, check)
    found.against += _left_aside(reader, skip)
    if (airflow_version(manifest.revisions).major or 3) < 3 <= version_order(steps[-1].to)[0]:
        _pickles(reader, found, skip)
    return found


def in_the_way(manifest: Manifest, skip: Sequence[str]) -> tuple[TableEntry, ...]:
    """The skipped tables that no migration may meet; of Airflow's own only the rows stay behind."""
    version = airflow_version(manifest.revisions)
    first = version.first or version.near
    _, ever = _surely(first)
    newer = [v for v in known_versions() if version_order(v) > version_order(first)]
    later = _made(newer) - ever if ever else set()
    return tuple(
        t
        for t in manifest.tables
        if t.label in skip
        and (t.role == Role.FOREIGN.value or t.label in later or t.label.startswith(_MOVED))
    )


def _made(releases: Iterable[str]) -> set[str]:
    """The tables that their migrations make; FAB's are made where they are missing."""
    tables = set().union(*map(core_tables, releases))
    return {t for t in tables if not t.startswith("ab_")} - _HARMLESS


def _tables(
    manifest: Manifest, steps: Sequence[MigrationStep], skip: Sequence[str]
) -> Iterator[str]:
    version = airflow_version(manifest.revisions)
    first = version.first or version.near
    there = set(manifest.labels)
    always, ever = _surely(first)
    missing = sorted(always - there - _NOT_NEEDED - _fab(manifest))
    if missing:
        yield (
            f"tables of Airflow {first} that are not in the snapshot: {_listed(missing)}. Make "
            f"them in the source as that Airflow has them, empty, and export again"
        )
    early = (_made(v for s in steps for v in (s.airflow, s.to)) - ever) & (there - set(skip))
    if ever and early:
        yield (
            f"{_listed(sorted(early))}, which a migration makes, "
            f"{'is' if len(early) == 1 else 'are'} there already: leave "
            f"{'it' if len(early) == 1 else 'them'} out with --skip"
        )
    for table in manifest.tables:
        names = [r.target for r in table.references if r.target == "task_instance"]
        if table.role == Role.FOREIGN.value and names and table.label not in skip:
            yield (
                f"{table.label}, which is not Airflow's, points at {names[0]}, whose key the "
                f"migrations change: leave it out with --skip {table.label}"
            )


def look_at_skip(reader: SnapshotReader, skip: Sequence[str]) -> Iterator[str]:
    """What cannot be left behind, and rows that would point at nothing once the others are."""
    if "alembic_version" in skip:
        yield "--skip alembic_version: it says where the migrations begin, so it cannot stay behind"
    for table in reader.snapshot.manifest.tables:
        if not table.rows or table.label in skip:
            continue
        for reference in table.references:
            if reference.target not in skip:
                continue
            whole = " AND ".join(f"{ident(c)} IS NOT NULL" for c in reference.columns)
            statement = f"SELECT '', count(*) FROM {{rows}} WHERE {whole}"
            [(_, rows)] = _ask(reader, table.label, statement)
            if rows:
                yield (
                    f"{rows:,} rows of {table.label} point at {reference.target}, which --skip "
                    f"leaves behind: leave both out, or neither (--skip {table.label})"
                )


def _surely(version: str) -> tuple[set[str], set[str]]:
    """Tables that a release surely has, and those that it may have; nothing where nothing is known.

    The tables of some releases are known: it has what the one before and the one after it have.
    """
    order = version_order(version)
    older = [v for v in known_versions() if version_order(v) <= order]
    newer = [v for v in known_versions() if version_order(v) >= order]
    if not newer:
        return set(), set()
    after = core_tables(newer[0])
    return (core_tables(older[-1]) & after if older else set()), after


def _fab(manifest: Manifest) -> set[str]:
    """Users and roles: none of them are there where nobody used Airflow's own web server."""
    tables = {name for name in ("ab_user", "users") if manifest.table(name) is not None}
    return set() if tables else {"users", "user"} | {f"ab_{n}" for n in _AB}


_AB = (
    "user", "role", "user_role", "permission", "view_menu", "permission_view",
    "permission_view_role", "register_user",
)  # fmt: skip


@dataclass(frozen=True)
class _Check:
    """Rows that break a rule which a migration makes.

    Attributes:
        shown: the column that names such a row.
        where: their condition in SQL; or `unique` columns that several rows share.
    """

    table: str
    shown: str
    what: str
    remedy: str
    where: str = ""
    unique: tuple[str, ...] = ()


_RENAME = "give each its own name in the source and export again"
_ROWS = (
    _Check("connection", "conn_id", "share a conn_id", _RENAME, unique=("conn_id",)),
    _Check(
        "connection",
        "conn_id",
        "have no conn_type",
        "give them one in the source and export again",
        where="conn_type IS NULL",
    ),
    _Check("ab_user", "username", "share a username", _RENAME, unique=("username",)),
    _Check("ab_register_user", "username", "share a username", _RENAME, unique=("username",)),
    _Check(
        "dag_run",
        "dag_id",
        "share dag_id and run_id",
        "delete all but one of each in the source and export again",
        unique=("dag_id", "run_id"),
    ),
    _Check(
        "task_instance",
        "dag_id",
        "share their whole key",
        "delete all but one of each in the source and export again",
        unique=("dag_id", "task_id", "run_id", "map_index"),
    ),
)


def _rows(reader: SnapshotReader, table: TableEntry, check: _Check) -> Iterator[str]:
    columns = {c.name for c in table.columns}
    if not {check.shown, *check.unique} <= columns:
        return
    if check.unique:
        names = ", ".join(map(ident, check.unique))
        whole = " AND ".join(f"{ident(c)} IS NOT NULL" for c in check.unique)
        condition = f"WHERE {whole} GROUP BY {names} HAVING count(*) > 1"
        statement = f"SELECT min({ident(check.shown)})::VARCHAR, count(*) FROM {{rows}} {condition}"
    else:
        statement = f"SELECT {ident(check.shown)}::VARCHAR, 1 FROM {{rows}} WHERE {check.where}"
    found = _ask(reader, table.label, statement)
    if found:
        shown = _listed(sorted({str(name) for name, _ in found}))
        rows = sum(n for _, n in found)
        yield f"{rows} rows of {check.table} {check.what} ({shown}): {check.remedy}"


def _left_aside(reader: SnapshotReader, skip: Sequence[str]) -> Iterator[str]:
    """Rows without a run that are to be set aside, where a table of the last time is there."""
    manifest = reader.snapshot.manifest
    for table in manifest.tables:
        if not table.label.startswith(_MOVED) or table.label in skip:
            continue
        parts = table.label.split("__")
        source = manifest.table(parts[-1])
        if source is None or "dangling" not in parts:
            continue
        if any(c.name == "run_id" for c in source.columns):
            continue
        yield (
            f"{table.label} is there from an earlier upgrade, where {parts[-1]}'s rows without a "
            f"run would be set aside: leave it out with --skip {table.label}"
        )


def _pickles(reader: SnapshotReader, found: Findings, skip: Sequence[str]) -> None:
    """What Airflow 2 kept as pickles and bytes, and Airflow 3 keeps as JSON."""
    manifest = reader.snapshot.manifest
    xcom, runs = (None if t in skip else manifest.table(t) for t in ("xcom", "dag_run"))
    if xcom is not None and xcom.rows and _is_bytes(xcom, "value"):
        counts, named = _formed(reader, "xcom", "value", "key", xcom=True)
        if counts[UNREADABLE]:
            found.against.append(
                f"{counts[UNREADABLE]} XComs are neither JSON nor a pickle ({_listed(named)}): "
                f"delete them in the source and export again"
            )
        if counts[PICKLED]:
            found.notes.append(
                f"{counts[PICKLED]:,} XComs are pickled: Airflow moves them to _xcom_archive, "
                f"which Airflow 3 does not read"
            )
    if runs is not None and runs.rows and _is_bytes(runs, "conf"):
        counts, named = _formed(reader, "dag_run", "conf", "run_id", xcom=False)
        if counts[OBJECTS]:
            found.notes.append(
                f"{counts[OBJECTS]:,} confs are pickled objects ({_listed(named)}): Airflow's "
                f"migration unpickles them, which runs what they name, and makes those that are "
                f"no JSON NULL"
            )
        if counts[NOT_JSON]:
            found.notes.append(f"{counts[NOT_JSON]:,} confs are no JSON: Airflow makes them NULL")


def _is_bytes(table: TableEntry, column: str) -> bool:
    kinds = {c.name: c.type.lower() for c in table.columns}
    return kinds.get(column, "json") in ("bytea", "blob")


def _formed(
    reader: SnapshotReader, label: str, column: str, shown: str, *, xcom: bool
) -> tuple[Counter[str], list[str]]:
    """How many values are of which odd kind, and the names of the oddest."""
    tally, named = Tally(), set()
    form = of_old_xcom if xcom else of_old_conf
    for batch in reader.batches(label):
        names = batch.column(shown).to_pylist()
        for name, value in zip(names, batch.column(column).to_pylist(), strict=True):
            try:
                formed = form(value, tally)
                if formed is not None and not _is_text(formed):
                    raise LeftOutError(UNREADABLE)  # noqa: TRY301 - one place counts them
            except LeftOutError as reason:
                tally.left_out[str(reason)] += 1
                if str(reason) in (UNREADABLE, OBJECTS):
                    named.add(str(name))
    return tally.left_out + tally.converted, sorted(named)


def _is_text(formed: str) -> bool:
    """Whether its texts are Unicode: half a surrogate pair is none, and PostgreSQL refuses it."""
    try:
        json.dumps(json.loads(formed), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _ask(reader: SnapshotReader, label: str, statement: str) -> list[tuple[str, int]]:
    layers = reader.fetch(label)
    try:
        return reader.db.execute(statement.format(rows=f"({fold(layers)})")).fetchall()
    finally:
        reader.drop(layers)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
