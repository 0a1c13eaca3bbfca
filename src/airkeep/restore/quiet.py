"""A start without a burst: which DAGs are unpaused, and what was due while the environment slept.

A scheduler decides what is due from `dag.next_dagrun*`, but whoever parses the DAG file next
computes these anew from the newest automated run. So columns alone hold for seconds; what holds is
a run. For each active DAG of which a run fell due before now, one run is added that stands for the
time slept through: `scheduled__airkeep_asleep_until_<now>`, its data interval from the last run's
end to now, without any work, ended at once. From it every timetable of Airflow's own counts on to
the first due time after now, with catch-up and without (docs/decisions/0023-quiet-start.md).

- Its state is failed, not success: what asks for the last *successful* run's interval still gets
  the last real one, so that a pipeline that loads "since then" loads the slept time as well.
- Its logical date is just after the last run's: it is the newest until the next one comes.
- A timedelta's phase is kept: its interval ends on the last beat before now.
- Tasks that depend on their past find it: where a DAG may ask, the run holds a copy of the last
  run's task instances, skipped where those were well, else in the state that they have.
- `dag.next_dagrun*` become NULL, "nothing due", until the file is parsed.

Decided in Python from one row a DAG; `quiet_sql` writes it. Versions before 2.2 have no data
intervals: their DAGs are named, and catch up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from airkeep.database.sql import ident
from airkeep.errors import ConfigError, did_you_mean
from airkeep.restore.inflight import Outcome
from airkeep.restore.statements import Columns, Relation

MissedRuns = Literal["skip", "make"]

_EXAMPLES = 3
_NEEDED = ("run_type", "data_interval_start", "data_interval_end")
_CRON = re.compile(r"@\w+|[^\s,]+(,\S+)*(\s+\S+){4,5}")
_DELTA = re.compile(r"(?:(-?\d+) days?, )?(\d+):(\d\d):(\d\d)(?:\.(\d{6}))?")


@dataclass(frozen=True)
class Dag:
    """One DAG as a question finds it; instants are None where there is none.

    Attributes:
        schedule: 2.x's `schedule_interval` (JSON), 3.x's `timetable_summary`.
        due: when its next run is to be made, as the scheduler last reckoned.
        begins, ends: that run's data interval.
        last_run_id, last_logical, last_end: of the newest automated run.
    """

    dag_id: str
    root: str
    is_paused: bool
    schedule: str
    partitioned: bool
    due: datetime | None
    begins: datetime | None
    ends: datetime | None
    last_run_id: str | None
    last_logical: datetime | None
    last_end: datetime | None


@dataclass(frozen=True)
class Sleep:
    """The run that stands for the time slept through."""

    dag_id: str
    logical: datetime
    start: datetime
    end: datetime
    after: str | None  # the last real run


@dataclass(frozen=True)
class QuietPlan:
    """What is done with the DAGs.

    Attributes:
        dags: every DAG of the snapshot.
        active: those of them that end unpaused.
        told: it was said which; else they are so already.
        catch_up: DAGs whose missed runs cannot be kept from being made.
    """

    now: datetime
    dags: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    told: bool = False
    sleeps: tuple[Sleep, ...] = ()
    catch_up: tuple[str, ...] = ()

    def outcomes(self) -> tuple[Outcome, ...]:
        """The same as counts with examples."""
        slept = [s.dag_id for s in self.sleeps]
        found = [Outcome("dag", "active", len(self.active), self.active[:_EXAMPLES])]
        if slept:
            found.append(Outcome("dag_run", "slept through", len(slept), tuple(slept[:_EXAMPLES])))
        return tuple(found)

    def changes(self, paused: Mapping[str, bool]) -> tuple[Outcome, ...]:
        """Which DAGs become active, and which are paused, of those that were there before."""
        active = set(self.active)
        changed = {
            "unpaused": [d for d in self.dags if paused.get(d) is True and d in active],
            "paused": [d for d in self.dags if paused.get(d) is False and d not in active],
        }
        return tuple(
            Outcome("dag", fate, len(dags), tuple(dags[:_EXAMPLES]))
            for fate, dags in changed.items()
            if dags
        )

    def notes(self) -> tuple[str, ...]:
        """What people should know."""
        if not self.catch_up:
            return ()
        more = f" and {len(self.catch_up) - 5} more" if len(self.catch_up) > 5 else ""
        return (
            f"{', '.join(self.catch_up[:5])}{more}: runs were due while the environment slept, and "
            f"this Airflow may make them when it starts: pause them first if it should not",
        )


def quiet_question(columns: Columns, relation: Relation) -> str | None:
    """A SELECT of one row a DAG for `read_dags`, plain enough for DuckDB; None without `dag`."""
    dag = columns.get("dag", ())
    if "dag_id" not in dag:
        return None

    def text(name: str, *others: str) -> str:
        for column in (name, *others):
            if column in dag:
                return f"CAST(d.{ident(column)} AS VARCHAR)"
        return "NULL"

    values = [
        text("dag_id"), text("root_dag_id"), text("is_paused"),
        text("schedule_interval", "timetable_summary"), text("timetable_partitioned"),
        text("next_dagrun_create_after"), text("next_dagrun"),
        text("next_dagrun_data_interval_start"), text("next_dagrun_data_interval_end"),
    ]  # fmt: skip
    newest = _newest_runs(columns, relation)
    if newest is None:
        return f"SELECT {', '.join([*values, *['NULL'] * 3])} FROM {relation('dag')} d"
    last = ["r.run_id", "CAST(r.logical AS VARCHAR)", "CAST(r.data_interval_end AS VARCHAR)"]
    return (
        f"SELECT {', '.join([*values, *last])} FROM {relation('dag')} d "
        f"LEFT JOIN ({newest}) r ON r.dag_id = d.dag_id"
    )


def _newest_runs(columns: Columns, relation: Relation) -> str | None:
    run = columns.get("dag_run", ())
    if not all(name in run for name in _NEEDED):
        return None
    logical = "logical_date" if "logical_date" in run else "execution_date"
    numbered = (
        f"SELECT dag_id, run_id, {logical} AS logical, data_interval_end, row_number() "
        f"OVER (PARTITION BY dag_id ORDER BY {logical} DESC) AS n "
        f"FROM {relation('dag_run')} x "
        f"WHERE run_type IN ('scheduled', 'backfill') AND {logical} IS NOT NULL"
    )
    return f"SELECT * FROM ({numbered}) y WHERE n = 1"


def going_question(columns: Columns, target: Relation, arriving: Relation) -> str:
    """A SELECT of the DAGs that are active in a target in use and go on from a run of theirs.

    One whose newest run arrives goes on from that: it has slept, however active it is.
    """
    question = (
        f"SELECT dag_id FROM {target('dag')} d WHERE NOT is_paused "
        f"AND dag_id IN (SELECT dag_id FROM {arriving('dag')})"
    )
    ours, theirs = _newest_runs(columns, target), _newest_runs(columns, arriving)
    if ours is None or theirs is None:
        return question
    newer = f"SELECT 1 FROM ({theirs}) a WHERE a.dag_id = t.dag_id AND a.logical > t.logical"
    return (
        f"{question} AND EXISTS (SELECT 1 FROM ({ours}) t WHERE t.dag_id = d.dag_id "
        f"AND NOT EXISTS ({newer}))"
    )


def read_dags(rows: Iterable[Sequence[object]]) -> tuple[Dag, ...]:
    """The rows of `quiet_question`, sorted."""
    return tuple(sorted(map(_dag, rows), key=lambda dag: dag.dag_id))


def _dag(row: Sequence[object]) -> Dag:
    dag_id, root, paused, schedule, partitioned, after, run, begins, ends, last, logical, end = row
    return Dag(
        dag_id=str(dag_id),
        root=str(root or dag_id),
        is_paused=_truth(paused),
        schedule=str(schedule or ""),
        partitioned=_truth(partitioned),
        # At its limit of active runs Airflow 2 empties the first of them.
        due=_instant(after) or _instant(ends) or _instant(run),
        begins=_instant(begins) or _instant(run),
        ends=_instant(ends),
        last_run_id=None if last is None else str(last),
        last_logical=_instant(logical),
        last_end=_instant(end),
    )


def _truth(value: object) -> bool:
    return str(value).lower() in ("true", "t", "1")


def _instant(value: object) -> datetime | None:
    """An instant from a database's text; infinities are none."""
    if value is None or "infinity" in str(value):
        return None
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None  # BC, or a year beyond 9999
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def plan_quiet(
    dags: Sequence[Dag],
    *,
    now: datetime,
    active: Collection[str] | None = None,
    missed_runs: MissedRuns = "skip",
    going: Collection[str] = (),
) -> QuietPlan:
    """Decide for every DAG.

    Args:
        now: the target's clock: what fell due until then is not made.
        active: exactly these are to be unpaused; None: those that the snapshot has so.
        going: DAGs that run in the target already (`going_question`), and slept through nothing.

    Raises:
        ConfigError: a DAG that is to be active is not in the snapshot.
    """
    known = tuple(dag.dag_id for dag in dags)
    check_active(active or (), known)
    awake = [d for d in dags if _is_active(d, active)]
    due = [d for d in awake if _is_due(d, now) and d.dag_id not in going]
    skipping = due if missed_runs == "skip" else []
    possible = [d for d in skipping if _can_sleep(d)]
    return QuietPlan(
        now=now,
        dags=known,
        active=tuple(d.dag_id for d in awake),
        told=active is not None,
        sleeps=tuple(_sleep(d, now) for d in possible),
        catch_up=tuple(d.dag_id for d in skipping if not _can_sleep(d)),
    )


