"""`--since`: which rows of each table belong to a window, by run closure.

A window is a set of runs and everything that hangs on them, not a set of dates: a run of this
week brings its task instances, attempts, xcoms, notes and consumed events whatever *their*
dates are, and an old run brings nothing although somebody wrote a note on it yesterday. So no
foreign key that held in the database is broken in the window.

- A run is in the window when it is not finished (its state is neither success nor failed, or
  NULL), or when any of its dates is at or after the cutoff: end, start, queued, the time it was
  due (`run_after`) and the time it was for (`execution_date`, `logical_date`: a backfill of last
  year made today is in, and so is a run for tomorrow). `updated_at` is not asked: a bulk update
  moves it for every row. A missing end date means nothing: old Airflows left it empty.
- What hangs on a run goes with it. What has lost its run goes with its task instance, and what
  has lost that as well falls under its own dates: real databases hold such orphans.
- What hangs on no run is cut at its own date (`log`, `job`, ...) or kept whole: connections and
  DAGs, and everything that a kept row may point at (`trigger`, `dag_version`, `backfill`, ...).
- A row that has no date at all to judge it by is kept.

The rules are SQL for PostgreSQL and SQLite alike, written from the columns that are there; so
1.10's `(dag_id, execution_date)`, 2.x's `(dag_id, run_id)` and 3.x's `ti_id` need no version.

Not seen: a single task of a long finished run that was run again without its run (possible up
to 1.10, `airflow run --force`). Foreign tables are kept whole, so one that has a foreign key into
Airflow's history may point outside the window.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["runs", "time", "whole"]
Columns = Mapping[str, Collection[str]]

CUTOFF = "{cutoff}"
_FINISHED = "('success', 'failed')"


@dataclass(frozen=True)
class WindowRule:
    """How the rows of one table are chosen.

    Attributes:
        table: its name.
        kind: by runs, by its own time, or all of it.
        phrase: the same for people; the manifest keeps it.
        time_column: the first of the table's own dates, where it has one: for reports, when
            there are some.
    """

    table: str
    kind: Kind
    phrase: str
    time_column: str | None
    condition: str | None

    def where(self, cutoff: str) -> str | None:
        """The condition for `SELECT ... FROM "<table>" WHERE ...`, None when all rows are taken.

        It names the table itself here and there, so the table must stand in FROM under its own
        name, with no alias; other tables are found by `schema` of `window_rule`.

        Args:
            cutoff: the instant as an SQL literal that suits the server: `TIMESTAMPTZ '...'` on
                PostgreSQL (with the session's TimeZone at UTC, as a few columns have no zone),
                `'2026-11-01 00:00:00.000000'`, UTC, on SQLite, which compares text.
        """
        return None if self.condition is None else self.condition.replace(CUTOFF, cutoff)


@dataclass(frozen=True)
class Link:
    """Columns of a table that name a row of its parent."""

    parent: str
    columns: tuple[str, ...]
    to: tuple[str, ...]


@dataclass(frozen=True)
class _Rule:
    """What is known of one table, whatever its version: what is not there is passed over.

    Attributes:
        links: the way up. A row goes with its first parent that exists; the rest are for orphans.
        times: its own dates, for a row without any parent.
        also: more ways in: a row stays when one of these parents does.
        named_by: (table, column) that hold this table's id: what a kept row names is kept.
    """

    links: tuple[Link, ...] = ()
    times: tuple[str, ...] = ()
    also: tuple[Link, ...] = ()
    named_by: tuple[tuple[str, str], ...] = ()


def _same(parent: str, *columns: str) -> Link:
    return Link(parent, columns, columns)


_RUN = (_same("dag_run", "dag_id", "run_id"), _same("dag_run", "dag_id", "execution_date"))
_TASK = (
    Link("task_instance", ("ti_id",), ("id",)),
    _same("task_instance", "dag_id", "task_id", "run_id", "map_index"),
    _same("task_instance", "dag_id", "task_id", "run_id"),
    _same("task_instance", "dag_id", "task_id", "execution_date"),
)
_RUN_ID = (Link("dag_run", ("dag_run_id",), ("id",)),)

_DATES = ("end_date", "start_date", "queued_dttm", "scheduled_dttm", "execution_date")
_RUN_DATES = ("end_date", "start_date", "queued_at", "run_after", "logical_date", "execution_date")

_RULES: dict[str, _Rule] = {
    "task_instance": _Rule(_RUN, _DATES),
    "task_instance_history": _Rule(_RUN + _TASK, _DATES),
    "task_instance_note": _Rule(_RUN + _TASK, ("created_at",)),
    "task_fail": _Rule(_RUN + _TASK, _DATES),
    "task_map": _Rule(_RUN + _TASK),
    "task_reschedule": _Rule(_RUN + _TASK, ("end_date", "start_date", "reschedule_date")),
    "task_state_store": _Rule(_RUN_ID, ("updated_at",)),
    "rendered_task_instance_fields": _Rule(_RUN + _TASK, ("execution_date",)),
    "xcom": _Rule(_RUN + _TASK, ("timestamp",)),
    "_xcom_archive": _Rule(_RUN + _TASK, ("timestamp",)),
    "sla_miss": _Rule(_RUN + _TASK, ("timestamp", "execution_date")),
    "sensor_instance": _Rule(_RUN + _TASK, ("updated_at", "start_date", "execution_date")),
    "hitl_detail": _Rule(_TASK, ("responded_at", "created_at")),
    "hitl_detail_history": _Rule(
        (Link("task_instance_history", ("ti_history_id",), ("task_instance_id",)),),
        ("responded_at", "created_at"),
    ),
    "dag_run_note": _Rule(_RUN_ID, ("created_at",)),
    "deadline": _Rule(
        (Link("dag_run", ("dagrun_id",), ("id",)),), ("deadline_time", "deadline", "created_at")
    ),
    "backfill_dag_run": _Rule(_RUN_ID),
    "dagrun_asset_event": _Rule(_RUN_ID),
    "dagrun_dataset_event": _Rule(_RUN_ID),
    "asset_alias_asset_event": _Rule((Link("asset_event", ("event_id",), ("id",)),)),
    "dataset_alias_dataset_event": _Rule((Link("dataset_event", ("event_id",), ("id",)),)),
    # A row without a run is a partition still waiting for its last event.
    "asset_partition_dag_run": _Rule((Link("dag_run", ("created_dag_run_id",), ("id",)),)),
    "partitioned_asset_key_log": _Rule(
        (Link("asset_partition_dag_run", ("asset_partition_dag_run_id",), ("id",)),),
        ("created_at",),
    ),
    "asset_event": _Rule(
        times=("timestamp",),
        also=(Link("dag_run", ("source_dag_id", "source_run_id"), ("dag_id", "run_id")),),
        named_by=(
            ("dagrun_asset_event", "event_id"),
            ("partitioned_asset_key_log", "asset_event_id"),
        ),
    ),
    "dataset_event": _Rule(
        times=("timestamp",),
        also=(Link("dag_run", ("source_dag_id", "source_run_id"), ("dag_id", "run_id")),),
        named_by=(("dagrun_dataset_event", "event_id"),),
    ),
    # Not by a missing end date: real jobs are "running" for years after their host is gone.
    "job": _Rule(
        times=("end_date", "latest_heartbeat", "start_date"),
        named_by=(
            ("dag_run", "creating_job_id"),
            ("dag_run", "scheduled_by_job_id"),
            ("task_instance", "job_id"),
            ("task_instance", "queued_by_job_id"),
            ("task_instance_history", "job_id"),
            ("task_instance_history", "queued_by_job_id"),
            ("trigger", "triggerer_id"),
        ),
    ),
    "callback": _Rule(times=("created_at",), named_by=(("deadline", "callback_id"),)),
    "log": _Rule(times=("dttm",)),
    "import_error": _Rule(times=("timestamp",)),
    "session": _Rule(times=("expiry",)),
    "revoked_token": _Rule(times=("exp",)),
    "connection_test_request": _Rule(times=("updated_at", "created_at")),
    # Celery's, and foreign; here because it outgrows everything else and has a date.
    "celery_taskmeta": _Rule(times=("date_done",)),
    "celery_tasksetmeta": _Rule(times=("date_done",)),
}


@dataclass(frozen=True)
class Known:
    """What the rules know of a table, of the columns that one database has.

    Attributes:
        links: the way up; a row goes with its first parent that exists.
        times: its own dates.
        also: rows of other tables that keep it when they stay.
        named_by: (table, column) that hold this table's id.
    """

    links: tuple[Link, ...]
    times: tuple[str, ...]
    also: tuple[Link, ...]
    named_by: tuple[tuple[str, str], ...]


def known_of(table: str, columns: Columns) -> Known:
    """The rules of one table, for who judges rows by other questions than a window's.

    Args:
        columns: the column names of every table of this database, by table.
    """
    writer, rule = _Writer(columns, ""), _RULES.get(table, _Rule())
    return Known(
        tuple(writer.links(table, rule.links)),
        writer.there(table, _RUN_DATES if table == "dag_run" else rule.times),
        tuple(writer.links(table, rule.also)),
        tuple((child, c) for child, c in rule.named_by if writer.there(child, (c,))),
    )


def needed_by(tables: Collection[str]) -> frozenset[str]:
    """Tables that the conditions of these ask, themselves included; a version may lack some."""
    found: set[str] = set()
    waiting = list(tables)
    while waiting:
        table = waiting.pop()
        if table in found:
            continue
        found.add(table)
        rule = _RULES.get(table, _Rule())
        waiting += [link.parent for link in (*rule.links, *rule.also)]
        waiting += [child for child, _ in rule.named_by]
    return frozenset(found)


def window_rule(table: str, columns: Columns, *, schema: str = "") -> WindowRule:
    """How a window chooses the rows of one table.

    Args:
        table: its name; one that is not known here is kept whole.
        columns: the column names of every table of this database, by table.
        schema: the schema of Airflow's tables, where the search path may not find them.
    """
    return _Writer(columns, schema).rule(table)


@dataclass(frozen=True)
class _Writer:
    """The SQL text of all rules for one database."""

    columns: Columns
    schema: str

    def rule(self, table: str) -> WindowRule:
        known = _RULES.get(table)
        condition = self.kept(table)
        kind, phrase = self.kind_of(table, condition)
        times = _RUN_DATES if table == "dag_run" else known.times if known else ()
        time_column = next(iter(self.there(table, times)), None)
        return WindowRule(table, kind, phrase, time_column, condition)

    def kind_of(self, table: str, condition: str | None) -> tuple[Kind, str]:
        if condition is None:
            return "whole", "kept whole"
        if table == "dag_run":
            return "runs", "runs not finished, or with a date at or after the cutoff"
        rule = _RULES[table]
        if link := self.first_link(table, rule.links):
            orphans = "by their own dates" if self.there(table, rule.times) else "too"
            return "runs", f"rows that hang on a kept {link.parent}; orphans {orphans}"
        phrase = (
            f"rows whose {' or '.join(self.there(table, rule.times))} is at or after the cutoff"
        )
        if rule.named_by:
            phrase += ", and those that kept rows name"
        return "time", phrase

    def kept(self, table: str) -> str | None:
        """The condition under which a row of this table stays; None: always."""
        if table == "dag_run":
            state = self.name(table, "state")
            unfinished = f"{state} IS NULL OR {state} NOT IN {_FINISHED}"
            return f"({unfinished} OR {self.dated(table, _RUN_DATES)})"
        rule = _RULES.get(table)
        if rule is None or not (self.there(table, rule.times) or self.links(table, rule.links)):
            return None
        ways = [self.chain(table, rule.links, rule.times)]
        ways += [self.goes_with(table, link) for link in self.links(table, rule.also)]
        ways += [
            self.named_in(table, child, column)
            for child, column in rule.named_by
            if self.there(child, (column,))
        ]
        return f"({' OR '.join(ways)})"

    def chain(self, table: str, links: tuple[Link, ...], times: tuple[str, ...]) -> str:
        """With the first parent that exists, else by the row's own dates."""
        link = self.first_link(table, links)
        if link is None:
            return self.dated(table, times)
        rest = tuple(other for other in links if other.parent != link.parent)
        orphan, lost = self.chain(table, rest, times), f"NOT {self.has_parent(table, link)}"
        # The cheap one first: a date before a look-up, dag_run before task_instance.
        last = f"{lost} AND {orphan}" if rest else f"{orphan} AND {lost}"
        return f"({self.goes_with(table, link)} OR ({last}))"

    def goes_with(self, table: str, link: Link) -> str:
        # IN without correlation, so that PostgreSQL hashes the parent once; EXISTS below an OR
        # would be asked row by row.
        condition = self.kept(link.parent)
        where = f" WHERE {condition}" if condition else ""
        return (
            f"({self.names(table, link.columns)}) IN "
            f"(SELECT {self.names(link.parent, link.to)} FROM {self.source(link.parent)}{where})"
        )

    def has_parent(self, table: str, link: Link) -> str:
        # EXISTS and not IN: a NULL in the key means "no parent", never "unknown".
        pairs = zip(link.to, link.columns, strict=True)
        same = " AND ".join(
            f"{self.name(link.parent, to)} = {self.name(table, column)}" for to, column in pairs
        )
        return f"EXISTS (SELECT 1 FROM {self.source(link.parent)} WHERE {same})"

    def named_in(self, table: str, child: str, column: str) -> str:
        condition = self.kept(child)
        named = f"{self.name(child, column)} IS NOT NULL"
        where = f"{named} AND {condition}" if condition else named
        return (
            f"{self.name(table, 'id')} IN "
            f"(SELECT {self.name(child, column)} FROM {self.source(child)} WHERE {where})"
        )

    def dated(self, table: str, times: tuple[str, ...]) -> str:
        there = [self.name(table, time) for time in self.there(table, times)]
        if not there:
            return "1 = 1"
        recent = " OR ".join(f"{time} >= {CUTOFF}" for time in there)
        undated = " AND ".join(f"{time} IS NULL" for time in there)
        return f"({recent} OR ({undated}))"

    def there(self, table: str, names: tuple[str, ...]) -> tuple[str, ...]:
        columns = self.columns.get(table, ())
        return tuple(name for name in names if name in columns)

    def links(self, table: str, links: tuple[Link, ...]) -> list[Link]:
        """Those of which both ends are there."""
        return [
            link
            for link in links
            if self.there(table, link.columns) == link.columns
            and self.there(link.parent, link.to) == link.to
        ]

    def first_link(self, table: str, links: tuple[Link, ...]) -> Link | None:
        return next(iter(self.links(table, links)), None)

    def names(self, table: str, columns: tuple[str, ...]) -> str:
        return ", ".join(self.name(table, column) for column in columns)

    def name(self, table: str, column: str) -> str:
        return f"{_quoted(table)}.{_quoted(column)}"

    def source(self, table: str) -> str:
        return f"{_quoted(self.schema)}.{_quoted(table)}" if self.schema else _quoted(table)


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
