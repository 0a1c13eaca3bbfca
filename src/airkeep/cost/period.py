"""How long a time is by a bill: in hours, and in months, which are not equally long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal

from airkeep.errors import ConfigError

_US_PER_HOUR = 3_600_000_000
Span = tuple[datetime, datetime | None]  # from, to; None: it has not ended


@dataclass(frozen=True)
class Period:
    """From one time (UTC) to another."""

    begin: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end <= self.begin:
            raise ConfigError(
                f"a period from {self.begin:%Y-%m-%dT%H:%MZ} to {self.end:%Y-%m-%dT%H:%MZ} has "
                f"no time in it: let it begin earlier"
            )

    @property
    def hours(self) -> Decimal:
        return _hours(self.begin, self.end)

    def hours_without(self, spans: Iterable[Span]) -> Decimal:
        """Its hours less those of the spans, which do not overlap."""
        found = self.hours
        for begin, end in spans:
            first, last = max(begin, self.begin), min(end or self.end, self.end)
            found -= _hours(first, max(first, last))
        return found

    def check_hours(self, hours: Decimal) -> None:
        """See that an environment can have been there for so long.

        Raises:
            ConfigError: it cannot.
        """
        if not 0 <= hours <= self.hours:
            most = self.hours.quantize(Decimal("0.01"), ROUND_FLOOR).normalize()
            raise ConfigError(f"hours: expected 0 to {most:f} in this period, found {hours}")

    @property
    def months(self) -> Decimal:
        """Each month counts by the part of it that lies in the period."""
        found, at = Decimal(0), self.begin
        while at < self.end:
            first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            after = next_month(first)
            found += _hours(at, min(after, self.end)) / _hours(first, after)
            at = after
        return found


def month_of(year: int, month: int) -> Period:
    """A whole calendar month."""
    first = datetime(year, month, 1, tzinfo=UTC)
    return Period(first, next_month(first))


def next_month(first: datetime) -> datetime:
    """The first instant of the month after."""
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def _hours(begin: datetime, end: datetime) -> Decimal:
    lasted = end - begin
    us = (lasted.days * 86_400 + lasted.seconds) * 1_000_000 + lasted.microseconds
    return Decimal(us) / _US_PER_HOUR
