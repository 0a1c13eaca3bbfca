"""Plans of sleep: hours of the week, runs that are kept or not, and the best plan there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airkeep.environment.events import Scheduled
from airkeep.environment.needs import KnownDag, Need, PastRun, needs
from airkeep.environment.schedule import coming
from airkeep.environment.sleep_plan import (
    SleepPlan,
    Takes,
    best_plan,
    blockers,
    judge,
    named,
    plan_of,
    real_hours,
    share_idle,
    unpaid,
    usual_plans,
)
from airkeep.environment.sleep_report import History, Wanted, report_sleep
from airkeep.environment.week import ALL, HOURS, bits, hours_in, touched, windows

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
NONE, LEAD = Takes(timedelta()), Takes(timedelta(minutes=40))

MASKS = st.sets(st.integers(0, HOURS - 1)).map(lambda hours: sum(1 << h for h in hours))
FEW_HOURS = st.sets(st.integers(0, HOURS - 1), max_size=5)
ZONES = st.sampled_from(["UTC", "Europe/Copenhagen", "America/New_York", "Australia/Lord_Howe"])


def need(hours: set[int], *, dag: str = "a", kind: str = "scheduled", runs: int = 1) -> Need:
    """Runs that begin in the first of these hours."""
    return Need(dag, kind, min(hours), sum(1 << h for h in hours), runs)  # type: ignore[arg-type]


NEEDS = st.lists(
    st.builds(
        need,
        FEW_HOURS.filter(bool),
        dag=st.sampled_from("abc"),
        kind=st.sampled_from(["scheduled", "asked"]),
        runs=st.integers(1, 9),
    ),
    max_size=12,
)
BOTH = Takes(timedelta(minutes=40), timedelta(minutes=20))
TAKES = st.sampled_from([NONE, LEAD, BOTH, Takes(timedelta(hours=2))])
NIGHTS = st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(
    lambda hours: hours[0] != hours[1]
)


@st.composite
def plans(draw: st.DrawFn) -> SleepPlan:
    """One that can be said in cron: on some days from one hour of the day to another."""
    down, up = draw(NIGHTS)
    days = draw(st.sets(st.integers(0, 6)))
    mask = 0
    for day in days:
        mask |= bits(day * 24 + down, (up - down) % 24)
    return plan_of("drawn", mask, NONE)


# Hours.


@given(MASKS)
def test_windows_hold_each_hour_of_a_mask_once(mask: int) -> None:
    found = windows(mask)
    back = [h % HOURS for begin, end in found for h in range(begin, begin + (end - begin) % HOURS)]
    assert sorted(back) == ([] if mask == ALL else hours_in(mask))
    assert len(back) == len(set(back))


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (0, ()),
        (1 << 26, ("TUE 02",)),
        (bits(26, 3), ("TUE 02-04",)),
        (bits(116, 58), ("FRI 20-MON 05",)),
        (ALL, ("always",)),
    ],
)
def test_hours_are_named_as_people_say_them(mask: int, told: tuple[str, ...]) -> None:
    assert named(mask) == told


def week_of(at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The week there in which an instant lies: its first one, and that of the next."""
    wall = at.astimezone(zone).replace(tzinfo=None)
    monday = wall.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(wall.weekday())
    first, after = (
        day.replace(tzinfo=zone).astimezone(UTC) for day in (monday, monday + timedelta(days=7))
    )
    return first, after


@settings(deadline=None)
@given(
    plans(), ZONES, st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
)
def test_the_hours_of_a_real_week_are_asleep_or_paid_and_no_other(
    plan: SleepPlan, zone: str, at: datetime
) -> None:
    """168, but for the week in which the clock is changed."""
    begin, end = week_of(at, ZoneInfo(zone))
    paid, asleep = real_hours(plan, begin, end, ZoneInfo(zone), NONE)
    assert paid + asleep == (end - begin) / timedelta(hours=1)
    if end - begin == timedelta(days=7):
        assert (asleep, paid + asleep) == (plan.asleep.bit_count(), 168)


def test_a_week_in_which_the_clock_is_changed_is_an_hour_longer_or_shorter() -> None:
    plan = plan_of("nights", bits(6 * 24, 6), NONE)  # Sunday from midnight to six
    lengths = {}
    for at in (datetime(2026, 10, 25, tzinfo=UTC), datetime(2027, 3, 28, 12, tzinfo=UTC)):
        begin, end = week_of(at, COPENHAGEN)
        paid, asleep = real_hours(plan, begin, end, COPENHAGEN, NONE)
        lengths[f"{begin:%Y-%m-%d}"] = (paid, asleep)
    assert lengths == {"2026-10-18": (162, 7), "2027-03-21": (162, 5)}


