"""How a restored environment wakes: what is in flight is settled, and nothing is due from the past.

`settle` runs where the snapshot's rows are, in the target's own tables or in staging ones that are
merged later; `start_quietly` runs on the target's own tables when all rows are in them. Both are
part of the restore's one transaction. `foresee` counts the same over the snapshot's own files, for
a dry run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from airkeep.database.sql import ident
from airkeep.restore.inflight import (
    InFlight,
    Outcome,
    in_flight_question,
    in_flight_statements,
    outcomes,
    tables_asked,
)
from airkeep.restore.quiet import MissedRuns, QuietPlan, plan_quiet, quiet_question, read_dags
from airkeep.restore.quiet_sql import past_question, quiet_statements
from airkeep.restore.statements import Columns, Dialect, Relation, Statement
from airkeep.snapshot.fold import Layer, fold
from airkeep.snapshot.manifest import DagRunEntry, Manifest, TableEntry
from airkeep.snapshot.names import id_time
from airkeep.snapshot.read import SnapshotReader

_LOOKING = "looking at what is in flight"


@dataclass(frozen=True)
class Wake:
    """What the user asked for.

    Attributes:
        active: the DAGs that are to end unpaused; None: those of the snapshot.
    """

    in_flight: InFlight = "fail"
    active: tuple[str, ...] | None = None
    missed_runs: MissedRuns = "skip"


class Database(Protocol):
    """A transaction that both kinds of statements run in."""

    @property
    def dialect(self) -> Dialect: ...
    def clock(self) -> datetime: ...
    def query(self, statement: str, *, doing: str) -> list[Any]: ...
    def change(self, statement: str, *, doing: str) -> None: ...


def columns_of(manifest: Manifest, entries: Sequence[TableEntry]) -> dict[str, tuple[str, ...]]:
    """The columns of Airflow's own tables among the entries."""
    return {
        e.name: tuple(c.name for c in e.columns if not c.generated)
        for e in entries
        if e.schema == manifest.main_schema
    }


def settle(
    database: Database,
    wake: Wake,
    columns: Columns,
    relation: Relation,
    *,
    at: datetime,
    own_run: DagRunEntry | None,
) -> tuple[Outcome, ...]:
    """Count what is in flight, then do as the policy says; see `in_flight_statements`."""
    question = in_flight_question(wake.in_flight, columns, relation, own_run)
    if question is None:
        return ()
    found = outcomes(database.query(question, doing=_LOOKING))
    if found:
        statements = in_flight_statements(
            wake.in_flight,
            columns,
            relation,
            at=at,
            own_run=own_run,
            dialect=database.dialect,
        )
        _change(database, statements)
    return found


def _change(database: Database, statements: Sequence[Statement]) -> None:
    for statement in statements:
        database.change(statement.sql, doing=statement.label)


def start_quietly(
    database: Database,
    wake: Wake,
    columns: Columns,
    relation: Relation,
    *,
    asked_of: Relation | None = None,
    going: Collection[str] = (),
) -> QuietPlan | None:
    """Unpause what is to be active, and let nothing be due; None where there are no DAGs.

    Args:
        asked_of: what is looked at, where that is not all of the tables.
        going: see `plan_quiet`.

    Raises:
        ConfigError: a DAG that is to be active is not there.
    """
    question = quiet_question(columns, asked_of or relation)
    if question is None:
        return None
    plan = plan_quiet(
        read_dags(database.query(question, doing=_LOOKING)),
        now=database.clock(),
        active=wake.active,
        missed_runs=missed_runs_of(wake, columns),
        going=going,
    )
    asked = past_question(columns, relation) if plan.sleeps else None
    without = [str(name) for (name,) in database.query(asked, doing=_LOOKING)] if asked else []
    _change(
        database,
        quiet_statements(
            plan, columns, relation, dialect=database.dialect, without_past=frozenset(without)
        ),
    )
    return plan


def missed_runs_of(wake: Wake, columns: Columns) -> MissedRuns:
    """Where --tables leaves the runs out, none is added."""
    return wake.missed_runs if "dag_run" in columns else "make"


def foresee(
    reader: SnapshotReader,
    wake: Wake,
    entries: Sequence[TableEntry],
    *,
    own_run: DagRunEntry | None,
    now: datetime,
) -> tuple[tuple[Outcome, ...], tuple[str, ...]]:
    """The outcomes and notes that a restore would give, from the snapshot's files."""
    columns = columns_of(reader.snapshot.manifest, entries)
    found: list[Outcome] = []
    notes: tuple[str, ...] = ()
    with _relations(reader, entries) as relation:
        if tables_asked(columns):
            question = in_flight_question(wake.in_flight, columns, relation, own_run)
            found += outcomes(_rows(reader, question)) if question else ()
        question = quiet_question(columns, relation)
        if question is not None:
            plan = plan_quiet(
                read_dags(_rows(reader, question)),
                now=now,
                active=wake.active,
                missed_runs=missed_runs_of(wake, columns),
            )
            found, notes = [*found, *plan.outcomes()], plan.notes()
    return tuple(found), notes


def _rows(reader: SnapshotReader, question: str) -> list[tuple[object, ...]]:
    batches = reader.arrow(question, doing=_LOOKING)
    # By place: columns of a question may share a name.
    return [row for b in batches for row in zip(*(c.to_pylist() for c in b.columns), strict=True)]


@contextmanager
def _relations(reader: SnapshotReader, entries: Sequence[TableEntry]) -> Iterator[Relation]:
    """Tables as queries over their files, brought when they are first asked for."""
    by_name = {e.name: e for e in entries if e.schema == reader.snapshot.manifest.main_schema}
    brought: dict[str, list[Layer]] = {}

    def relation(table: str) -> str:
        entry = by_name[table]
        if table not in brought:
            brought[table] = reader.fetch(entry.label)
        columns = [c for c in entry.columns if not c.generated]
        values = (_plain(c.name) if c.encoding == "literal" else ident(c.name) for c in columns)
        return f"(SELECT {', '.join(values)} FROM ({fold(brought[table])}))"

    try:
        yield relation
    finally:
        for layers in brought.values():
            reader.drop(layers)


def _plain(name: str) -> str:
    """A SQLite literal's text, as far as anything here compares it."""
    column = ident(name)
    text = f"replace(substr({column}, 2, length({column}) - 2), '''''', '''')"
    return f"CASE WHEN {column} LIKE '''%' THEN {text} ELSE {column} END AS {column}"


def instant(manifest: Manifest) -> datetime:
    """When the snapshot was fixed."""
    return id_time(manifest.id)
