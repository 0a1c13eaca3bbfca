"""What a history says of sleep: plans, what each costs and saves, who stands in the way. Pure.

What it cannot tell is part of the answer: each note says of whom it is, and what may be otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from airkeep.cost.estimate import Usage, estimate
from airkeep.cost.period import Period, month_of
from airkeep.cost.prices import Prices
from airkeep.environment.needs import TELLING, KnownDag, Need, PastRun, needs
from airkeep.environment.sleep_plan import (
    Blocker,
    Judged,
    SleepPlan,
    Takes,
    best_plan,
    blockers,
    judge,
    real_hours,
    share_idle,
    usual_plans,
)

BEST, BEST_BY_SCHEDULE = "nothing missed", "nothing scheduled missed"
_SHOWN = 5
_FEW_WEEKS = 4


@dataclass(frozen=True)
class History:
    """What is known of an environment.

    Attributes:
        begin, end: the weeks that are looked at (UTC).
        dags: those that are there and not paused, but by `down`.
        idle: times in which nothing ran.
        first_at: when the first try that is known began; `last_at`: when the last one ended.
    """

    environment: str
    begin: datetime
    end: datetime
    dags: tuple[KnownDag, ...]
    runs: tuple[PastRun, ...]
    idle: tuple[tuple[datetime, datetime], ...]
    first_at: datetime | None
    last_at: datetime | None = None


@dataclass(frozen=True)
class Wanted:
    """On whose clock, and how long the journeys take.

    Attributes:
        lead_by: who says how long waking takes.
        night: the hours at which a night begins and ends.
    """

    timezone: str
    zone: ZoneInfo
    takes: Takes
    lead_by: str
    night: tuple[int, int] = (20, 6)


@dataclass(frozen=True)
class Tariff:
    """What the environment is billed as, and whose prices hold."""

    usage: Usage
    region: str
    prices: Prices = field(repr=False)


@dataclass(frozen=True)
class Saving:
    """What a plan saves in one calendar month.

    Attributes:
        month: `2026-11`; cost: of the environment, if it never slept.
    """

    month: str
    hours: Decimal
    cost: Decimal
    saved: Decimal
    currency: str


@dataclass(frozen=True)
class Candidate:
    """A plan, what it costs in runs, and what it saves; None where no price is asked for."""

    judged: Judged
    saving: Saving | None


@dataclass(frozen=True)
class SleepReport:
    """The answer.

    Attributes:
        weeks: that were looked at.
        lead_min: how long waking takes; `down_min`: falling asleep, 0 where that is not known.
        idle: for each hour of the week, from Monday 00 on, the part of it in which nothing ran.
        schedules: of the DAGs that are named, in words.
        blockers: who stands in the way of sleeping longer, each by itself.
        notes: what history cannot tell.
    """

    environment: str
    begin: datetime
    end: datetime
    weeks: int
    timezone: str
    lead_min: int
    lead_by: str
    down_min: int
    runs: float
    idle: tuple[float | None, ...]
    candidates: tuple[Candidate, ...]
    blockers: tuple[Blocker, ...]
    schedules: dict[str, str]
    notes: tuple[str, ...]


def report_sleep(
    history: History, wanted: Wanted, tariff: Tariff | None, *, slept: int = 0
) -> SleepReport:
    """What a history says of sleep.

    Args:
        slept: how often it has slept in these weeks already.

    Raises:
        ConfigError: what is billed makes no sense.
        NoPriceError: a price is not known.
    """
    zone, takes = wanted.zone, wanted.takes
    weeks = (history.end - history.begin) // timedelta(weeks=1)
    needed = needs(history.dags, history.runs, history.begin, history.end, zone)
    candidates = tuple(
        Candidate(
            judge(plan, needed, weeks, takes),
            None if tariff is None else _saving(plan, history.end, wanted, tariff),
        )
        for plan in _plans(needed, wanted)
    )
    standing = blockers(needed, takes)
    return SleepReport(
        environment=history.environment,
        begin=history.begin,
        end=history.end,
        weeks=weeks,
        timezone=wanted.timezone,
        lead_min=int(takes.up / timedelta(minutes=1)),
        lead_by=wanted.lead_by,
        down_min=int(takes.down / timedelta(minutes=1)),
        runs=sum(need.runs for need in needed) / weeks,
        idle=_idle(history, zone),
        candidates=candidates,
        blockers=standing,
        schedules=_named(history.dags, candidates, standing),
        notes=(*_notes(history, weeks, slept), *_notes_on_clocks(needed, wanted)),
    )


def _idle(history: History, zone: ZoneInfo) -> tuple[float | None, ...]:
    """By the hours for which there is a history; after the last run nothing ran."""
    first = history.end if history.first_at is None else max(history.begin, history.first_at)
    idle = history.idle
    if history.last_at is not None and history.last_at < history.end:
        idle = (*idle, (history.last_at, history.end))
    quarter = first.minute // 15 * 15
    return share_idle(
        idle, first.replace(minute=quarter, second=0, microsecond=0), history.end, zone
    )


def _plans(needed: Sequence[Need], wanted: Wanted) -> Iterator[SleepPlan]:
    yield from usual_plans(*wanted.night, wanted.takes)
    best = best_plan(BEST, needed, wanted.takes)
    yield best
    scheduled = [need for need in needed if need.kind == "scheduled"]
    longer = best_plan(BEST_BY_SCHEDULE, scheduled, wanted.takes)
    if longer.hours != best.hours:
        yield longer


def _named(
    dags: Sequence[KnownDag], candidates: Sequence[Candidate], standing: Sequence[Blocker]
) -> dict[str, str]:
    names = {cost.dag_id for one in candidates for cost in one.judged.costs}
    names |= {dag_id for one in standing for dag_id in one.dag_ids}
    return {dag.dag_id: _schedule(dag) for dag in dags if dag.dag_id in names}


def _schedule(dag: KnownDag) -> str:
    zone = f" {dag.timezone}" if dag.kind == "cron" and dag.timezone else ""
    return f"{dag.schedule}{zone}"


# What is saved.


def _saving(plan: SleepPlan, at: datetime, wanted: Wanted, tariff: Tariff) -> Saving:
    """Of the month after that of the newest snapshot: a whole one, with its change of the clock."""
    first = month_of(at.year, at.month).end
    month: Period = month_of(first.year, first.month)
    paid_h, _ = real_hours(plan, month.begin, month.end, wanted.zone, wanted.takes)
    hours = min(month.hours, Decimal(str(round(paid_h, 4))))
    whole = estimate(tariff.usage, month, tariff.prices, region=tariff.region)
    usage = replace(tariff.usage, hours=hours)
    part = estimate(usage, month, tariff.prices, region=tariff.region)
    return Saving(f"{first:%Y-%m}", hours, whole.total, whole.total - part.total, whole.currency)


# What history cannot tell.


def _notes(history: History, weeks: int, slept: int) -> Iterator[str]:
    if weeks < _FEW_WEEKS:
        yield f"weeks looked at: {weeks}; what comes once a month may be in none of them"
    if history.first_at is None or history.first_at >= history.end:
        yield (
            f"nothing is known to have run in these weeks, which end with the last full hour, "
            f"{history.end:%Y-%m-%d %H:%M} UTC: plans are made of schedules alone"
        )
    elif history.first_at > history.begin:
        yield (
            f"nothing is known to have run in these weeks before {history.first_at:%Y-%m-%d}: what "
            f"is asked for by hand or by assets may be underrated"
        )
    if slept:
        yield (
            f"sleeps in these weeks: {slept}; of their hours history tells nothing but what "
            f"schedules say"
        )
    yield from _notes_on_dags(history)


def _notes_on_dags(history: History) -> Iterator[str]:
    new = [d.dag_id for d in history.dags if d.first_at is None or d.first_at > history.begin]
    if new:
        yield (
            f"{_some(new)} came in these weeks, or never ran: by cron as it is now, whatever else "
            f"asks for them is not known yet"
        )
    waiting = [d.dag_id for d in history.dags if d.has_sensors]
    if waiting:
        yield (
            f"tasks of {_some(waiting)} wait for something (sensors): what comes while it sleeps "
            f"is found after waking, if it is still there"
        )
    own = [d.dag_id for d in history.dags if d.kind not in (*TELLING, "none", "asset", "once")]
    if own:
        yield f"timetables of {_some(own)} tell no times: their runs are taken as they came"
    asked = sorted({run.dag_id for run in history.runs if run.run_type == "manual"})
    if asked:
        yield (
            f"runs of {_some(asked)} were asked for by hand or by an API: while it sleeps nobody "
            f"answers, whoever asks must ask again"
        )
    dated = sorted({r.dag_id for r in history.runs if r.run_type in _BY_ASSETS})
    if dated:
        yield f"runs of {_some(dated)} follow assets: they come when what they follow comes"


def _notes_on_clocks(needed: Sequence[Need], wanted: Wanted) -> Iterator[str]:
    shifting = sorted({need.dag_id for need in needed if not need.runs})
    if shifting:
        yield (
            f"runs of {_some(shifting)} come at other hours of {wanted.timezone} when a clock is "
            f"changed: the plans in which nothing is missed have these hours free, too"
        )


_BY_ASSETS = ("asset_triggered", "dataset_triggered")


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more DAGs" if more > 0 else "")
