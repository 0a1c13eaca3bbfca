"""Ask a lake when its environment could have slept: rows of the models, for `sleep_report.py`.

Nothing is reckoned here. What history cannot tell is said in notes, not guessed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airkeep.cost.estimate import Usage
from airkeep.cost.prices import Prices
from airkeep.database.limits import ReadLimits
from airkeep.database.sql import literal
from airkeep.environment.journal import Journal
from airkeep.environment.needs import KnownDag, PastRun
from airkeep.environment.saved import usage_of
from airkeep.environment.schedule import zone_of
from airkeep.environment.sleep_plan import Takes
from airkeep.environment.sleep_report import History, SleepReport, Tariff, Wanted, report_sleep
from airkeep.environment.state import recorded_with
from airkeep.environment.summary import Summary
from airkeep.environment.trips import Trip, usual
from airkeep.errors import ConfigError
from airkeep.lake.connect import OpenLake
from airkeep.lake.manifests import Warn
from airkeep.lake.open import open_for_sql
from airkeep.models.build import make_models
from airkeep.snapshot.lake import LakePlace, open_lake
from airkeep.snapshot.names import utc
from airkeep.snapshot.progress import Progress, silent

USUAL = timedelta(days=30)
_WHOLE = ("runs", "schedules", "dags")
_OF_THE_PERIOD = ("slot_use", "idle_windows", "sensor_waste")
_BEFORE = timedelta(weeks=1)  # what ran last before the period: since when it is idle
_WORK = {
    "tasks": "coalesce(started_at, queued_at, ended_at)",
    "task_states": "coalesce(started_at, queued_at, ended_at)",
    "attempts": "started_at",
}
Ask = Callable[[str], Sequence[tuple[Any, ...]]]


@dataclass(frozen=True)
class Bill:
    """What the environment is billed as; None: as its journal says, where it does."""

    prices: Prices
    usage: Usage | None = None
    region: str | None = None


def plan_sleep(
    lake: LakePlace,
    *,
    environment: str | None = None,
    since: datetime | timedelta = USUAL,
    timezone: str = "UTC",
    lead: timedelta | None = None,
    night: tuple[int, int] = (20, 6),
    bill: Bill | None = None,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
    warn: Warn = warnings.warn,
) -> SleepReport:
    """Look when an environment could sleep, and what that would cost and save.

    Args:
        lake: a folder, `s3://...`, or an open `Lake`.
        environment: needed where the lake has more than one.
        since: history counts from there; an age counts back from the newest snapshot.
        timezone: on whose clock plans are made.
        lead: how long waking takes; None: as its journal has it, else MWAA's usual time.
        night: the hours at which a night begins and ends.
        bill: what is saved is told by this.

    Raises:
        ConfigError: it is not said which environment, or a number makes no sense.
        NoPriceError: a price is not known.
        NoSuchSnapshotError: there is no such lake, or no such environment in it.
    """
    zone, opened_lake = zone_of(timezone), open_lake(lake)
    with open_for_sql(
        opened_lake,
        environments=() if environment is None else (environment,),
        limits=limits,
        spool=spool,
        warn=warn,
    ) as (opened, folder):
        name, newest = opened.one_environment("a plan", "a history")
        begin, end = _weeks(newest, since)
        make_models(opened, _WHOLE, folder, progress=progress)
        where = {model: f"{at} >= {_time(begin - _BEFORE)}" for model, at in _WORK.items()}
        make_models(opened, _OF_THE_PERIOD, folder, where=where, progress=progress)
        journal = Journal(opened_lake.store, name)
        # An answer is read whole before the next question is asked: they share a connection.
        history = _history(
            lambda s: list(opened.query(s).rows()),
            name,
            begin,
            end,
            newest,
            active=_active(opened, journal),
        )
    made, tariff = _journal(journal.read(), bill)
    return report_sleep(
        history,
        Wanted(timezone, zone, *_takes(lead, made), night),
        tariff,
        slept=_slept(made, begin),
    )


def _weeks(newest: datetime, since: datetime | timedelta) -> tuple[datetime, datetime]:
    """Whole weeks up to the newest snapshot, so that each hour of the week is there as often."""
    span = since if isinstance(since, timedelta) else newest - utc(since)
    weeks = span // timedelta(weeks=1)
    if weeks < 1:
        raise ConfigError(
            f"--since: expected a week or more before the newest snapshot "
            f"({newest:%Y-%m-%dT%H:%MZ}), found {span / timedelta(days=1):.1f} days"
        )
    end = newest.replace(minute=0, second=0, microsecond=0)
    return end - timedelta(weeks=weeks), end


# What the models are asked.


def _history(
    ask: Ask,
    name: str,
    begin: datetime,
    end: datetime,
    newest: datetime,
    *,
    active: Collection[str],
) -> History:
    own, since = f"environment = {literal(name)}", _time(begin)
    at = "coalesce(CASE WHEN run_type = 'scheduled' THEN due_at END, queued_at, started_at, due_at)"
    runs = ask(
        f"SELECT dag_id, run_type, {at}, ended_at FROM runs "
        f"WHERE {own} AND {at} >= {since} AND {at} < {_time(end)}"
    )
    idle = ask(f"SELECT began_at, ended_at FROM idle_windows WHERE {own} AND ended_at > {since}")
    [(first_at, last_at)] = ask(f"SELECT min(began_at), max(ended_at) FROM slot_use WHERE {own}")
    return History(
        environment=name,
        begin=begin,
        end=end,
        dags=tuple(_dags(ask, own, since, newest, active)),
        runs=tuple(PastRun(d, t, _utc(when), _maybe(until)) for d, t, when, until in runs),
        idle=tuple((_utc(one), _utc(other)) for one, other in idle),
        first_at=_maybe(first_at),
        last_at=_maybe(last_at),
    )


def _dags(
    ask: Ask, own: str, since: str, newest: datetime, active: Collection[str]
) -> Iterable[KnownDag]:
    waiting = {str(d) for (d,) in ask(f"SELECT DISTINCT dag_id FROM sensor_waste WHERE {own}")}
    taking: dict[str, float] = dict(
        ask(
            "SELECT dag_id, quantile_disc(duration_s, 0.95) FROM runs "
            f"WHERE {own} AND state = 'success' AND started_at >= {since} GROUP BY dag_id"
        )
    )
    for dag_id, is_paused, schedule, kind, cron, zone, every_s, due_at, first_at in ask(
        "SELECT d.dag_id, d.is_paused, coalesce(s.schedule, d.schedule, 'none'), "
        "coalesce(s.kind, 'none'), s.expression, s.timezone, s.interval_s, r.due_at, r.first_at "
        "FROM dags AS d "
        f"LEFT JOIN (SELECT * FROM schedules WHERE {own} AND until_at IS NULL "
        f"AND (end_at IS NULL OR end_at > {_time(newest)})) AS s USING (dag_id) "
        "LEFT JOIN (SELECT dag_id, max(CASE WHEN run_type = 'scheduled' THEN due_at END) AS due_at,"
        f" min(coalesce(started_at, due_at)) AS first_at FROM runs WHERE {own} GROUP BY dag_id)"
        f" AS r USING (dag_id) WHERE d.{own} AND d.is_active "
        "AND NOT d.is_subdag AND d.gone_at IS NULL ORDER BY d.dag_id"
    ):
        if is_paused and dag_id not in active:
            continue
        yield KnownDag(
            dag_id,
            schedule,
            kind,
            cron,
            zone,
            every_s,
            _maybe(due_at),
            taking.get(dag_id),
            _maybe(first_at),
            dag_id in waiting,
        )


def _time(at: datetime) -> str:
    return f"TIMESTAMP '{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


def _maybe(at: datetime | None) -> datetime | None:
    return None if at is None else _utc(at)


# What its journal tells.


def _active(opened: OpenLake, journal: Journal) -> frozenset[str]:
    """The DAGs that `down` had paused when it took the snapshot that tells of them."""
    newest = max((m.id for m in opened.manifests() if "dag" in m.labels), default=None)
    if newest is None:
        return frozenset()
    recorded = recorded_with(journal.entries(), f"{journal.environment}/{newest}")
    return frozenset() if recorded is None else frozenset(recorded.active)


def _journal(summary: Summary, bill: Bill | None) -> tuple[tuple[Trip, ...], Tariff | None]:
    if bill is None:
        return summary.trips, None
    if bill.usage is not None and bill.region is not None:
        return summary.trips, Tariff(bill.usage, bill.region, bill.prices)
    known = usage_of(summary)
    return summary.trips, None if known is None else Tariff(*known, bill.prices)


def _takes(asked: timedelta | None, made: Sequence[Trip]) -> tuple[Takes, str]:
    """How long the journeys take, and who says so of waking."""
    down, up = _minutes(usual(made, "down")) or timedelta(), _minutes(usual(made, "up"))
    if asked is not None:
        return Takes(asked, down), "as asked"
    if up is not None:
        return Takes(up, down), "the longest of its last journeys"
    told = "no journey of its own is known; MWAA usually takes 30 to 40 min"
    return Takes(timedelta(minutes=40), down), told


def _minutes(known: timedelta | None) -> timedelta | None:
    """Whole ones, and no less."""
    minute = timedelta(minutes=1)
    return None if known is None else -(-known // minute) * minute


def _slept(made: Sequence[Trip], begin: datetime) -> int:
    """How often it has slept since then: of these hours history tells nothing."""
    return sum(t.journey == "down" and t.how == "done" and t.began >= begin for t in made)
