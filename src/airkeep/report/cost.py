"""Ask the models who took an environment's slots in a period, and share its bill by that.

What was paid is told, as a total, or estimated from prices. A period is whole days (UTC) up to the
environment's newest snapshot. The room `cost` reckons; nothing here does.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from airkeep.cost.estimate import Estimate, Usage, estimate
from airkeep.cost.period import Period, Span
from airkeep.cost.prices import Prices
from airkeep.cost.share import By, Cost, Share, Shared, Use, share, whole_cents
from airkeep.database.limits import ReadLimits
from airkeep.database.sql import literal
from airkeep.lake.manifests import Warn
from airkeep.lake.open import open_for_sql
from airkeep.models.build import make_models
from airkeep.snapshot.lake import LakePlace
from airkeep.snapshot.names import utc
from airkeep.snapshot.progress import Progress, silent

MARTS = ("slot_waste_by_task", "busy_by_day")
USUAL = timedelta(days=30)
Ask = Callable[[str], Iterable[tuple[object, ...]]]


@dataclass(frozen=True)
class Priced:
    """A bill that is estimated: what is used, and whose prices hold.

    Attributes:
        asleep: when the environment was not there; not asked where `usage` has its hours.
    """

    usage: Usage
    region: str
    prices: Prices
    asleep: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Paid:
    """A bill that is told.

    Attributes:
        total: None where nobody knows: then slot time alone is shared.
        hours: for which the environment was there; None: all of the period but when it slept.
        asleep: when it was not there.
    """

    total: Decimal | None
    hours: Decimal | None = None
    asleep: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Bill:
    """A period's cost in parts; `idle` and the amounts of the shares are the total.

    Attributes:
        total: None, as all amounts, where it is not known.
        hours: for which the environment was there; busy_hours: in which a try held a slot.
        currency: of the prices; None: of a total that was told.
        first_day: on which anything is known to have run.
        spread: whether the idle base is in the shares.
        estimate: the lines of the total, where it is one.
    """

    environment: str
    period: Period
    by: By
    currency: str | None
    total: Decimal | None
    idle: Decimal | None
    spread: bool
    hours: Decimal
    busy_hours: Decimal
    first_day: str | None
    shares: tuple[Share, ...]
    estimate: Estimate | None


def cost_by(
    lake: LakePlace,
    paid: Paid | Priced,
    *,
    by: By = "dag",
    since: datetime | timedelta = USUAL,
    environment: str | None = None,
    spread: bool = False,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
    warn: Warn = warnings.warn,
) -> Bill:
    """Share what an environment cost in a period by the slot time that was taken.

    Args:
        lake: a folder, `s3://...`, or an open `Lake`.
        since: the period's first day; an age counts back from the newest snapshot.
        environment: needed where the lake has more than one.
        spread: deal the idle base out, too.
        spool: a folder with space for the models' tables.
        warn: told of a snapshot that cannot be read and was passed over, or that is damaged.

    Raises:
        ConfigError: it is not said which environment, or the period has no time in it.
        NoPriceError: a price is not known.
        NoSuchSnapshotError: there is no such lake, or no such environment in it.
    """
    with open_for_sql(
        lake,
        environments=() if environment is None else (environment,),
        limits=limits,
        spool=spool,
        warn=warn,
    ) as (opened, folder):
        name, newest = opened.one_environment("a bill", "a cost")
        period = period_to(newest, since)
        cost, estimated = cost_of(paid, period)
        staging = ("dags", "dag_tags") if by == "tag" else ("dags",)
        make_models(opened, [*MARTS, *staging], folder, progress=progress)
        return bill(
            lambda statement: opened.query(statement).rows(),
            name, period, cost, by, estimated=estimated, spread=spread,
        )  # fmt: skip


def period_to(newest: datetime, since: datetime | timedelta) -> Period:
    """Whole days up to the newest snapshot.

    Raises:
        ConfigError: it has no time in it.
    """
    begin = newest - since if isinstance(since, timedelta) else utc(since)
    return Period(begin.replace(hour=0, minute=0, second=0, microsecond=0), newest)


def cost_of(paid: Paid | Priced, period: Period) -> tuple[Cost, Estimate | None]:
    """What a period cost, before it is known how much of it was idle.

    Raises:
        ConfigError: a number makes no sense, or the total has parts of a cent.
        NoPriceError: a price is not known.
    """
    awake = period.hours_without(paid.asleep)
    if isinstance(paid, Paid):
        if paid.total is not None:
            whole_cents(paid.total)
        hours = awake if paid.hours is None else paid.hours
        period.check_hours(hours)
        return Cost(paid.total, paid.total or Decimal(0), hours, Decimal(0)), None
    usage = paid.usage if paid.usage.hours is not None else replace(paid.usage, hours=awake)
    found = estimate(usage, period, paid.prices, region=paid.region)
    standing = sum((line.amount for line in found.lines if line.stands), Decimal(0))
    return Cost(found.total, standing, found.hours, Decimal(0)), found


def bill(
    ask: Ask,
    environment: str,
    period: Period,
    cost: Cost,
    by: By,
    *,
    estimated: Estimate | None = None,
    spread: bool = False,
) -> Bill:
    """Ask the models, which are made, and share the cost."""
    own = f"environment = {literal(environment)}"
    within = f"{own} AND day BETWEEN {_day(period.begin)} AND {_day(period.end)}"
    [(busy_s, first_day)] = ask(
        f"SELECT coalesce(sum(busy_s), 0), min(day) FROM busy_by_day WHERE {within}"
    )
    busy_hours = round(Decimal(str(busy_s)) / 3600, 6)
    cost = Cost(cost.total, cost.standing, cost.hours, busy_hours)
    parts: Shared = share(cost, _uses(ask, own, within, by), by, spread=spread)
    return Bill(
        environment=environment,
        period=period,
        by=by,
        currency=estimated.currency if estimated else None,
        total=parts.total,
        idle=parts.idle,
        spread=spread,
        hours=cost.hours,
        busy_hours=busy_hours,
        first_day=None if first_day is None else str(first_day),
        shares=parts.shares,
        estimate=estimated,
    )


def _uses(ask: Ask, own: str, within: str, by: By) -> list[Use]:
    owners = {str(d): str(o or "") for d, o in ask(f"SELECT dag_id, owners FROM dags WHERE {own}")}
    tags = _tags(ask, own) if by == "tag" else {}
    taken = ask(
        "SELECT dag_id, task_id, sum(slot_s), sum(again_s), sum(failed_s), sum(waited_s) "
        f"FROM slot_waste_by_task WHERE {within} GROUP BY dag_id, task_id"
    )
    return [
        Use(str(d), str(t), owners.get(str(d), ""), tuple(tags.get(str(d), ())), *map(_float, rest))
        for d, t, *rest in taken
    ]


def _tags(ask: Ask, own: str) -> dict[str, list[str]]:
    """Those of each DAG; of one that is gone those that it had at last."""
    found: dict[str, list[str]] = defaultdict(list)
    for dag_id, tag in ask(
        "SELECT t.dag_id, t.tag FROM dag_tags AS t LEFT JOIN dags AS d USING (environment, dag_id) "
        f"WHERE {own} AND (t.gone_at IS NULL OR t.gone_at = d.gone_at) ORDER BY t.dag_id, t.tag"
    ):
        found[str(dag_id)].append(str(tag))
    return found


def _day(at: datetime) -> str:
    return f"DATE '{at:%Y-%m-%d}'"


def _float(value: object) -> float:
    return float(str(value))