def test_waking_is_paid() -> None:
    [nights, weekends, both] = usual_plans(20, 6, LEAD)
    assert [round(unpaid(p.asleep, LEAD), 2) for p in (nights, weekends, both)] == [
        65.33, 57.33, 94.67,
    ]  # fmt: skip
    paid, asleep = real_hours(weekends, MONDAY, MONDAY + timedelta(days=7), ZoneInfo("UTC"), LEAD)
    assert (round(paid + asleep, 6), round(asleep, 2)) == (168, 57.33)


def test_falling_asleep_is_paid_too() -> None:
    [nights, weekends, _] = usual_plans(20, 6, BOTH)
    assert unpaid(nights.asleep, BOTH) == 7 * 9
    assert nights.up == "20 5 * * *"  # it begins to wake no earlier for that
    paid, asleep = real_hours(weekends, MONDAY, MONDAY + timedelta(days=7), ZoneInfo("UTC"), BOTH)
    assert (round(paid + asleep, 6), round(asleep, 6)) == (168, 57)


# Cron.


def test_the_usual_plans_are_said_in_cron_and_wake_in_time() -> None:
    told = [(p.name, p.down, p.up) for p in usual_plans(20, 6, LEAD)]
    assert told == [
        ("nights", "0 20 * * *", "20 5 * * *"),
        ("weekends", "0 20 * * FRI", "20 5 * * MON"),
        ("nights and weekends", "0 20 * * MON-FRI", "20 5 * * MON-FRI"),
    ]


@settings(deadline=None, max_examples=30)
@given(plans())
def test_the_cron_of_a_plan_is_asleep_in_its_hours_and_in_no_other(plan: SleepPlan) -> None:
    if plan.down is None or plan.up is None:
        assert plan.asleep in (0, ALL)
        return
    following = coming(Scheduled(plan.down, plan.up), MONDAY - timedelta(days=8))
    last = {}
    for due in islice(following, 60):
        last[due.at] = due.journey
    for hour in range(HOURS):
        at = MONDAY + timedelta(hours=hour)
        before = max(when for when in last if when <= at)
        assert (last[before] == "down") == bool(plan.asleep >> hour & 1)


# Runs.


@given(plans(), NEEDS, st.integers(1, 6))
def test_every_run_is_kept_or_late_or_missed_and_only_one_of_them(
    plan: SleepPlan, needed: list[Need], weeks: int
) -> None:
    found = judge(plan, needed, weeks, LEAD)
    total = sum(one.runs for one in needed) / weeks
    assert found.kept + found.late + found.missed == pytest.approx(total)
    assert found.holding <= found.kept
    assert sum(cost.missed for cost in found.costs) == pytest.approx(found.missed)
    assert sum(cost.late for cost in found.costs) == pytest.approx(found.late)


def test_what_is_scheduled_is_missed_what_is_asked_for_is_late_and_work_is_waited_for() -> None:
    plan = plan_of("night", bits(20, 10), NONE)
    needed = [
        need({22}, dag="etl", runs=4),
        need({23}, dag="etl", kind="asked", runs=2),
        need({19, 20}, dag="long", runs=3),
        need({6}, dag="early"),
    ]
    found = judge(plan, needed, 1, LEAD)
    assert (found.kept, found.late, found.missed, found.holding) == (4, 2, 4, 3)
    [cost] = found.costs
    assert (cost.dag_id, cost.missed, cost.late, cost.hours) == ("etl", 4, 2, ("MON 22-23",))


@settings(deadline=None, max_examples=25)
@given(NEEDS, TAKES)
def test_the_best_plan_costs_no_run_and_waits_for_none(needed: list[Need], takes: Takes) -> None:
    found = judge(best_plan("best", needed, takes), needed, 1, takes)
    assert (found.missed, found.late, found.holding) == (0, 0, 0)


@settings(deadline=None, max_examples=25)
@given(NEEDS, st.lists(plans(), max_size=8), TAKES)
def test_no_plan_that_costs_nothing_sleeps_longer_than_the_best(
    needed: list[Need], others: list[SleepPlan], takes: Takes
) -> None:
    best = unpaid(best_plan("best", needed, takes).asleep, takes)
    for other in (*others, *usual_plans(20, 6, takes)):
        if not any(one.touches & other.asleep for one in needed):
            assert unpaid(other.asleep, takes) <= best + 1e-9


def test_days_on_which_nothing_is_due_are_slept_through() -> None:
    working = [need({day * 24 + hour}) for day in range(5) for hour in range(8, 18)]
    found = best_plan("best", working, LEAD)
    assert (found.down, found.up) == ("0 18 * * MON-FRI", "20 7 * * MON-FRI")
    assert found.asleep.bit_count() == 4 * 14 + 62


def test_a_sleep_that_is_hardly_longer_than_waking_is_none() -> None:
    every_other_hour = [need({hour}) for hour in range(0, HOURS, 2)]
    assert best_plan("best", every_other_hour, LEAD).asleep == 0


