"""What an environment costs in a period: lines of quantity, price and amount, and their sum.

Every line is rounded half up to the cent, as a bill is, and the total is the sum of the lines. An
environment includes workers and schedulers; only those beyond them are lines. What is billed by
the month (the database) is billed for the hours that the environment is there; a lake in S3 stays
while it sleeps, and is billed for all of the period.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from airkeep.cost.period import Period, month_of
from airkeep.cost.prices import CLASSES, Price, Prices
from airkeep.errors import ConfigError, NoPriceError, did_you_mean

CENT = Decimal("0.01")
WORKERS = 1  # that an environment includes
_SCHEDULERS, _SCHEDULERS_MICRO = 2, 1
_MOST = Decimal(1_000_000_000)


@dataclass(frozen=True)
class Usage:
    """What is used in a period; nothing where it is not said.

    Attributes:
        hours: for which the environment is there; None: all of the period.
        workers: that are always there, the included one too.
        schedulers: the included ones too; None: those.
        extra_worker_hours: hours of all workers that scaling added for a time, summed.
        storage_gb: size of the metadata database.
        s3_gb: storage class and GB; likewise the requests, each counted.
    """

    environment_class: str | None = None
    hours: Decimal | None = None
    workers: int = WORKERS
    schedulers: int | None = None
    extra_worker_hours: Decimal = Decimal(0)
    storage_gb: Decimal = Decimal(0)
    serverless_task_hours: Decimal = Decimal(0)
    glue_dpu_hours: Decimal = Decimal(0)
    s3_gb: tuple[tuple[str, Decimal], ...] = ()
    s3_puts: tuple[tuple[str, Decimal], ...] = ()
    s3_gets: tuple[tuple[str, Decimal], ...] = ()
    s3_transitions: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True)
class Line:
    """One line of a bill.

    Attributes:
        stands: whether it is paid for the environment's being there, at work or idle.
    """

    what: str
    quantity: Decimal
    price: Price
    amount: Decimal
    stands: bool


@dataclass(frozen=True)
class Estimate:
    """A bill, line by line.

    Attributes:
        hours: for which the environment is there.
    """

    region: str
    currency: str
    period: Period
    hours: Decimal
    lines: tuple[Line, ...]
    total: Decimal


def class_named(name: str) -> str:
    """`small`, `MW1.Small` -> `mw1.small`.

    Raises:
        ConfigError: MWAA has no such class.
    """
    wanted = name.strip().lower()
    wanted = wanted if wanted.startswith("mw1.") else f"mw1.{wanted}"
    if wanted not in CLASSES:
        raise ConfigError(
            f"there is no environment class {name!r}{did_you_mean(wanted, CLASSES)}: "
            f"they are {', '.join(CLASSES)}"
        )
    return wanted


def estimate(usage: Usage, period: Period, prices: Prices, *, region: str) -> Estimate:
    """Price what is used in a period.

    Raises:
        NoPriceError: a price is not known in this region.
        ConfigError: a number makes no sense, or nothing is used.
    """
    hours = period.hours if usage.hours is None else usage.hours
    _check(usage, hours, period)
    lines = tuple(
        Line(what, quantity, price, cents(quantity * price.amount), stands)
        for what, quantity, price, stands in _used(usage, hours, period, prices, region)
    )
    if not lines:
        raise ConfigError("nothing to price: say what is used, --class mw1.small for example")
    currencies = sorted({line.price.currency for line in lines})
    if len(currencies) > 1:
        raise ConfigError(
            f"prices in {' and '.join(currencies)} make no sum: give --prices FILE in one of them"
        )
    total = sum((line.amount for line in lines), Decimal("0.00"))
    return Estimate(region, currencies[0], period, hours, lines, total)


def why_unpriced(usage: Usage, region: str, prices: Prices) -> str | None:
    """Why this use has no price, in no period; None where it has."""
    try:
        estimate(replace(usage, hours=None), month_of(2026, 1), prices, region=region)
    except NoPriceError as error:
        return str(error)
    return None


def cents(amount: Decimal) -> Decimal:
    """Rounded half up to the cent."""
    return amount.quantize(CENT, ROUND_HALF_UP)


_Used = tuple[str, Decimal, Price, bool]


def _used(
    usage: Usage, hours: Decimal, period: Period, prices: Prices, region: str
) -> Iterator[_Used]:
    if usage.environment_class is not None:
        name = class_named(usage.environment_class)
        yield from _environment(usage, name, hours, prices, region)
    if usage.storage_gb:
        gb_months = usage.storage_gb * period.months * hours / period.hours
        yield "metadata database", gb_months, prices.of("database_gb_month", region), True
    if usage.serverless_task_hours:
        price = prices.of("serverless_task_hour", region)
        yield "serverless tasks", usage.serverless_task_hours, price, False
    if usage.glue_dpu_hours:
        yield "Glue", usage.glue_dpu_hours, prices.of("glue_dpu_hour", region), False
    yield from _s3(usage, period, prices, region)


def _environment(
    usage: Usage, name: str, hours: Decimal, prices: Prices, region: str
) -> Iterator[_Used]:
    yield f"environment {name}", hours, prices.of("environment_hour", region, name), True
    workers = usage.workers - WORKERS
    if workers:
        price = prices.of("worker_hour", region, name)
        yield f"extra workers ({workers})", workers * hours, price, True
    if usage.extra_worker_hours:
        price = prices.of("worker_hour", region, name)
        yield "extra worker hours", usage.extra_worker_hours, price, False
    included = _SCHEDULERS_MICRO if name == "mw1.micro" else _SCHEDULERS
    schedulers = max(0, (usage.schedulers or 0) - included)
    if schedulers:
        price = prices.of("scheduler_hour", region, name)
        yield f"extra schedulers ({schedulers})", schedulers * hours, price, True


def _s3(usage: Usage, period: Period, prices: Prices, region: str) -> Iterator[_Used]:
    for kind, gb in usage.s3_gb:
        yield f"S3 {kind}", gb * period.months, prices.of("s3_gb_month", region, kind), True
    for words, item, used in (
        ("puts to", "s3_puts_1000", usage.s3_puts),
        ("gets from", "s3_gets_1000", usage.s3_gets),
        ("transitions to", "s3_transitions_1000", usage.s3_transitions),
    ):
        for kind, count in used:
            yield f"S3 {words} {kind}", count / 1000, prices.of(item, region, kind), False


def _check(usage: Usage, hours: Decimal, period: Period) -> None:
    period.check_hours(hours)
    if usage.workers < WORKERS:
        raise ConfigError(f"workers: an environment has {WORKERS} or more, found {usage.workers}")
    if usage.schedulers is not None and usage.schedulers < 1:
        raise ConfigError(f"schedulers: expected 1 or more, found {usage.schedulers}")
    needs_class = usage.workers > WORKERS or usage.schedulers or usage.extra_worker_hours
    if usage.environment_class is None and needs_class:
        raise ConfigError("workers and schedulers have the price of a class: give --class")
    listed = (*usage.s3_gb, *usage.s3_puts, *usage.s3_gets, *usage.s3_transitions)
    for number in (
        Decimal(usage.workers), Decimal(usage.schedulers or 0), usage.extra_worker_hours,
        usage.storage_gb, usage.serverless_task_hours, usage.glue_dpu_hours,
        *(number for _, number in listed),
    ):  # fmt: skip
        if not (number.is_finite() and 0 <= number <= _MOST):
            raise ConfigError(f"expected a number from 0 to {_MOST:,}, found {number}")
