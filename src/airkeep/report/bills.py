"""What a period cost, as a section of the page: whose part, and what of it was waste.

Amounts are there for environments whose bill is told or priced. For the others the section says
that nothing is known: no price is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from airkeep.cost.estimate import Estimate
from airkeep.cost.period import Period
from airkeep.cost.share import Cost, Share
from airkeep.errors import ConfigError, did_you_mean
from airkeep.report.cost import USUAL, Ask, Bill, Paid, Priced, bill, cost_of, period_to
from airkeep.report.figures import Column, Figure, Part, Row, Shown

Bills = Mapping[str, Paid | Priced]  # by environment; of the name "" for every other one

_TITLE = "Cost"
_UNKNOWN = (
    "What is paid is not known here, so there are no amounts. They are there when the report is "
    "made with an environment's class and region, --class mw1.small --region us-east-1, or with "
    "what the period cost, --total 449.11."
)
_MOST, _FEWEST = 200, 20
_WHO = (
    Column("environment", "environment", "text"), Column("dag_id", "DAG", "text"),
    Column("amount", "amount", "money"), Column("share", "share", "share"),
    Column("again", "done again", "money"), Column("failed", "failed", "money"),
    Column("waited", "waited", "money"), Column("slot_h", "slot hours", "h"),
)  # fmt: skip
_WHAT = (
    Column("environment", "environment", "text"), Column("part", "paid for", "text"),
    Column("amount", "amount", "money"), Column("share", "share", "share"),
)  # fmt: skip
_PARTS = (
    ("work", "tries that worked"),
    ("again", "tries that were done again"),
    ("failed", "tries that failed for good"),
    ("waited", "sensors that waited in a slot"),
)


@dataclass(frozen=True)
class Planned:
    """An environment's bill before anything is asked."""

    environment: str
    period: Period
    cost: Cost
    estimate: Estimate | None


@dataclass(frozen=True)
class Plan:
    """The bills of a page, and why other environments have none."""

    bills: tuple[Planned, ...]
    without: tuple[str, ...]


def plan_bills(bills: Bills, newest: Mapping[str, datetime], since: datetime | None) -> Plan:
    """Which bills there are, of the time since then, or of the last 30 days of each environment.

    Args:
        newest: when each environment's newest snapshot was taken.

    Raises:
        ConfigError: there is no environment of that name, or of several it is not said whose
            total it is, or a number makes no sense.
        NoPriceError: a price is not known.
    """
    for name in bills:
        if name and name not in newest:
            raise ConfigError(
                f"there is no environment {name!r} to price{did_you_mean(name, newest)}: "
                f"the report is about {', '.join(sorted(newest)) or 'none'}"
            )
    every = bills.get("")
    if isinstance(every, Paid) and every.total is not None and len(newest) > 1:
        raise ConfigError(
            f"a total is of one environment, and the report is about {', '.join(sorted(newest))}: "
            f"name it, --total {min(newest)}={every.total}"
        )
    found, without = [], []
    for name, at in sorted(newest.items()):
        paid = bills.get(name, bills.get(""))
        if paid is None or (isinstance(paid, Paid) and paid.total is None):
            without.append(f"{name}: no price is known.")
        elif since is not None and since >= at:
            without.append(f"{name}: nothing is known of this period.")
        else:
            period = period_to(at, since or USUAL)
            found.append(Planned(name, period, *cost_of(paid, period)))
    return Plan(tuple(found), tuple(without) if bills else (_UNKNOWN,))


def cost_part(ask: Ask, plan: Plan, *, narrowed: bool) -> Part:
    """The section; the models are made where there are bills."""
    found = [
        bill(ask, one.environment, one.period, one.cost, "dag", estimated=one.estimate)
        for one in plan.bills
    ]
    lead = " ".join((*map(_told, found), *plan.without))
    if not found:
        return Part("cost", _TITLE, lead, ())
    each = max(_FEWEST, _MOST // len(found))
    who = Figure(
        key="cost-0",
        title="Who the bill is for",
        why="By the slot time that a DAG's tasks took; what was paid while nothing ran is "
        "a row of its own.",
        mart="slot_waste_by_task",
        narrowed=narrowed,
        columns=_WHO,
        rows=tuple(sorted((row for one in found for row in _who(one, each)), key=_dearest_first)),
        shown=tuple(
            Shown(one.environment, min(each, len(one.shares)), len(one.shares)) for one in found
        ),
        chart=None,
    )
    what = Figure(
        key="cost-1",
        title="What the bill is for",
        why="The idle base is what sleeping could save.",
        mart="busy_by_day",
        narrowed=narrowed,
        columns=_WHAT,
        rows=tuple(row for one in found for row in _what(one)),
        shown=(),
        chart=None,
    )
    return Part("cost", _TITLE, lead, (who, what))


def _told(one: Bill) -> str:
    period = f"from {one.period.begin:%Y-%m-%d} to {one.period.end:%Y-%m-%d %H:%M} UTC"
    if one.estimate is None:
        return f"{one.environment}: {one.total:,} as told, {period}."
    of = sorted({(line.price.day, line.price.source) for line in one.estimate.lines})
    prices = " and ".join(f"{day} ({source})" for day, source in of)
    lines = ", ".join(line.what for line in one.estimate.lines)
    return (
        f"{one.environment}: {one.total:,} {one.currency}, estimated for {lines} in "
        f"{one.estimate.region} by prices of {prices}, {period}."
    )


def _who(one: Bill, each: int) -> list[Row]:
    rows = [_row(one, share) for share in one.shares[:each]]
    if one.idle:
        idle: Row = (one.environment, "(idle)", _number(one.idle), _part(one.idle, one.total),
                     None, None, None, None)  # fmt: skip
        rows.append(idle)
    return rows


def _dearest_first(row: Row) -> float:
    return -float(row[2] or 0)


def _row(one: Bill, share: Share) -> Row:
    waste = (_number(amount) for amount in (share.again, share.failed, share.waited))
    part = _part(share.amount, one.total)
    return (
        one.environment,
        share.name,
        _number(share.amount),
        part,
        *waste,
        round(share.slot_h, 6),
    )


def _what(one: Bill) -> list[Row]:
    sums = [
        (words, sum((getattr(share, name) for share in one.shares), Decimal(0)))
        for name, words in _PARTS
    ]
    parts = [*sums, ("the idle base: nothing ran", one.idle), ("total", one.total)]
    return [
        (one.environment, words, _number(amount), _part(amount, one.total))
        for words, amount in parts
    ]


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _part(amount: Decimal | None, total: Decimal | None) -> float | None:
    return round(float(amount / total), 6) if amount is not None and total else None
