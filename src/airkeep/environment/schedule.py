"""When an environment is to sleep and to wake: cron, read in a time zone. Pure.

The clock is read as Amazon EventBridge Scheduler reads it, so that a schedule means the same
whoever keeps it: a time that is left out, when the clock is put forward, does not come that day;
one that comes twice, when it is put back, counts the first time only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice, pairwise, takewhile
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from airkeep.environment.events import Journey, Scheduled
from airkeep.errors import ConfigError, did_you_mean

_DAY = timedelta(days=1)
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
# What cron on every Unix knows: not the L, W, # and ? of others.
_FIELD = re.compile(rf"(?:[0-9*,/-]|{'|'.join(_DAYS)}|{_MONTHS})+", re.IGNORECASE)
_TRIED = 2_000  # times that are looked at for two at once


@dataclass(frozen=True, order=True)
class Due:
    """A journey, and the instant (UTC) at which it is due."""

    at: datetime
    journey: Journey


@dataclass(frozen=True)
class ForEventBridge:
    """What EventBridge Scheduler is told of one schedule, by its own names."""

    journey: Journey
    ScheduleExpression: str
    ScheduleExpressionTimezone: str
    State: Literal["ENABLED"] = "ENABLED"


def check_schedule(schedule: Scheduled, now: datetime) -> None:
    """Look whether it can be kept.

    Raises:
        ConfigError: it cannot; says why.
    """
    if schedule.down is None and schedule.up is None:
        raise ConfigError("a schedule needs --down or --up: --down '0 20 * * MON-FRI'")
    zone_of(schedule.timezone)
    for flag, expression in (("--down", schedule.down), ("--up", schedule.up)):
        if expression is not None:
            _check_cron(flag, expression, schedule.timezone, now)
    for one, other in pairwise(islice(coming(schedule, now), _TRIED)):
        if one.at == other.at:
            raise ConfigError(
                f"--down and --up are both due at {one.at:%Y-%m-%d %H:%M} UTC: let them be apart"
            )


def _check_cron(flag: str, expression: str, timezone: str, now: datetime) -> None:
    from cronsim import CronSimError

    if not _is_cron(expression):
        raise ConfigError(
            f"{flag} {expression!r}: expected the five fields of cron, minute hour day month "
            f"weekday, such as '0 20 * * MON-FRI'"
        )
    try:
        found = next(times(expression, timezone, now), None)
    except CronSimError:  # the 31st of February: each field for itself is sound
        found = None
    if found is None:
        raise ConfigError(f"{flag} {expression!r}: there is no such day")


def _is_cron(expression: str) -> bool:
    """Whether each of its five fields is one."""
    from cronsim import CronSim, CronSimError

    fields = expression.split()
    if len(fields) != 5 or not all(map(_FIELD.fullmatch, fields)):
        return False
    minute, hour, day, month, weekday = fields
    try:
        for alone in (f"{minute} {hour} {day} * {weekday}", f"* * * {month} *"):
            CronSim(alone, datetime(2000, 1, 1))
    except CronSimError:
        return False
    return True


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = did_you_mean(name, available_timezones())
        raise ConfigError(
            f"--timezone {name!r}: no such time zone{near}: expected one such as Europe/Copenhagen"
        ) from None


# Times.


def times(expression: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """The instants (UTC) after one at which a cron expression is due, without end."""
    from cronsim import CronSim

    zone = ZoneInfo(timezone)
    for wall in CronSim(expression, _wall(after, zone)):
        at = _instant(wall, zone)
        if at is not None and at > after:
            yield at


def coming(schedule: Scheduled, after: datetime) -> Iterator[Due]:
    """What falls due after an instant, in order, without end."""

    def of(journey: Journey, expression: str | None) -> Iterator[Due]:
        if expression is not None:
            for at in times(expression, schedule.timezone, after):
                yield Due(at, journey)

    return merge(of("down", schedule.down), of("up", schedule.up))


def last_due(schedule: Scheduled, until: datetime) -> Due | None:
    """What fell due last, at or before an instant."""
    found = [
        Due(at, journey)
        for journey, expression in _halves(schedule)
        if (at := _last(expression, schedule.timezone, until)) is not None
    ]
    return max(found, default=None)


def _last(expression: str, timezone: str, until: datetime) -> datetime | None:
    from cronsim import CronSim

    zone = ZoneInfo(timezone)
    # A wall clock that was put back shows times again that came before: a day covers any change.
    for wall in CronSim(expression, _wall(until, zone) + _DAY, reverse=True):
        at = _instant(wall, zone)
        if at is not None and at <= until:
            return at
    return None


def left_out(schedule: Scheduled, after: datetime, *, days: int = 366) -> tuple[str, ...]:
    """What is not due because the clock is put forward over it, a day of each journey.

    `up 2027-03-28 02:30`, or `up 2027-03-28 02:00 to 02:59`.
    """
    zone = ZoneInfo(schedule.timezone)
    first = _wall(after, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    forward = (
        day
        for day in (first + n * _DAY for n in range(days))
        if _offset(day + _DAY, zone) > _offset(day, zone)
    )
    found = (
        (journey, [wall for wall in _walls(expression, day) if _instant(wall, zone) is None])
        for day in forward
        for journey, expression in _halves(schedule)
    )
    return tuple(
        f"{journey} {walls[0]:%Y-%m-%d %H:%M}" + (f" to {walls[-1]:%H:%M}" if walls[1:] else "")
        for journey, walls in found
        if walls
    )


def _walls(expression: str, day: datetime) -> Iterator[datetime]:
    """What the expression says of one day, whatever the clock there does."""
    from cronsim import CronSim

    walls = CronSim(expression, day - timedelta(minutes=1))
    return takewhile(lambda wall: wall < day + _DAY, walls)


def _halves(schedule: Scheduled) -> Iterator[tuple[Journey, str]]:
    if schedule.down is not None:
        yield "down", schedule.down
    if schedule.up is not None:
        yield "up", schedule.up


def _offset(wall: datetime, zone: ZoneInfo) -> timedelta:
    return wall.replace(tzinfo=zone).utcoffset() or timedelta()


def _wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def _instant(wall: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant at which a clock there shows this; None where it never does."""
    at = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return at if _wall(at, zone) == wall else None


