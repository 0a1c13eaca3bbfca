"""When an environment must be awake, by hours of the week: its DAGs' schedules, and its history.

Pure. A DAG with cron, or an interval, is taken by what it says now, over all of the weeks that are
looked at, also where it was added in the last of them. Every other run is taken as history has it.

Clocks are changed, in the zone of a plan and in those of DAGs, and not on one day: what is due in a
coming week with another difference between them is needed, too, but not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from airkeep.environment.week import hour_of, touched
from airkeep.models.cron import cron_times

# Kinds of schedules that tell when runs are due; those of the others are taken from history.
TELLING = ("cron", "delta")
_YEAR = 53  # weeks


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
        runs: how many, in all of the weeks; 0: only when a clock is changed.
        kind: `asked`: by somebody, by an API or by assets, so that it can come later, too.
        hour: of the week in which they are due; `touches`: all in which they are at work.
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
    spans = [(begin, end, 1), *((*week, 0) for week in other_weeks(dags, begin, end, zone))]
    for dag in dags:
        lasts = timedelta(seconds=dag.usual_s or 0)
        for first, last, counts in spans:
            for at in _due(dag, first, last, on_cron):
                hours = touched(at, at + lasts, zone)
                found[dag.dag_id, "scheduled", hour_of(at, zone), hours] += counts
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


def other_weeks(
    dags: Sequence[KnownDag], begin: datetime, end: datetime, zone: ZoneInfo
) -> Iterator[tuple[datetime, datetime]]:
    """One week of the coming year for each way in which clocks stand that these weeks have not."""
    names = {dag.timezone or "UTC" for dag in dags if dag.kind == "cron"}
    zones = [zone, *(ZoneInfo(name) for name in sorted(names) if name in available_timezones())]
    week = timedelta(weeks=1)

    def clocks(at: datetime) -> tuple[timedelta | None, ...]:
        return tuple(when.astimezone(z).utcoffset() for when in (at, at + week) for z in zones)

    seen = {clocks(begin + n * week) for n in range((end - begin) // week)}
    for first in (end + n * week for n in range(_YEAR)):
        if (now := clocks(first)) not in seen:
            seen.add(now)
            yield first, first + week


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
