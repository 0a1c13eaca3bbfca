"""When an environment must be awake, by hours of the week: its DAGs' schedules, and its history.

Pure. A DAG with cron, or an interval, is taken by what it says now, over all of the weeks that are
looked at, also where it was added in the last of them. Every other run is taken as history has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import Literal
from zoneinfo import ZoneInfo

from airkeep.environment.week import hour_of, touched
from airkeep.models.cron import cron_times

# Kinds of schedules that tell when runs are due; those of the others are taken from history.
TELLING = ("cron", "delta")


@dataclass(frozen=True)
class KnownDag:
    """A DAG that is there and not paused, with its newest schedule.

    Attributes:
        schedule: in words; `kind`, `expression`, `timezone`, `interval_s` as in `schedules`.
        last_due: of its runs by schedule (UTC).
        usual_s: how long a run takes, by the 95th percentile; None where none is known.
        first_at: of its first run that is known.
        has_sensors: it waits for something.
    """

    dag_id: str
    schedule: str
    kind: str
    expression: str | None = None
    timezone: str | None = None
    interval_s: float | None = None
    last_due: datetime | None = None
    usual_s: float | None = None
    first_at: datetime | None = None
    has_sensors: bool = False


@dataclass(frozen=True)
class PastRun:
    """A run of the weeks that are looked at.

    Attributes:
        at: when it was due, or asked for.
    """

    dag_id: str
    run_type: str
    at: datetime
    ended_at: datetime | None


Kind = Literal["scheduled", "asked"]
OnCron = Callable[[str, str, datetime, datetime], Sequence[datetime]]


@dataclass(frozen=True)
class Need:
    """Runs of one DAG that begin in one hour of the week and take as long.

    Attributes:
        kind: `asked`: by somebody, by an API or by assets, so that it can come later, too.
        hour: of the week in which they are due; `touches`: all in which they are at work.
        runs: how many, in all of the weeks.
    """

    dag_id: str
    kind: Kind
    hour: int
    touches: int
    runs: int


def needs(
    dags: Sequence[KnownDag],
    runs: Iterable[PastRun],
    begin: datetime,
    end: datetime,
    zone: ZoneInfo,
) -> tuple[Need, ...]:
    """What the DAGs that are there need, of the time from `begin` to `end`."""
    known = {dag.dag_id: dag for dag in dags}
    found: Counter[tuple[str, Kind, int, int]] = Counter()
    on_cron = cache(_on_cron)  # many DAGs have one schedule
    for dag in dags:
        lasts = timedelta(seconds=dag.usual_s or 0)
        for at in _due(dag, begin, end, on_cron):
            found[dag.dag_id, "scheduled", hour_of(at, zone), touched(at, at + lasts, zone)] += 1
    for run in runs:
        its_dag = known.get(run.dag_id)
        is_scheduled = run.run_type == "scheduled"
        if its_dag is None or (is_scheduled and its_dag.kind in TELLING):
            continue
        until = run.ended_at or run.at + timedelta(seconds=its_dag.usual_s or 0)
        kind: Kind = "scheduled" if is_scheduled else "asked"
        hours = touched(run.at, max(run.at, until), zone)
        found[run.dag_id, kind, hour_of(run.at, zone), hours] += 1
    return tuple(Need(*key, runs=count) for key, count in sorted(found.items()))


def _due(dag: KnownDag, begin: datetime, end: datetime, on_cron: OnCron) -> Iterable[datetime]:
    if dag.kind == "cron" and dag.expression is not None:
        return on_cron(dag.expression, dag.timezone or "UTC", begin, end)
    if dag.kind == "delta" and dag.interval_s and dag.last_due is not None:
        return _evenly(dag.last_due, timedelta(seconds=dag.interval_s), begin, end)
    return ()


def _on_cron(expression: str, timezone: str, begin: datetime, end: datetime) -> list[datetime]:
    """As Airflow has it, which reads a change of the clock otherwise than EventBridge."""
    first = begin.replace(tzinfo=None) - timedelta(microseconds=1)
    last = end.replace(tzinfo=None)
    found = takewhile(lambda at: at < last, cron_times(expression, timezone, first))
    return [at.replace(tzinfo=UTC) for at in found]


def _evenly(
    last_due: datetime, step: timedelta, begin: datetime, end: datetime
) -> Iterator[datetime]:
    at = last_due - step * ((last_due - begin) // step)
    while at < end:
        if at >= begin:
            yield at
        at += step
