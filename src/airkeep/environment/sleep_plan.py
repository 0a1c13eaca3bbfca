"""Plans of sleep: hours of the week, what each costs in runs, and the best that costs none. Pure.

Hours are whole and on the wall clock, so each plan can be said in two cron expressions. What falls
due while an environment sleeps is missed: waking makes no run for the past (docs/decisions/0023).
What somebody, an API or an asset asks for can come after waking: late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from airkeep.environment.needs import Need
from airkeep.environment.week import ALL, DAYS, HOURS, STEP, bits, hours_in, quarters, windows

# A sleep is worth its journeys when it lasts this much longer than they do.
WORTH = timedelta(hours=2)
_TOGETHER = 5  # DAGs that are left out of a plan at once, to see what they cost


@dataclass(frozen=True)
class Takes:
    """How long the two journeys of a sleep take; both are paid.

    Attributes:
        down: nothing where it is not known.
    """

    up: timedelta
    down: timedelta = timedelta()

    @property
    def both(self) -> timedelta:
        return self.up + self.down


@dataclass(frozen=True)
class SleepPlan:
    """Hours of the week to be asleep in.

    Attributes:
        hours: from 0, Monday's first, to 167.
        down, up: cron; None where it never falls asleep, or never has to wake. `up` is when it
            must begin to, so that it is awake in time.
    """

    name: str
    hours: tuple[int, ...]
    down: str | None
    up: str | None

    @property
    def asleep(self) -> int:
        """The hours as bits."""
        return _union(1 << hour for hour in self.hours)


@dataclass(frozen=True)
class Cost:
    """What a plan costs one DAG, in runs a week.

    Attributes:
        hours: of the week in which its runs are missed or late, as `TUE 02`.
    """

    dag_id: str
    missed: float
    late: float
    hours: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """What a plan comes to, in runs a week: each is kept, late or missed.

    Attributes:
        away_h: hours a week for which it cannot be used; `asleep_h`: for which it is not paid.
        holding: of the runs that are kept, those that are at work when it is to fall asleep: it
            waits for them.
    """

    plan: SleepPlan
    away_h: int
    asleep_h: float
    kept: float
    late: float
    missed: float
    holding: float
    costs: tuple[Cost, ...]


@dataclass(frozen=True)
class Blocker:
    """DAGs without which the best plan would sleep longer.

    Attributes:
        hours: of the week that nobody but they need.
        gained_h: hours a week, of those that are not paid.
    """

    dag_ids: tuple[str, ...]
    hours: tuple[str, ...]
    gained_h: float


def plan_of(name: str, asleep: int, takes: Takes) -> SleepPlan:
    """The plan of these hours; whole days apart, its windows must begin and end at one hour."""
    found, hours = windows(asleep), tuple(hours_in(asleep))
    if not found:
        return SleepPlan(name, hours, None, None)
    begins, ends = zip(*found, strict=True)
    return SleepPlan(name, hours, _cron(begins, timedelta()), _cron(ends, takes.up))


def _cron(hours: Sequence[int], lead: timedelta) -> str:
    minutes = int(lead / timedelta(minutes=1))
    at = sorted({(hour * 60 - minutes) % (HOURS * 60) for hour in hours})
    [(hour, minute)] = {divmod(one % 1440, 60) for one in at}
    days = [one // 1440 for one in at]
    return f"{minute} {hour} * * {_days(days)}"


def _days(days: Sequence[int]) -> str:
    if len(days) == 7:
        return "*"
    *others, last = days
    if last == 6 and others:  # cron's week begins with Sunday: no range may end with it
        return f"{_days(others)},{DAYS[6]}"
    if len(days) > 2 and all(b - a == 1 for a, b in pairwise(days)):
        return f"{DAYS[days[0]]}-{DAYS[last]}"
    return ",".join(DAYS[day] for day in days)


def usual_plans(first: int, last: int, takes: Takes) -> tuple[SleepPlan, ...]:
    """Nights, weekends, and both.

    Args:
        first, last: the hour of the day at which a night begins, and the one at which it ends.
    """
    length = (last - first) % 24
    nights = [bits(day * 24 + first, length) for day in range(7)]
    weekend = bits(4 * 24 + first, 2 * 24 + length)  # from Friday evening to Monday morning
    return (
        plan_of("nights", _union(nights), takes),
        plan_of("weekends", weekend, takes),
        plan_of("nights and weekends", _union(nights) | weekend, takes),
    )


def _union(masks: Iterable[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


# What a plan costs.


def judge(plan: SleepPlan, needed: Sequence[Need], weeks: int, takes: Takes) -> Judged:
    """What a plan comes to.

    Args:
        weeks: that the needs are of.
    """
    asleep = plan.asleep
    kept = late = missed = holding = 0
    by_dag: dict[str, list[Need]] = defaultdict(list)
    for need in needed:
        if not asleep >> need.hour & 1:
            kept += need.runs
            holding += need.runs if need.touches & asleep else 0
            continue
        if need.runs:
            by_dag[need.dag_id].append(need)
        late += need.runs if need.kind == "asked" else 0
        missed += need.runs if need.kind == "scheduled" else 0
    costs = sorted(
        (_cost(dag_id, lost, weeks) for dag_id, lost in by_dag.items()),
        key=lambda cost: (-cost.missed, -cost.late, cost.dag_id),
    )
    return Judged(
        plan,
        asleep.bit_count(),
        unpaid(asleep, takes),
        kept / weeks,
        late / weeks,
        missed / weeks,
        holding / weeks,
        tuple(costs),
    )


def _cost(dag_id: str, lost: Sequence[Need], weeks: int) -> Cost:
    runs = {
        kind: sum(need.runs for need in lost if need.kind == kind)
        for kind in ("scheduled", "asked")
    }
    hours = _union(1 << need.hour for need in lost)
    return Cost(dag_id, runs["scheduled"] / weeks, runs["asked"] / weeks, named(hours))


def named(mask: int) -> tuple[str, ...]:
    """`TUE 02`, `TUE 03-05`: hours that follow on one another are one."""
    if mask == ALL:
        return ("always",)
    return tuple(_window(begin, (end - begin) % HOURS) for begin, end in windows(mask))


def _window(begin: int, count: int) -> str:
    day, hour = divmod(begin, 24)
    last_day, last = divmod((begin + count - 1) % HOURS, 24)
    if count == 1:
        return f"{DAYS[day]} {hour:02}"
    until = f"{last:02}" if last_day == day and count < 24 else f"{DAYS[last_day]} {last:02}"
    return f"{DAYS[day]} {hour:02}-{until}"


def unpaid(asleep: int, takes: Takes) -> float:
    """Hours a week that are not paid: falling asleep and waking take time, too."""
    journeys_h = len(windows(asleep)) * (takes.both / timedelta(hours=1))
    return max(0.0, asleep.bit_count() - journeys_h)


def real_hours(
    plan: SleepPlan, begin: datetime, end: datetime, zone: ZoneInfo, takes: Takes
) -> tuple[float, float]:
    """The hours of a time for which an environment is paid, and for which not, by the real clock.

    Hours that the clock leaves out are in neither, those that come twice count twice.
    """
    sleeps = frozenset(plan.hours)
    nights = [hour in sleeps for hour in quarters(begin, end, zone)]
    journeys = timedelta()
    for before, after in pairwise(nights):
        if before != after:
            journeys += takes.down if after else takes.up
    total, asleep = len(nights), sum(nights)
    quarter_h = STEP / timedelta(hours=1)
    not_paid = max(0.0, asleep * quarter_h - journeys / timedelta(hours=1))
    return total * quarter_h - not_paid, not_paid


# The best plan.


def best_plan(name: str, needed: Iterable[Need], takes: Takes) -> SleepPlan:
    """The plan that is asleep the longest, in hours that are not paid, and that no run needs.

    It falls asleep at one hour of the day and wakes at one, on the days on which that is free; it
    stays asleep over days on which nothing is due at all.
    """
    return plan_of(name, _best(_union(need.touches for need in needed), takes), takes)


def _best(needed: int, takes: Takes) -> int:
    if not needed:
        return ALL
    plans = (_longest(needed, d, u, takes) for d in range(24) for u in range(24) if d != u)
    return max(plans, key=lambda mask: (unpaid(mask, takes), -len(windows(mask))))


def _longest(needed: int, down: int, up: int, takes: Takes) -> int:
    night_h = (up - down) % 24
    nights = [bits(day * 24 + down, night_h) for day in range(7)]
    days = [bits(day * 24 + down + night_h, 24 - night_h) for day in range(7)]
    slept = [not night & needed for night in nights]
    asleep = _union(night for night, is_free in zip(nights, slept, strict=True) if is_free)
    for day, mask in enumerate(days):
        if slept[day] and slept[(day + 1) % 7] and not mask & needed:
            asleep |= mask
    return _union(_worthwhile(asleep, takes))


def _worthwhile(asleep: int, takes: Takes) -> Iterator[int]:
    least = (takes.both + WORTH) / timedelta(hours=1)
    for begin, end in windows(asleep):
        if (end - begin) % HOURS >= least:
            yield bits(begin, (end - begin) % HOURS)


def blockers(needed: Sequence[Need], takes: Takes) -> tuple[Blocker, ...]:
    """Who stands in the way of a longer sleep: DAGs each by itself, else some together.

    Those are the ones that need the most hours, as few of them as help, and five at most.
    """
    by_dag: dict[str, int] = defaultdict(int)
    for need in needed:
        by_dag[need.dag_id] |= need.touches
    now_h = unpaid(_best(_union(by_dag.values()), takes), takes)
    once = _needed_once(by_dag.values())
    alone = [[dag_id] for dag_id, own in by_dag.items() if own & once]
    if found := _gains(by_dag, alone, now_h, takes):
        return tuple(sorted(found, key=lambda one: (-one.gained_h, one.dag_ids)))
    most = sorted(by_dag, key=lambda dag_id: (-by_dag[dag_id].bit_count(), dag_id))
    together = [most[:count] for count in range(2, min(_TOGETHER, len(most)) + 1)]
    return tuple(_gains(by_dag, together, now_h, takes)[:1])


def _gains(
    by_dag: Mapping[str, int], groups: Iterable[Sequence[str]], now_h: float, takes: Takes
) -> list[Blocker]:
    every, found = _union(by_dag.values()), []
    for group in groups:
        others = _union(mask for dag_id, mask in by_dag.items() if dag_id not in group)
        gained_h = unpaid(_best(others, takes), takes) - now_h
        if gained_h > 0:
            found.append(Blocker(tuple(group), named(every & ~others), round(gained_h, 2)))
    return found


def _needed_once(masks: Iterable[int]) -> int:
    """The hours that exactly one of them has."""
    once = several = 0
    for mask in masks:
        several |= once & mask
        once |= mask
    return once & ~several


def share_idle(
    idle: Iterable[tuple[datetime, datetime]], begin: datetime, end: datetime, zone: ZoneInfo
) -> tuple[float | None, ...]:
    """For each hour of the week, the part of it in which nothing ran; None: it is not known.

    Args:
        idle: times without a run, in order (UTC).
    """
    seen, free = [0] * HOURS, [0] * HOURS
    spans, at = iter(sorted(idle)), begin
    span = next(spans, None)
    for hour in quarters(begin, end, zone):
        while span is not None and span[1] <= at:
            span = next(spans, None)
        seen[hour] += 1
        free[hour] += span is not None and span[0] <= at and at + STEP <= span[1]
        at += STEP
    return tuple(f / s if s else None for f, s in zip(free, seen, strict=True))