def test_who_stands_in_the_way_is_named_alone_or_together() -> None:
    day = [need({d * 24 + h}, dag="office") for d in range(7) for h in range(6, 20)]
    night = need({26}, dag="etl")
    [blocker] = [b for b in blockers([*day, night], LEAD) if b.dag_ids == ("etl",)]
    assert (blocker.hours, round(blocker.gained_h, 2)) == (("TUE 02",), 9.33)
    always = [Need(dag, "scheduled", h, 1 << h, 1) for dag in ("x", "y") for h in range(HOURS)]
    [both] = blockers([*day, night, *always], LEAD)
    assert both.dag_ids == ("x", "y")


# From history.


def dag(dag_id: str, kind: str = "cron", **more: object) -> KnownDag:
    return KnownDag(dag_id, "words", kind, **more)  # type: ignore[arg-type]


def test_cron_counts_as_it_is_now_and_others_as_history_has_them() -> None:
    dags = [
        dag("cron", expression="30 2 * * *", timezone="Europe/Copenhagen", usual_s=3_600.0),
        dag("delta", "delta", interval_s=86_400.0, last_due=MONDAY + timedelta(days=30, hours=4)),
        dag("asset", "asset"),
        dag("own", "other"),
    ]
    at = MONDAY + timedelta(hours=12)
    runs = [
        PastRun("cron", "scheduled", at, at),  # of an earlier schedule
        PastRun("cron", "manual", at, at),
        PastRun("asset", "asset_triggered", at, at + timedelta(hours=1)),
        PastRun("own", "scheduled", at, at),
        PastRun("gone", "manual", at, at),
    ]
    found = needs(dags, runs, MONDAY, MONDAY + timedelta(days=14), COPENHAGEN)
    by_cron = [n for n in found if n.dag_id == "cron" and n.kind == "scheduled" and n.runs]
    assert [(n.hour, hours_in(n.touches), n.runs) for n in by_cron] == [
        (day * 24 + 2, [day * 24 + 2, day * 24 + 3], 2) for day in range(7)
    ]
    assert [n.hour for n in found if n.dag_id == "delta" and n.runs] == [
        day * 24 + 5 for day in range(7)
    ]
    others = [(n.dag_id, n.kind, n.hour, n.runs) for n in found if n not in by_cron][:]
    assert ("cron", "asked", 13, 1) in others
    assert ("asset", "asked", 13, 1) in others
    assert ("own", "scheduled", 13, 1) in others
    assert "gone" not in {n.dag_id for n in found}


def test_a_plan_of_winter_leaves_the_hours_of_summer_free() -> None:
    """Midnight in UTC is one o'clock in Copenhagen's winter, and two in its summer."""
    daily = dag("daily", expression="0 0 * * *", timezone="UTC")
    found = needs([daily], [], MONDAY, MONDAY + timedelta(days=28), COPENHAGEN)
    assert {n.hour % 24 for n in found if n.runs} == {1}
    assert {n.hour % 24 for n in found if not n.runs} == {2}
    plan = best_plan("best", found, LEAD)
    assert (plan.down, plan.up) == ("0 3 * * *", "20 0 * * *")
    assert judge(plan, found, 4, LEAD).kept == 7


def test_clocks_that_are_changed_weeks_apart_are_each_seen() -> None:
    """Six in New York is noon in Copenhagen, but for some weeks of March and November eleven."""
    daily = dag("daily", expression="0 6 * * *", timezone="America/New_York")
    found = needs([daily], [], MONDAY, MONDAY + timedelta(days=28), COPENHAGEN)
    assert {n.hour % 24 for n in found} == {11, 12}


def test_a_run_touches_every_hour_that_it_is_at_work_in() -> None:
    begin = MONDAY + timedelta(hours=1, minutes=50)
    assert hours_in(touched(begin, begin + timedelta(minutes=15), ZoneInfo("UTC"))) == [1, 2]
    assert hours_in(touched(begin, begin, ZoneInfo("UTC"))) == [1]
    assert touched(begin, begin + timedelta(days=30), ZoneInfo("UTC")) == ALL


def test_idle_hours_are_told_by_the_clock_there_and_not_where_nothing_is_known() -> None:
    idle = [(MONDAY, MONDAY + timedelta(hours=3, minutes=30))]
    shares = share_idle(idle, MONDAY, MONDAY + timedelta(hours=6), COPENHAGEN)
    assert shares[:8] == (None, 1, 1, 1, 0.5, 0, 0, None)


@pytest.mark.parametrize("first_at", [None, MONDAY + timedelta(minutes=5)])
def test_a_history_that_begins_after_the_last_full_hour_is_said_to_tell_nothing(
    first_at: datetime | None,
) -> None:
    history = History(
        "prod", MONDAY - timedelta(weeks=4), MONDAY, dags=(), runs=(), idle=(), first_at=first_at
    )
    found = report_sleep(history, Wanted("UTC", ZoneInfo("UTC"), LEAD, "as asked"), None)
    assert set(found.idle) == {None}
    assert found.notes == (
        "nothing is known to have run in these weeks, which end with the last full hour, "
        "2026-11-23 00:00 UTC: plans are made of schedules alone",
    )
