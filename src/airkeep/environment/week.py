"""The hours of a week on a clock, as the bits of a number: what plans of sleep are made of. Pure.

Bit 0 is Monday from midnight on, bit 167 the last hour of Sunday, by the wall clock of a time zone.
Over a change of the clock an hour of the week is there twice, or not at all: `quarters` tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

HOURS = 168
ALL = (1 << HOURS) - 1
STEP = timedelta(minutes=15)  # all zones keep to quarters of an hour
_LONGEST = timedelta(days=8)  # touches every hour of a week, whatever the clock does
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def hour_of(at: datetime, zone: ZoneInfo) -> int:
    """The hour of the week in which an instant lies."""
    wall = at.astimezone(zone)
    return wall.weekday() * 24 + wall.hour


def bits(first: int, count: int) -> int:
    """So many hours from one on, around the week's end."""
    if count >= HOURS:
        return ALL
    whole = ((1 << count) - 1) << (first % HOURS)
    return (whole | whole >> HOURS) & ALL


def touched(begin: datetime, end: datetime, zone: ZoneInfo) -> int:
    """The hours that a time lies in, both of its ends included."""
    if end - begin >= _LONGEST:
        return ALL
    found, at = 1 << hour_of(end, zone), begin
    while at < end:
        found |= 1 << hour_of(at, zone)
        at += STEP
    return found


def hours_in(mask: int) -> list[int]:
    """The hours of a number, in order."""
    return [hour for hour in range(HOURS) if mask >> hour & 1]


def windows(mask: int) -> list[tuple[int, int]]:
    """Hours that follow on one another: the first, and the one after the last.

    One window may go around the week's end: its second number is below its first. All of the week
    is no window: it has no end.
    """
    if mask == ALL:
        return []
    begins = [h for h in hours_in(mask) if not mask >> ((h - 1) % HOURS) & 1]
    found = []
    for begin in begins:
        count = 0
        while mask >> ((begin + count) % HOURS) & 1:
            count += 1
        found.append((begin, (begin + count) % HOURS))
    return found


def quarters(begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[int]:
    """The hour of the week of each quarter of an hour from one instant to another."""
    at = begin.astimezone(UTC)
    while at < end:
        yield hour_of(at, zone)
        at += STEP
