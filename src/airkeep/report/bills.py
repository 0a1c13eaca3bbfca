"""What a period cost, as a section of the page: whose part, and what of it was waste.

Amounts are there for environments whose bill is told or priced. For the others the section says
that nothing is known: no price is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from airkeep.cost.share import Share
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


def check_bills(bills: Bills, names: Sequence[str]) -> None:
    """Refuse a bill of an environment that is not there.

    Raises:
        ConfigError: there is none of that name.
    """
    for name in bills:
        if name and name not in names:
            raise ConfigError(
                f"there is no environment {name!r} to price{did_you_mean(name, names)}: "
                f"the report is about {', '.join(names) or 'none'}"
            )


def cost_part(
    ask: Ask, bills: Bills, newest: Mapping[str, datetime], since: datetime | None
) -> Part:
    """The section, about the time since then, or the last 30 days of each environment.

    Args:
        newest: when each environment's newest snapshot was taken.
    """
    if not bills:
        return Part("cost", _TITLE, _UNKNOWN, ())
    found, said = [], []
    for name, at in sorted(newest.items()):
        paid = bills.get(name, bills.get(""))
        if paid is None:
            said.append(f"{name}: no price is known.")
        elif since is not None and since >= at:
            said.append(f"{name}: nothing is known of this period.")
        else:
            found.append(_bill(ask, name, at, since or USUAL, paid))
            said.append(_told(found[-1]))
    each = max(_FEWEST, _MOST // max(len(found), 1))
    narrowed = since is not None
    who = Figure(
        "cost-0", "Who the bill is for",
        "By the slot time that a DAG's tasks took; what was paid while nothing ran is its own row.",
        "slot_waste_by_task", narrowed, _WHO,
        tuple(sorted((row for one in found for row in _who(one, each)), key=_dearest_first)),
        tuple(Shown(b.environment, min(each, len(b.shares)), len(b.shares)) for b in found), None,
    )  # fmt: skip
    what = Figure(
        "cost-1", "What the bill is for",
        "The idle base is what an environment that sleeps would save.",
        "busy_by_day", narrowed, _WHAT, tuple(row for one in found for row in _what(one)),
        (), None,
    )  # fmt: skip
    return Part("cost", _TITLE, " ".join(said), (who, what))


def _bill(
    ask: Ask, name: str, newest: datetime, since: datetime | timedelta, paid: Paid | Priced
) -> Bill:
    period = period_to(newest, since)
    cost, estimated = cost_of(paid, period)
    return bill(ask, name, period, cost, "dag", estimated=estimated)


def _told(one: Bill) -> str:
    period = f"from {one.period.begin:%Y-%m-%d} to {one.period.end:%Y-%m-%d %H:%M} UTC"
    if one.estimate is None:
        return f"{one.environment}: {one.total:,} as told, {period}."
    days = sorted({line.price.day for line in one.estimate.lines})
    lines = ", ".join(line.what for line in one.estimate.lines)
    return (
        f"{one.environment}: {one.total:,} {one.currency}, estimated for {lines} in "
        f"{one.estimate.region} by prices of {days[0]}, {period}."
    )


def _who(one: Bill, each: int) -> list[Row]:
    rows = [_row(one, share) for share in one.shares[:each]]
    if one.idle:
        idle: Row = (one.environment, "(idle)", float(one.idle), _part(one.idle, one.total),
                     None, None, None, None)  # fmt: skip
        rows.append(idle)
    return rows


def _dearest_first(row: Row) -> float:
    return -float(row[2] or 0)


def _row(one: Bill, share: Share) -> Row:
    waste = (float(amount) for amount in (share.again, share.failed, share.waited))
    part = _part(share.amount, one.total)
    return (one.environment, share.name, float(share.amount), part, *waste, round(share.slot_h, 6))


def _what(one: Bill) -> list[Row]:
    sums = [
        (words, sum((getattr(share, name) for share in one.shares), Decimal(0)))
        for name, words in _PARTS
    ]
    parts = [*sums, ("the idle base: nothing ran", one.idle), ("total", one.total)]
    return [
        (one.environment, words, float(amount), _part(amount, one.total)) for words, amount in parts
    ]


def _part(amount: Decimal, total: Decimal) -> float | None:
    return round(float(amount / total), 6) if total else None
