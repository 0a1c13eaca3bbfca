"""What a restore does with runs and tasks that the snapshot caught unfinished.

No process that ran them exists any more. `fail` ends them at the snapshot's instant, with a note;
`clear` leaves them as `airflow tasks clear` of that Airflow does, so that its scheduler runs them
again; `keep` leaves them as they were. Why `fail` is the default, and what was seen on real
Airflows: docs/decisions/0023-quiet-start.md.

In flight is a run whose state is neither success nor failed (NULL among them), and in it every
task instance that has a state and is not finished. Those without a state had not been reached: in
a run that is failed they are skipped, as Airflow's own "mark as failed" does. An unfinished task
instance in a *finished* run is a stray that no scheduler looks at: `clear` fails it too, for to
clear it would bring a run of long ago back to life.

The run that carried the export ends well under every policy: it had done its work.

Statements are SQL for PostgreSQL and SQLite, from the columns that are there, so that 1.10's
`(dag_id, execution_date)`, 2.x's keys and 3.x's `ti_id` need no version. They first set aside the
keys of what is in flight in temporary tables, for the states they go by are what they change.
They need no default, sequence, key or constraint of the tables they run on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from airkeep.database.sql import ident, literal
from airkeep.restore.statements import Columns, Dialect, Relation, Statement, listed, same
from airkeep.snapshot.manifest import DagRunEntry

InFlight = Literal["fail", "clear", "keep"]
IN_FLIGHT: tuple[InFlight, ...] = ("fail", "clear", "keep")

_RUNS, _TASKS = "airkeep_runs_in_flight", "airkeep_tasks_in_flight"
_RUN_ENDS = "('success', 'failed')"
_TASK_ENDS = "('success', 'failed', 'skipped', 'upstream_failed', 'removed')"
_EXAMPLES = 3
_NOTE_CHARS = 1000  # of `content` in every version


@dataclass(frozen=True)
class Outcome:
    """What becomes of some rows of a table: how many, and the first of them by name."""

    table: str
    fate: str
    rows: int
    examples: tuple[str, ...] = ()


def in_flight_question(
    policy: InFlight, columns: Columns, relation: Relation, own_run: DagRunEntry | None
) -> str | None:
    """A SELECT whose rows `outcomes` reads, to be asked before the statements run.

    It is plain enough for DuckDB too: a dry run asks a snapshot's own files.

    Args:
        columns: the names of the tables' columns, by table.
        relation: how a table stands in FROM: a name, or a query in brackets.
    """
    return _Writer(policy, columns, relation, own_run).question()


def outcomes(rows: Iterable[Sequence[object]]) -> tuple[Outcome, ...]:
    """What the rows of `in_flight_question` say."""
    found: dict[tuple[str, str], tuple[int, list[str]]] = {}
    for table, fate, number, name in rows:
        _, names = found.setdefault((str(table), str(fate)), (int(str(number)), []))
        names.append(str(name))
    return tuple(
        Outcome(table, fate, number, tuple(sorted(names)))
        for (table, fate), (number, names) in sorted(found.items())
    )


def in_flight_statements(
    policy: InFlight,
    columns: Columns,
    relation: Relation,
    *,
    at: datetime,
    own_run: DagRunEntry | None,
    dialect: Dialect,
) -> list[Statement]:
    """What is to be run, in order, after the rows are in.

    Args:
        at: the snapshot's instant.
        own_run: the run that carried the export.
    """
    writer = _Writer(policy, columns, relation, own_run)
    return list(writer.statements(at, dialect))


@dataclass(frozen=True)
class _Writer:
    """The SQL of one database's columns."""

    policy: InFlight
    columns: Columns
    relation: Relation
    own_run: DagRunEntry | None

    # Which rows, and what becomes of them.

    def has(self, table: str, *names: str) -> bool:
        return all(name in self.columns.get(table, ()) for name in names)

    @property
    def run_key(self) -> tuple[str, ...]:
        """What a task instance and its run have in common."""
        return ("dag_id", "run_id" if self.has("task_instance", "run_id") else "execution_date")

    @property
    def task_key(self) -> tuple[str, ...]:
        index = ("map_index",) if self.has("task_instance", "map_index") else ()
        return ("dag_id", "task_id", self.run_key[1], *index)

    def is_own(self, run: str) -> str:
        if self.own_run is None or not self.has("dag_run", "run_id"):
            return "1 = 0"
        return (
            f"({run}.dag_id = {literal(self.own_run.dag_id)} "
            f"AND {run}.run_id = {literal(self.own_run.run_id)})"
        )

    def runs(self) -> str:
        """Runs in flight: their keys and fates."""
        fate = {"fail": "'failed'", "clear": "'cleared'", "keep": "'kept'"}[self.policy]
        names = [*self.columns["dag_run"]]
        kept = [n for n in ("id", "dag_id", "run_id", "execution_date") if n in names]
        return (
            f"SELECT {listed(kept, 'r')}, r.state, "
            f"CASE WHEN {self.is_own('r')} THEN 'ended well' ELSE {fate} END AS fate "
            f"FROM {self.relation('dag_run')} r "
            f"WHERE r.state IS NULL OR r.state NOT IN {_RUN_ENDS}"
        )

    def tasks(self, runs: str) -> str:
        """Task instances in flight: their keys and fates.

        Args:
            runs: a relation as `runs()` gives it.
        """
        stray = "'kept'" if self.policy == "keep" else "'failed'"
        wanted = [*self.task_key, *(n for n in ("id", "try_number") if self.has_task(n))]
        fate = (
            f"CASE WHEN r.dag_id IS NULL THEN {stray} "
            "WHEN r.fate = 'ended well' AND t.state = 'running' THEN 'ended well' "
            "WHEN r.fate = 'ended well' THEN 'skipped' "
            "WHEN r.fate = 'failed' AND t.state IS NULL THEN 'skipped' "
            "WHEN t.state IS NULL THEN NULL ELSE r.fate END"
        )
        return (
            f"SELECT {listed(wanted, 't')}, t.state, {fate} AS fate "
            f"FROM {self.relation('task_instance')} t "
            f"LEFT JOIN {runs} r ON {same(self.run_key, 't', 'r')} "
            f"WHERE (t.state IS NULL AND r.dag_id IS NOT NULL) OR t.state NOT IN {_TASK_ENDS}"
        )

    def has_task(self, name: str) -> bool:
        return self.has("task_instance", name)

    @property
    def is_possible(self) -> bool:
        return self.has("dag_run", "dag_id", "state") and self.has("task_instance", "state")

    # Counting.

    def question(self) -> str | None:
        if not self.is_possible:
            return None
        run_name = "dag_id || ' ' || " + ("run_id" if self.has("dag_run", "run_id") else "''")
        parts = [f"SELECT 'dag_run' AS t, fate, {run_name} AS name FROM ({self.runs()}) x"]
        date = "run_id" if self.run_key[1] == "run_id" else "CAST(execution_date AS VARCHAR)"
        tasks = self.tasks(f"({self.runs()})")
        parts.append(
            f"SELECT 'task_instance' AS t, fate, dag_id || ' ' || {date} || ' ' || task_id AS name "
            f"FROM ({tasks}) y"
        )
        if self.policy != "keep" and self.has("job", "state"):
            parts.append(
                "SELECT 'job' AS t, 'failed' AS fate, "
                f"job_type || ' ' || CAST(id AS VARCHAR) AS name "
                f"FROM {self.relation('job')} z WHERE {_unended_job('z')}"
            )
        numbered = (
            "SELECT t, fate, count(*) OVER (PARTITION BY t, fate) AS c, name, "
            "row_number() OVER (PARTITION BY t, fate ORDER BY name) AS n "
            f"FROM ({' UNION ALL '.join(parts)}) u WHERE fate IS NOT NULL"
        )
        return f"SELECT t, fate, c, name FROM ({numbered}) v WHERE n <= {_EXAMPLES}"

    # Doing.

    def statements(self, at: datetime, dialect: Dialect) -> Iterator[Statement]:
        if not self.is_possible or (self.policy == "keep" and self.own_run is None):
            return
        runs, tasks = dialect.aside(_RUNS), dialect.aside(_TASKS)
        now = dialect.time(at)
        found = f"SELECT * FROM ({self.runs()}) x WHERE fate IS NOT NULL"
        yield Statement("looking for runs in flight", dialect.temporary(_RUNS, found))
        # A stray is told by its run being none of those in flight, whatever becomes of them.
        every = self.tasks(f"({self.runs()})")
        found = f"SELECT x.*, {dialect.uuid()} AS new_id FROM ({every}) x WHERE fate IS NOT NULL"
        yield Statement("looking for tasks in flight", dialect.temporary(_TASKS, found))
        if self.policy == "clear":
            yield from self.record_tries(dialect, now, tasks)
            yield from self.clear_tasks(dialect, now, tasks)
        for fate, state in (
            ("failed", "failed"),
            ("skipped", "skipped"),
            ("ended well", "success"),
        ):
            yield self.end_tasks(dialect, now, tasks, fate=fate, state=state)
        yield from self.end_runs(dialect, now, runs)
        yield from self.notes(now, dialect, at, runs, tasks)
        if self.policy != "keep" and self.has("job", "state"):
            yield self.end_jobs(now)
        for name in (tasks, runs):
            yield Statement("done with what was in flight", f"DROP TABLE {name}")

    def end_tasks(
        self, dialect: Dialect, now: str, tasks: str, *, fate: str, state: str
    ) -> Statement:
        start = f"COALESCE(t.start_date, {now})"
        # A try that waited for its retry had ended then, and not at the snapshot.
        end = (
            "CASE WHEN t.state = 'up_for_retry' AND t.end_date IS NOT NULL THEN t.end_date "
            f"ELSE {dialect.later(now, start)} END"
        )
        changes = {
            "state": literal(state),
            "start_date": start,
            "end_date": end,
            "duration": dialect.seconds(start, end),
            **self.nothing_waits(),
            "updated_at": now,
        }
        return Statement(
            f"task instances {fate}", self.update("task_instance", changes, tasks, fate=fate)
        )

    def nothing_waits(self) -> dict[str, str]:
        """Nothing is awaited any more: no trigger, no method to go on with.

        The trigger's own row is left: a triggerer deletes those that nobody names, and it knows
        all that may name one. Airflow writes JSON's null over arguments.
        """
        names = ("trigger_id", "trigger_timeout", "next_method")
        arguments = "CASE WHEN t.next_kwargs IS NULL THEN t.next_kwargs ELSE 'null' END"
        return {**dict.fromkeys(names, "NULL"), "next_kwargs": arguments}

    def update(self, table: str, changes: dict[str, str], found: str, *, fate: str) -> str:
        there = {n: v for n, v in changes.items() if self.has(table, n)}
        key = self.task_key if table == "task_instance" else self.run_key
        return (
            f"UPDATE {self.relation(table)} AS t "
            f"SET {', '.join(f'{ident(n)} = {v}' for n, v in there.items())} "
            f"FROM {found} AS f WHERE {same(key, 't', 'f')} AND f.fate = {literal(fate)}"
        )

    def end_runs(self, dialect: Dialect, now: str, runs: str) -> Iterator[Statement]:
        end = dialect.later(now, f"COALESCE(t.start_date, {now})")
        for fate, state in (("failed", "failed"), ("ended well", "success")):
            changes = {"state": literal(state), "end_date": end, "updated_at": now}
            yield Statement(f"runs {fate}", self.update("dag_run", changes, runs, fate=fate))
        if self.policy == "clear" and self.counts_every_clear:
            # 3.x counts the clearing of an unfinished run as well, 2.x that of a finished one.
            cleared = {"clear_number": "t.clear_number + 1", "queued_at": now, "updated_at": now}
            touched = f"(SELECT DISTINCT {listed(self.run_key)}, fate FROM {dialect.aside(_TASKS)})"
            yield Statement(
                "runs cleared", self.update("dag_run", cleared, touched, fate="cleared")
            )

    @property
    def counts_every_clear(self) -> bool:
        return self.has("dag_run", "clear_number", "run_after")

    # Clearing.

    def record_tries(self, dialect: Dialect, now: str, tasks: str) -> Iterator[Statement]:
        """The try that ends here goes into the history, where this Airflow keeps one."""
        history = self.columns.get("task_instance_history", ())
        if not history:
            return
        ended = self.ended(dialect, now)
        values = {
            n: f"t.{ident(n)}" for n in history if self.has_task(n) and n not in ("id", *ended)
        }
        values |= {n: v for n, v in ended.items() if n in history}
        if "task_instance_id" in history and self.has_task("id"):
            values["task_instance_id"] = "t.id"
        elif "id" in history:
            number = f"SELECT max(id) FROM {self.relation('task_instance_history')}"
            order = listed(self.task_key, "t")
            values["id"] = f"COALESCE(({number}), 0) + row_number() OVER (ORDER BY {order})"
        key = (*self.task_key, "try_number")
        yield Statement(
            "recording the tries that end",
            f"INSERT INTO {self.relation('task_instance_history')} ({listed(values)}) "
            f"SELECT {', '.join(values.values())} FROM {self.relation('task_instance')} t "
            f"JOIN {tasks} f ON {same(self.task_key, 't', 'f')} AND f.fate = 'cleared' "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self.relation('task_instance_history')} h "
            f"WHERE {same(key, 'h', 't')})",
        )

    def ended(self, dialect: Dialect, now: str) -> dict[str, str]:
        """A cleared try's end; the row keeps it until the task starts again."""
        end = f"COALESCE(t.end_date, {now})"
        return {
            "state": "'failed'",
            "end_date": end,
            "duration": f"CASE WHEN t.end_date IS NULL AND t.start_date IS NOT NULL "
            f"THEN {dialect.seconds('t.start_date', end)} ELSE t.duration END",
        }

    def clear_tasks(self, dialect: Dialect, now: str, tasks: str) -> Iterator[Statement]:
        yield from self.forget_reschedules(tasks)
        changes = {
            **self.ended(dialect, now),
            "state": "NULL",
            "max_tries": self.tries(),
            "external_executor_id": "NULL",
            **self.nothing_waits(),
            "updated_at": now,
        }
        if self.has("task_instance_history", "task_instance_id"):
            # 3.x: the try that ended takes its uuid along, and what hangs on it follows.
            changes["id"] = "f.new_id"
        yield Statement(
            "task instances cleared",
            self.update("task_instance", changes, tasks, fate="cleared"),
        )
        if "id" in changes:
            # Where the target's own keys cascade, these find nothing left to do.
            for table in ("task_instance_note", "hitl_detail"):
                if self.has(table, "ti_id"):
                    yield Statement(
                        f"{table} follows",
                        f"UPDATE {self.relation(table)} AS t SET ti_id = f.new_id "
                        f"FROM {tasks} AS f WHERE t.ti_id = f.id AND f.fate = 'cleared'",
                    )

    def tries(self) -> str:
        """As many tries as the task had at first, counted from here.

        `airflow tasks clear` adds the task's retries, which no column has; until a task is cleared
        for the first time `max_tries` is just that.
        """
        if not self.has_task("max_tries"):
            return "NULL"
        again = "CASE WHEN t.max_tries > t.try_number THEN t.max_tries ELSE t.try_number END"
        first = "t.try_number + t.max_tries"
        if not self.has("dag_run", "clear_number"):
            return first
        runs = self.relation("dag_run")
        cleared = (
            f"EXISTS (SELECT 1 FROM {runs} r WHERE {same(self.run_key, 'r', 't')} "
            f"AND r.clear_number > 0)"
        )
        return f"CASE WHEN {cleared} THEN {again} ELSE {first} END"

    def forget_reschedules(self, tasks: str) -> Iterator[Statement]:
        if self.has("task_reschedule", "ti_id"):
            where = f"ti_id IN (SELECT id FROM {tasks} WHERE fate = 'cleared')"
        elif self.has("task_reschedule", *self.task_key):
            key = listed(self.task_key)
            where = f"({key}) IN (SELECT {key} FROM {tasks} WHERE fate = 'cleared')"
        else:
            return
        yield Statement(
            "forgetting reschedules",
            f"DELETE FROM {self.relation('task_reschedule')} WHERE {where}",
        )

    # Notes and jobs.

    def notes(
        self, now: str, dialect: Dialect, at: datetime, runs: str, tasks: str
    ) -> Iterator[Statement]:
        when = f"{at:%Y-%m-%d %H:%M:%S} UTC"
        ended = "('failed', 'ended well')"
        if self.has("dag_run_note", "dag_run_id", "content"):
            yield from self.note(
                dialect, now, when, "dag_run_note", {"dag_run_id": "id"},
                f"SELECT * FROM {runs} WHERE fate IN {ended}",
            )  # fmt: skip
        failed = f"SELECT * FROM {tasks} WHERE fate = 'failed'"
        if self.has("task_instance_note", "ti_id", "content"):
            yield from self.note(dialect, now, when, "task_instance_note", {"ti_id": "id"}, failed)
        elif self.has("task_instance_note", *self.task_key, "content"):
            key = dict(zip(self.task_key, self.task_key, strict=True))
            yield from self.note(dialect, now, when, "task_instance_note", key, failed)

    def note(
        self, dialect: Dialect, now: str, when: str, table: str, key: dict[str, str], found: str
    ) -> Iterator[Statement]:
        """Ours below the text that is there; what does not fit is cut from ours."""
        text = (
            "'airkeep: ' || CASE f.fate WHEN 'failed' "
            "THEN 'was ' || COALESCE(f.state, 'unstarted') || "
            f"' at the snapshot of {when} and failed by the restore' "
            f"ELSE 'carried the export of {when} and ended with it' END"
        )
        name = self.relation(table)
        matches = " AND ".join(f"t.{ident(a)} = f.{ident(b)}" for a, b in key.items())
        below = "char(10)" if dialect.is_sqlite else "chr(10)"
        yield Statement(
            f"{table}: adding to notes",
            f"UPDATE {name} AS t SET content = substr(CASE WHEN COALESCE(t.content, '') = '' "
            f"THEN '' ELSE t.content || {below} END || {text}, 1, {_NOTE_CHARS}), "
            f"updated_at = {now} FROM ({found}) AS f WHERE {matches}",
        )
        yield Statement(
            f"{table}: new notes",
            f"INSERT INTO {name} ({listed(key)}, content, created_at, updated_at) "
            f"SELECT {listed(key.values(), 'f')}, {text}, {now}, {now} FROM ({found}) f "
            f"WHERE NOT EXISTS (SELECT 1 FROM {name} t WHERE {matches})",
        )

    def end_jobs(self, now: str) -> Statement:
        ended = f", end_date = COALESCE(end_date, {now})" if self.has("job", "end_date") else ""
        return Statement(
            "jobs ended",
            f"UPDATE {self.relation('job')} AS t SET state = 'failed'{ended} "
            f"WHERE {_unended_job('t')}",
        )


def _unended_job(alias: str) -> str:
    return f"{alias}.state NOT IN {_RUN_ENDS}"


def tables_asked(columns: Columns) -> Collection[str]:
    """Tables whose rows a count needs: what a dry run must bring."""
    return [t for t in ("dag_run", "task_instance", "job") if t in columns]