# EventBridge.


def for_eventbridge(schedule: Scheduled) -> tuple[ForEventBridge, ...]:
    """What EventBridge Scheduler must be told to do the same.

    A day of the month *or* of the week, which cron can say, needs two schedules there.

    Raises:
        ConfigError: EventBridge has no words for it.
    """
    return tuple(
        ForEventBridge(journey, f"cron({said})", schedule.timezone)
        for journey, expression in _halves(schedule)
        for said in _in_six_fields(journey, expression)
    )


def _in_six_fields(journey: Journey, expression: str) -> Iterator[str]:
    from cronsim import CronSim

    cron = CronSim(expression, datetime(2000, 1, 1))
    weekdays = {day % 7 for day in cron.weekdays if isinstance(day, int)}
    any_day, any_weekday = cron.days == set(range(1, 32)), len(weekdays) == 7
    clock = f"{_numbers(cron.minutes, 60)} {_numbers(cron.hours, 24)}"
    months = _numbers(cron.months, 12)
    day, weekday = _numbers(cron.days, 31), ",".join(_DAYS[d] for d in sorted(weekdays))
    by_day, by_weekday = f"{clock} {day} {months} ? *", f"{clock} ? {months} {weekday} *"
    if any_weekday and (any_day or cron.day_and):
        yield by_day
    elif cron.day_and and any_day:
        yield by_weekday
    elif cron.day_and:
        raise ConfigError(
            f"--{journey} {expression!r}: EventBridge cannot say a day of the month and of the "
            f"week at once: give one of them"
        )
    elif any_day or any_weekday:
        yield f"{clock} * {months} ? *"
    else:
        yield by_day
        yield by_weekday


def _numbers(found: set[int], of: int) -> str:
    return "*" if len(found) == of else ",".join(str(n) for n in sorted(found))


def next_times(schedule: Scheduled, after: datetime, count: int) -> Sequence[Due]:
    """The next few of what falls due."""
    return list(islice(coming(schedule, after), count))
