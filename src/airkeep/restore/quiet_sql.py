"""The SQL of a quiet start, for PostgreSQL and SQLite, from the columns that are there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TypeVar

from airkeep.database.sql import ident, literal
from airkeep.restore.quiet import QuietPlan, Sleep
from airkeep.restore.statements import Columns, Dialect, Relation, Statement, listed

T = TypeVar("T")

ASLEEP = "scheduled__airkeep_asleep_until_"
_BATCH = 200  # DAGs a statement
_DEPENDS = '"depends_on_past": true'


def past_question(columns: Columns, relation: Relation) -> str | None:
    """A SELECT of the DAGs whose tasks surely do not depend on their past.

    One is sure where every serialized form is readable text that never says so.
    """
    if "data" not in columns.get("serialized_dag", ()):
        return None
    return (
        f"SELECT dag_id FROM {relation('serialized_dag')} s GROUP BY dag_id "
        f"HAVING count(*) = count(data) "
        f"AND max(CASE WHEN CAST(data AS VARCHAR) LIKE '%{_DEPENDS}%' THEN 1 ELSE 0 END) = 0"
    )


def quiet_statements(
    plan: QuietPlan,
    columns: Columns,
    relation: Relation,
    *,
    dialect: Dialect,
    without_past: Collection[str] = (),
) -> list[Statement]:
    """What is to be run on the target's own tables, after all rows are in, before sequences.

    Args:
        without_past: DAGs that `past_question` names.
    """
    writer = _Writer(plan, columns, relation, dialect, frozenset(without_past))
    return list(writer.statements())


@dataclass(frozen=True)
class _Writer:
    """The SQL of one plan."""

    plan: QuietPlan
    columns: Columns
    relation: Relation
    dialect: Dialect
    without_past: frozenset[str]

    def statements(self) -> Iterator[Statement]:
        if self.plan.told and "is_paused" in self.columns.get("dag", ()):
            yield from self.pauses(self.plan.active)
        for part in _parts(self.plan.sleeps):
            yield self.runs(part)
            yield from self.notes(part)
            past = [s for s in part if s.after and s.dag_id not in self.without_past]
            if past and "run_id" in self.columns.get("task_instance", ()):
                yield self.tasks(past)
            yield self.nothing_due(part)

    def pauses(self, active: Sequence[str]) -> Iterator[Statement]:
        for names, paused in (
            ([d for d in self.plan.dags if d not in set(active)], self.dialect.true()),
            (active, self.dialect.false()),
        ):
            for part in _parts(names):
                yield Statement(
                    "pausing and unpausing",
                    f"UPDATE {self.relation('dag')} SET is_paused = {paused} "
                    f"WHERE dag_id IN ({_literals(part)})",
                )

    def nothing_due(self, sleeps: Sequence[Sleep]) -> Statement:
        changes = {n: "NULL" for n in self.columns["dag"] if n.startswith("next_dagrun")}
        if "exceeds_max_non_backfill" in self.columns["dag"]:
            changes["exceeds_max_non_backfill"] = self.dialect.false()
        return Statement(
            "nothing due until DAGs are parsed",
            f"UPDATE {self.relation('dag')} "
            f"SET {', '.join(f'{ident(n)} = {v}' for n, v in changes.items())} "
            f"WHERE dag_id IN ({_literals([s.dag_id for s in sleeps])})",
        )

    @property
    def run_id(self) -> str:
        return ASLEEP + self.plan.now.astimezone(UTC).isoformat(timespec="microseconds")

    def runs(self, sleeps: Sequence[Sleep]) -> Statement:
        rows = [self.run(sleep, number) for number, sleep in enumerate(sleeps, 1)]
        values = ", ".join(f"({', '.join(row.values())})" for row in rows)
        return Statement(
            "adding runs for the time slept through",
            f"INSERT INTO {self.relation('dag_run')} ({listed(rows[0])}) VALUES {values}",
        )

    def run(self, sleep: Sleep, number: int) -> dict[str, str]:
        now, table = self.dialect.time(self.plan.now), self.relation("dag_run")
        is_three = "run_after" in self.columns["dag_run"]
        logical = self.dialect.time(sleep.logical)
        values = {
            "id": f"(SELECT COALESCE(max(id), 0) FROM {table}) + {number}",
            "dag_id": literal(sleep.dag_id),
            "run_id": literal(self.run_id),
            "execution_date": logical,
            "logical_date": logical,
            "run_after": self.dialect.time(sleep.end),
            "queued_at": now,
            "start_date": now,
            "end_date": now,
            "created_at": now,
            "updated_at": now,
            "last_scheduling_decision": now,
            "data_interval_start": self.dialect.time(sleep.start),
            "data_interval_end": self.dialect.time(sleep.end),
            "state": "'failed'",
            "run_type": "'scheduled'",
            "external_trigger": self.dialect.false(),
            "triggered_by": "'TIMETABLE'",
            "conf": "'{}'" if is_three else "NULL",
            "clear_number": "0",
            "span_status": "'ended'",
            "created_dag_version_id": "NULL",  # every row of the statement has the same columns
        }
        if "id" in self.columns.get("log_template", ()):
            values["log_template_id"] = f"(SELECT max(id) FROM {self.relation('log_template')})"
        if sleep.after:
            values["created_dag_version_id"] = (
                f"(SELECT created_dag_version_id FROM {table} WHERE "
                f"dag_id = {literal(sleep.dag_id)} AND run_id = {literal(sleep.after)})"
            )
        return {n: v for n, v in values.items() if n in self.columns["dag_run"]}

    def notes(self, sleeps: Sequence[Sleep]) -> Iterator[Statement]:
        if "content" not in self.columns.get("dag_run_note", ()):
            return
        now = self.dialect.time(self.plan.now)
        text = literal(
            "airkeep: the environment slept until here, and no run was made for this time. "
            "A backfill makes those that are wanted."
        )
        names = _literals([s.dag_id for s in sleeps])
        yield Statement(
            "noting what they are",
            f"INSERT INTO {self.relation('dag_run_note')} "
            f"(dag_run_id, content, created_at, updated_at) SELECT id, {text}, {now}, {now} "
            f"FROM {self.relation('dag_run')} r WHERE r.run_id = {literal(self.run_id)} "
            f"AND r.dag_id IN ({names})",
        )

    def tasks(self, sleeps: Sequence[Sleep]) -> Statement:
        """The last run's task instances once more, as a past that the next run may look at."""
        now = self.dialect.time(self.plan.now)
        own = {
            "id": self.dialect.uuid(),
            "run_id": literal(self.run_id),
            # Those that run again (--in-flight clear, keep) must not hold up the next ones.
            "state": "CASE WHEN t.state IN ('failed', 'upstream_failed', 'removed') "
            "THEN t.state ELSE 'skipped' END",
            "start_date": now,
            "end_date": now,
            "updated_at": now,
            "duration": "0",
            "try_number": "0",
            "span_status": "'ended'",
            "next_kwargs": "'null'",
            **dict.fromkeys(_OF_A_TRY, "NULL"),
        }
        names = list(self.columns["task_instance"])
        values = ", ".join(own.get(n, f"t.{ident(n)}") for n in names)
        pairs = ", ".join(f"({literal(s.dag_id)}, {literal(s.after or '')})" for s in sleeps)
        return Statement(
            "adding the past of tasks that depend on it",
            f"INSERT INTO {self.relation('task_instance')} ({listed(names)}) SELECT {values} "
            f"FROM {self.relation('task_instance')} t "
            f"WHERE (t.dag_id, t.run_id) IN (VALUES {pairs})",
        )


# What only a task instance that was tried has.
_OF_A_TRY = (
    "job_id", "pid", "queued_by_job_id", "queued_dttm", "scheduled_dttm", "last_heartbeat_at",
    "external_executor_id", "trigger_id", "trigger_timeout", "next_method", "context_carrier",
    "retry_delay_override", "retry_reason",
)  # fmt: skip


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _literals(names: Sequence[str]) -> str:
    return ", ".join(map(literal, names))