def check_active(active: Collection[str], known: Collection[str]) -> None:
    """Whether a snapshot has the DAGs that are to be active.

    Raises:
        ConfigError: it names those that it has not.
    """
    unknown = sorted(set(active).difference(known))
    if unknown:
        named = [f"{name}{did_you_mean(name, sorted(known))}" for name in unknown[:_EXAMPLES]]
        more = ", ..." if len(unknown) > _EXAMPLES else ""
        raise ConfigError(f"--active {', '.join(named)}{more}: the snapshot has no such DAG")


def _is_active(dag: Dag, active: Collection[str] | None) -> bool:
    return not dag.is_paused if active is None else dag.dag_id in active or dag.root in active


def _is_due(dag: Dag, now: datetime) -> bool:
    """Whether a run fell due; that of `@once` is of no time, and would not follow another."""
    return dag.due is not None and dag.due <= now and _plain(dag.schedule) != "@once"


def _can_sleep(dag: Dag) -> bool:
    """Partitioned timetables count partitions, not time; before 2.2 there is no data interval."""
    return dag.begins is not None and dag.ends is not None and not dag.partitioned


def _sleep(dag: Dag, now: datetime) -> Sleep:
    begins = dag.begins or now
    since = dag.last_end or begins
    end = now
    step = _step(dag.schedule)
    if step:
        end = since + (now - since) // step * step
    elif not _CRON.fullmatch(_plain(dag.schedule)):
        # A timetable of somebody's own may count from the start of the last interval.
        since = max(since, now - ((dag.ends or begins) - begins))
    logical = (dag.last_logical or begins) + timedelta(microseconds=1)
    return Sleep(dag.dag_id, logical, min(since, end), end, dag.last_run_id)


def _plain(schedule: str) -> str:
    """A cron expression without the quotes of 2.x's JSON."""
    return schedule.strip().strip('"')


def _step(schedule: str) -> timedelta | None:
    """A timedelta's length; None for every other schedule."""
    if schedule.startswith("{"):
        try:
            found = json.loads(schedule)
            step = timedelta(**found["attrs"]) if found["type"] == "timedelta" else None
        except (ValueError, KeyError, TypeError):
            return None
    else:
        match = _DELTA.fullmatch(schedule)
        if match is None:
            return None
        days, hours, minutes, seconds, micros = (int(part or 0) for part in match.groups())
        step = timedelta(days, seconds, micros, 0, minutes, hours)
    return step if step and step > timedelta(0) else None


# Writing.
