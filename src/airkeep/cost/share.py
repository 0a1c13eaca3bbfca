"""Who a bill is for: an amount dealt out by the slot time that each one's tasks took.

Weights are exact fractions, and amounts whole cents that are dealt out by largest remainder, so
the parts of a bill are the bill, to the cent, however it is cut. A DAG with two owners is half of
each, one with three tags a third of each: nothing counts twice. The idle base, what was paid while
nothing ran, is nobody's part, or everybody's when it is spread.

Waste is told apart within each part, and each second counts once: a try that was not the last of
its task instance is work done again, a last one that failed is lost, what is left of a sensor's
time is waiting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Literal, get_args

from airkeep.cost.estimate import CENT
from airkeep.errors import ConfigError

By = Literal["dag", "task", "owner", "tag"]
BY: tuple[By, ...] = get_args(By)


@dataclass(frozen=True)
class Use:
    """The slot time of one task, in seconds times pool slots.

    Attributes:
        owners: of its DAG, joined as Airflow joins them: `ann, bob`.
        again_s: of tries that were not the last; failed_s: of last ones that failed; waited_s: of
            other tries of sensors. All of them are in slot_s.
    """

    dag_id: str
    task_id: str
    owners: str
    tags: tuple[str, ...]
    slot_s: float
    again_s: float
    failed_s: float
    waited_s: float


@dataclass(frozen=True)
class Share:
    """One part of a bill; its amounts of waste and of work are the amount.

    Attributes:
        name: a DAG, a task as `dag.task`, an owner or a tag; empty for work without one.
        part: of all slot time.
        amount: None, as all that it is made of, where the bill is not known.
    """

    name: str
    slot_h: float
    part: float
    amount: Decimal | None = None
    again: Decimal | None = None
    failed: Decimal | None = None
    waited: Decimal | None = None
    work: Decimal | None = None


@dataclass(frozen=True)
class Cost:
    """What was paid in a period, and in how much of it anything ran.

    Attributes:
        total: None where it is not known.
        standing: the part of the total that is paid whether anything runs or not.
        hours: for which the environment was there.
        busy_hours: in which a try held a slot.
    """

    total: Decimal | None
    standing: Decimal
    hours: Decimal
    busy_hours: Decimal


@dataclass(frozen=True)
class Shared:
    """A bill in parts: `idle` and every amount are the total.

    Attributes:
        total: None where it is not known.
        idle: paid while nothing ran; with `spread`, only where nothing ever did.
    """

    total: Decimal | None
    idle: Decimal | None
    shares: tuple[Share, ...]


def share(cost: Cost, uses: Iterable[Use], by: By, *, spread: bool = False) -> Shared:
    """Deal a bill out, the largest part first.

    Args:
        spread: the idle base too, in proportion to slot time.

    Raises:
        ConfigError: the total is less than nothing, or has parts of a cent.
    """
    named = _by_name(uses, by)
    names = sorted(named, key=lambda name: (-named[name].slot_s, name))
    taken = sum((named[name].slot_s for name in names), Fraction(0))
    parts = [named[name].slot_s / taken for name in names]
    shares = [
        Share(name, float(named[name].slot_s) / 3600, float(part))
        for name, part in zip(names, parts, strict=True)
    ]
    if cost.total is None:
        return Shared(None, None, tuple(shares))
    total = whole_cents(cost.total)
    if not taken:
        return Shared(_amount(total), _amount(total), ())
    idle = Fraction(0) if spread else _idle(cost.total, cost)
    rest = Fraction(cost.total) - idle
    nobodys, *amounts = dealt(total, [idle, *(rest * part for part in parts)])
    priced = (_priced(one, n, named[one.name]) for one, n in zip(shares, amounts, strict=True))
    return Shared(_amount(total), _amount(nobodys), tuple(priced))


def dealt(whole: int, weights: Sequence[Fraction]) -> list[int]:
    """Whole numbers in proportion to the weights, that sum to the whole.

    What is left after rounding down goes to the largest remainders, of equal ones to the first.
    Where every weight is nothing, all of it goes to the last.
    """
    of = sum(weights, Fraction(0))
    if not of:
        return [0] * (len(weights) - 1) + [whole]
    exact = [whole * weight / of for weight in weights]
    parts = [int(one) for one in exact]
    order = sorted(range(len(parts)), key=lambda n: parts[n] - exact[n])
    for n in order[: whole - sum(parts)]:
        parts[n] += 1
    return parts


def whole_cents(amount: Decimal) -> int:
    """An amount in cents.

    Raises:
        ConfigError: it is less than nothing, or has parts of a cent.
    """
    if not amount.is_finite() or not 0 <= amount < 1_000_000_000_000 or amount % CENT:
        raise ConfigError(f"a total is an amount such as 449.11, found {amount}")
    return int(amount / CENT)


@dataclass
class _Taken:
    """Slot time, exactly; work is what is left of it."""

    slot_s: Fraction = Fraction(0)
    again_s: Fraction = Fraction(0)
    failed_s: Fraction = Fraction(0)
    waited_s: Fraction = Fraction(0)

    def add(self, use: Use, part: Fraction) -> None:
        self.slot_s += part * Fraction(use.slot_s)
        self.again_s += part * Fraction(use.again_s)
        self.failed_s += part * Fraction(use.failed_s)
        self.waited_s += part * Fraction(use.waited_s)


def _by_name(uses: Iterable[Use], by: By) -> dict[str, _Taken]:
    found: dict[str, _Taken] = defaultdict(_Taken)
    for use in uses:
        names = _names(use, by)
        for name in names:
            found[name].add(use, Fraction(1, len(names)))
    return {name: taken for name, taken in found.items() if taken.slot_s > 0}


def _names(use: Use, by: By) -> Sequence[str]:
    match by:
        case "dag":
            return [use.dag_id]
        case "task":
            return [f"{use.dag_id}.{use.task_id}"]
        case "owner":
            owners = (one.strip() for one in use.owners.split(","))
            return list(dict.fromkeys(one for one in owners if one)) or [""]
        case "tag":
            return list(dict.fromkeys(use.tags)) or [""]


def _idle(total: Decimal, cost: Cost) -> Fraction:
    """The standing part of the total, for the hours in which nothing ran."""
    if not cost.hours:
        return Fraction(0)
    idle_hours = max(Fraction(0), Fraction(cost.hours) - Fraction(cost.busy_hours))
    standing = min(Fraction(cost.standing), Fraction(total))
    return standing * idle_hours / Fraction(cost.hours)


def _priced(share: Share, part: int, taken: _Taken) -> Share:
    waste = (taken.again_s, taken.failed_s, taken.waited_s)
    # The sums of floats in SQL may end a little above the float of the whole.
    work = max(Fraction(0), taken.slot_s - sum(waste, Fraction(0)))
    again, failed, waited, worked = map(_amount, dealt(part, [*waste, work]))
    return replace(
        share, amount=_amount(part), again=again, failed=failed, waited=waited, work=worked
    )


def _amount(whole: int) -> Decimal:
    return (Decimal(whole) * CENT).quantize(CENT)
