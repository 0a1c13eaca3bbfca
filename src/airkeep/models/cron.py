"""When cron expressions and intervals make runs due, as Airflow counts it.

Cron is read in the DAG's own time zone. Where the hour is fixed, a run keeps its wall clock time
over a change of the clock: a time that is left out comes an hour later, one that comes twice is the
second one. Where every hour has a run, as with `30 * * * *`, time goes on evenly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from heapq import merge
from itertools import islice, pairwise, takewhile
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MOST = 600_000  # of one span: a run every minute for more than a year
_LAST_YEAR = 9000


def due_times(spans: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """Each time of a span at which a run is due.

    A schedule that cannot be read makes none. No span gives more than its first 600,000. Runs at
    intervals move when they were late: what is due within half an interval of the run that ends
    a span is that run.

    Args:
        spans: rows of `schedule_spans`.
    """
    months = cache(_month)  # many DAGs have one schedule
    for span in spans:
        until = span["until_at"]
        if span["ends_with_run"]:
            until -= timedelta(seconds=span["interval_s"]) / 2
        early = span["names_interval_start"] and not span["ends_with_run"]
        times = islice(_times(span, months), MOST)
        for due, following in pairwise(times):
            if (following if early else due) > until:
                break
            yield (span["environment"], span["dag_id"], due, span["number"])


def _times(span: Mapping[str, Any], months: Callable[..., list[datetime]]) -> Iterator[datetime]:
    after: datetime = span["after_at"]
    if span["interval_s"] is not None:
        yield from _evenly(after, timedelta(seconds=span["interval_s"]))
        return
    until: datetime = span["until_at"]
    for month in range(_month_of(after), _month_of(until) + _MONTHS_WITHOUT):
        times = months(span["expression"] or "", span["timezone"] or "UTC", month)
        yield from times[bisect_right(times, after) :]


_MONTHS_WITHOUT = 9 * 12  # from one 29 February to the next, at most


def _month_of(time: datetime) -> int:
    """Months since the year 0."""
    return time.year * 12 + time.month - 1


def _month(expressions: str, timezone: str, month: int) -> list[datetime]:
    """The times of that month."""
    begin = datetime(month // 12, month % 12 + 1, 1)
    end = datetime((month + 1) // 12, (month + 1) % 12 + 1, 1)
    before = begin - timedelta(microseconds=1)
    return list(takewhile(lambda t: t < end, cron_times(expressions, timezone, before)))


def _evenly(after: datetime, step: timedelta) -> Iterator[datetime]:
    while step and after.year < _LAST_YEAR:
        after += step
        yield after


def cron_times(expressions: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """The times after one at which any of the expressions is due, naive UTC, without end.

    Args:
        expressions: of five fields, with " | " between several.
        after: naive UTC.
    """
    from cronsim import CronSimError

    try:
        zone = ZoneInfo(timezone)
        several = [_cron_times(one, zone, after) for one in expressions.split(" | ")]
        last = None
        for time in merge(*several):
            if time != last:
                yield time
            last = time
    except (CronSimError, ZoneInfoNotFoundError, ValueError, OverflowError):
        return


def _cron_times(expression: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    from cronsim import CronSim

    local = _local(after, zone)
    times = CronSim(expression, local)
    every_hour = expression.split()[1] in ("*", "*/1", "0-23")
    if zone.key == "UTC":
        yield from times
    while True:
        following: datetime | None = next(times, None)
        if following is None:
            return
        if every_hour:
            after += following - local
        else:
            after = _utc(following, zone)
        yield after
        local = _local(after, zone)
        if local != following:  # the clock was changed between the two
            times = CronSim(expression, local)


def _local(time: datetime, zone: ZoneInfo) -> datetime:
    """The wall clock there, without a zone."""
    return time.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)


def _utc(local: datetime, zone: ZoneInfo) -> datetime:
    """Naive UTC of a wall clock time; see above for what is there twice, or never."""
    first = local.replace(tzinfo=zone, fold=0).utcoffset() or timedelta()
    second = local.replace(tzinfo=zone, fold=1).utcoffset() or timedelta()
    left_out = second > first  # a clock that is put forward
    return local - (first if left_out else second)
