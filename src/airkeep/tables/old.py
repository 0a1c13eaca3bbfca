"""Which rows are old: what may leave a database once a snapshot holds it.

A run is old when it is finished and none of its dates is at or after the cutoff. Kept all the same
are the runs that Airflow looks at to go on: of each DAG the latest of each type and of each state,
by each of its dates; those with a task that is not at its end; those of a backfill that is not.
What hangs on an old run is old with it, whatever its own dates are; what has lost its run and its
task instance is judged by its own dates. Versions of a DAG are old when a newer one exists and
nothing that stays was run by them.

`airflow db clean` judges every table by one date of its own, so that it takes tasks out of runs
that stay, and runs whose tasks stay; it also deletes rows of `dag` (with pauses) and `trigger`
(with the task instances that wait for it): not done here. What it has and this has not is the
cleaning of tables without a key (`_xcom_archive`).

The SQL suits PostgreSQL and SQLite; conditions name their table, which must stand in FROM under
its own name. They are written as joins a planner knows (IN and NOT EXISTS at the top), so that
nothing depends on a hash that fits its memory.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from airkeep.tables.window import Columns, Known, Link, known_of

RUN, TASK, VERSION = "dag_run", "task_instance", "dag_version"

# Judged by their own dates, in this order: what may name another row goes before it.
BY_TIME = (
    "log", "asset_event", "dataset_event", "callback", "callback_request", "backfill", "job",
    "import_error", "session", "revoked_token", "connection_test_request",
    "celery_taskmeta", "celery_tasksetmeta",
)  # fmt: skip

_TIMES = {
    "backfill": ("created_at", "completed_at", "updated_at"),
    "callback_request": ("created_at",),
    VERSION: ("created_at", "last_updated"),
}
_LINKS = {
    "serialized_dag": (Link(VERSION, ("dag_version_id",), ("id",)),),
    "dag_code": (Link(VERSION, ("dag_version_id",), ("id",)),),
    "deadline_alert": (Link("serialized_dag", ("serialized_dag_id",), ("id",)),),
}
_NAMED_BY = {
    "backfill": (("backfill_dag_run", "backfill_id"), (RUN, "backfill_id")),
    VERSION: (
        (TASK, "dag_version_id"),
        ("task_instance_history", "dag_version_id"),
        (RUN, "created_dag_version_id"),
    ),
}
_ORDERS = ("logical_date", "execution_date", "run_after", "start_date", "id")
_AT_WORK = (
    "running", "queued", "scheduled", "deferred", "restarting", "shutdown", "sensing",
    "up_for_retry", "up_for_reschedule", "awaiting_input",
)  # fmt: skip


@dataclass(frozen=True)
class OldRows:
    """The conditions of one database.

    Attributes:
        columns: the column names of every table of Airflow's schema, by table.
        schema: that schema, "" on SQLite.
        cutoff: the instant as an SQL literal, see `WindowRule.where`.
    """

    columns: Columns
    schema: str
    cutoff: str

    def roots(self) -> tuple[str, ...]:
        """The tables whose rows are judged by themselves; the others hang on those."""
        wanted = (RUN, *BY_TIME, VERSION)
        return tuple(t for t in wanted if self._has(t, "dag_id" if t == RUN else None))

    def known(self, table: str) -> Known:
        """The rules of `window`, and those of tables that no window cuts."""
        known = known_of(table, self.columns)
        more = tuple(c for c in _TIMES.get(table, ()) if self._has(table, c))
        links = tuple(link for link in _LINKS.get(table, ()) if self._is_there(table, link))
        named = tuple((t, c) for t, c in _NAMED_BY.get(table, ()) if self._has(t, c))
        return Known(known.links or links, known.times or more, known.also, known.named_by or named)

    def of_root(self, table: str) -> str:
        """The condition for rows that are old by themselves."""
        if table == RUN:
            return self._run()
        parts = [self.by_dates(table), *self._more(table)]
        parts += [
            f"NOT {self._named(table, child, column)}" for child, column in self._names(table)
        ]
        parts += [f"NOT {self._parent_stays(table, link)}" for link in self.known(table).also]
        return " AND ".join(parts)

    def of_member(self, table: str, link: Link, condition: str) -> str:
        """The condition for rows that hang on rows of their parent which fulfil `condition`."""
        return (
            f"({_names(table, link.columns)}) IN (SELECT {_names(link.parent, link.to)} "
            f"FROM {self.source(link.parent)} WHERE {condition})"
        )

    def of_orphan(self, table: str) -> str | None:
        """The condition for old rows that hang on nothing; None where no date could tell."""
        known = self.known(table)
        if not known.times:
            return None
        parents = [self._has_parent(table, link) for link in known.links]
        return " AND ".join([self.by_dates(table), *(f"NOT {p}" for p in parents)])

    def by_dates(self, table: str) -> str:
        """No date is at or after the cutoff, and one is before it."""
        times = [_name(table, t) for t in self.known(table).times]
        if not times:
            return "1 = 0"
        past = " AND ".join(f"({t} IS NULL OR {t} < {self.cutoff})" for t in times)
        return f"{past} AND coalesce({', '.join(times)}, NULL) IS NOT NULL"

    def references(self, table: str) -> tuple[Link, ...]:
        """Columns of other tables that keep a row of this one: `parent` is the other table."""
        named = tuple(Link(t, ("id",), (c,)) for t, c in self._names(table))
        return (*named, *self.known(table).also)

    def source(self, table: str) -> str:
        return f"{_quoted(self.schema)}.{_quoted(table)}" if self.schema else _quoted(table)

    def _run(self) -> str:
        parts = [f"{_name(RUN, 'state')} IN ('success', 'failed')", self.by_dates(RUN)]
        parts.append(self._not_the_latest(RUN, "id", ("run_type", "state"), _ORDERS))
        parts += self._nothing_at_work()
        if self._has(RUN, "backfill_id") and self._has("backfill", "completed_at"):
            same = f"{_name('backfill', 'id')} = {_name(RUN, 'backfill_id')}"
            unfinished = f"{same} AND {_name('backfill', 'completed_at')} IS NULL"
            parts.append(self._none("backfill", unfinished))
        return " AND ".join(parts)

    def _nothing_at_work(self) -> list[str]:
        links = [link for link in self.known(TASK).links if link.parent == RUN]
        if not links:
            return []
        states = ", ".join(f"'{s}'" for s in _AT_WORK)
        busy = f"{self._same(TASK, links[0])} AND {_name(TASK, 'state')} IN ({states})"
        return [self._none(TASK, busy)]

    def _not_the_latest(
        self, table: str, key: str, groups: Sequence[str], orders: Sequence[str]
    ) -> str:
        """Neither the last of its DAG, nor of its DAG's rows with the same value of a group."""
        ranks = [
            f"row_number() OVER (PARTITION BY {', '.join(group)} "
            f"ORDER BY {_quoted(order)} DESC NULLS LAST, {_quoted(key)} DESC)"
            for group in [
                ['"dag_id"'], *(['"dag_id"', _quoted(g)] for g in groups if self._has(table, g))
            ]
            for order in orders
            if self._has(table, order)
        ]  # fmt: skip
        return self._no_first(table, key, ranks)

    def _no_first(self, table: str, key: str, ranks: Sequence[str]) -> str:
        """A row that comes first by no rank.

        So, and not as a row that comes later by every rank: for those a planner expects one row at
        most, and loops over tables then (230 s rather than 5, 50,000 task instances).
        """
        listed = ", ".join(f"{rank} AS r{n}" for n, rank in enumerate(ranks))
        first = " OR ".join(f"ranked.r{n} = 1" for n in range(len(ranks)))
        return (
            f"NOT EXISTS (SELECT 1 FROM (SELECT {_quoted(key)} AS k, {listed} "
            f"FROM {self.source(table)}) AS ranked "
            f"WHERE ({first}) AND ranked.k = {_name(table, key)})"
        )

    def _more(self, table: str) -> list[str]:
        """What else must be so for a row judged by its own dates."""
        if table == VERSION:
            return [self._not_the_latest(VERSION, "id", (), ("version_number", "created_at"))]
        if table == "backfill":
            return [f"{_name(table, 'completed_at')} IS NOT NULL"]
        if table == "callback" and self._has(table, "state"):
            state = _name(table, "state")
            return [f"({state} IS NULL OR {state} IN ('success', 'failed', 'scheduled'))"]
        if table == "connection_test_request" and self._has(table, "state"):
            return [f"{_name(table, 'state')} IN ('success', 'failed')"]
        if table in ("asset_event", "dataset_event"):
            return self._event(table, table.removesuffix("_event"))
        return []

    def _event(self, table: str, asset: str) -> list[str]:
        """An event that a run still waits with, and the last one of its asset, stay."""
        column, queue = f"{asset}_id", f"{asset}_dag_run_queue"
        waited = f"{_name(queue, column)} = {_name(table, column)}"
        rank = (
            f'row_number() OVER (PARTITION BY {_quoted(column)} ORDER BY "timestamp" DESC, id DESC)'
        )
        last = self._no_first(table, "id", [rank])
        return [last, *([self._none(queue, waited)] if self._has(queue, column) else [])]

    def _names(self, table: str) -> tuple[tuple[str, str], ...]:
        return self.known(table).named_by

    def _named(self, table: str, child: str, column: str) -> str:
        """Whether a row of `child` that stays names this one."""
        same = f"{_name(child, column)} = {_name(table, 'id')}"
        return self._exists(child, f"{same}{self._and_stays(child)}")

    def _parent_stays(self, table: str, link: Link) -> str:
        pairs = self._pairs(link.parent, link.to, table, link.columns)
        return self._exists(link.parent, f"{pairs}{self._and_stays(link.parent)}")

    def _and_stays(self, table: str) -> str:
        """` AND ...`: the row does not leave with an old run; empty where it cannot."""
        link = Link(RUN, ("id",), ("id",)) if table == RUN else self._way_to_runs(table)
        if link is None:
            return ""
        old = f"SELECT {_names(link.parent, link.to)} FROM {self.source(link.parent)} "
        same = " AND ".join(
            f"old.{_quoted(to)} = {_name(table, c)}"
            for to, c in zip(link.to, link.columns, strict=True)
        )
        leaves = f"SELECT 1 FROM ({old}WHERE {self._leaves(link.parent)}) AS old WHERE {same}"
        return f" AND NOT EXISTS ({leaves})"

    def _way_to_runs(self, table: str) -> Link | None:
        """The link by which a row leaves with an old run, at once or through others."""
        links = self.known(table).links
        direct = [link for link in links if link.parent == RUN]
        return next((k for k in direct or links if k.parent == RUN or self._leaves(k.parent)), None)

    def _leaves(self, table: str) -> str:
        """The condition for rows that leave with an old run; empty for a table that has none."""
        if table == RUN:
            return self._run()
        link = self._way_to_runs(table)
        return "" if link is None else self.of_member(table, link, self._leaves(link.parent))

    def _has_parent(self, table: str, link: Link) -> str:
        return self._exists(link.parent, self._same(table, link))

    def _same(self, table: str, link: Link) -> str:
        return self._pairs(link.parent, link.to, table, link.columns)

    def _pairs(self, one: str, ours: Sequence[str], other: str, theirs: Sequence[str]) -> str:
        pairs = zip(ours, theirs, strict=True)
        return " AND ".join(f"{_name(one, a)} = {_name(other, b)}" for a, b in pairs)

    def _exists(self, table: str, condition: str) -> str:
        return f"EXISTS (SELECT 1 FROM {self.source(table)} WHERE {condition})"

    def _none(self, table: str, condition: str) -> str:
        return f"NOT {self._exists(table, condition)}"

    def _is_there(self, table: str, link: Link) -> bool:
        return all(self._has(table, c) for c in link.columns) and all(
            self._has(link.parent, c) for c in link.to
        )

    def _has(self, table: str, column: str | None) -> bool:
        there: Collection[str] | None = self.columns.get(table)
        return there is not None and (column is None or column in there)


def _names(table: str, columns: Sequence[str]) -> str:
    return ", ".join(_name(table, c) for c in columns)


def _name(table: str, column: str) -> str:
    return f"{_quoted(table)}.{_quoted(column)}"


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
