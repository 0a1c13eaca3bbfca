"""When an environment is due to sleep or wake: the clock, its changes, and EventBridge's words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airkeep.environment.events import Scheduled
from airkeep.environment.schedule import (
    check_schedule,
    coming,
    for_eventbridge,
    last_due,
    left_out,
    times,
)
from airkeep.errors import ConfigError

COPENHAGEN = "Europe/Copenhagen"  # forward on 2027-03-28 at 02:00, back on 2026-10-25 at 03:00
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

ZONES = st.sampled_from(
    ["UTC", COPENHAGEN, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe",
     "America/Santiago", "Asia/Kathmandu"]
)  # fmt: skip
EXPRESSIONS = st.builds(
    "{} {} {} * {}".format,
    st.sampled_from(["0", "30", "*/20", "15,45", "59"]),
    st.sampled_from(["2", "1-3", "0", "23", "*/6", "*", "20"]),
    st.sampled_from(["*", "1,15", "28-31"]),
    st.sampled_from(["*", "MON-FRI", "SUN", "0,7", "sat"]),
)
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))


def local(expression: str, after: str, count: int, zone: str = COPENHAGEN) -> list[str]:
    begin = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    found = islice(times(expression, zone, begin), count)
    return [f"{at.astimezone(ZoneInfo(zone)):%d %H:%M %Z}" for at in found]


def test_an_hour_of_the_wall_clock_stays_where_it_is_over_a_change_of_the_clock() -> None:
    assert local("0 20 * * *", "2026-10-24T12:00", 2) == ["24 20:00 CEST", "25 20:00 CET"]


def test_a_time_that_is_left_out_does_not_come_that_day() -> None:
    assert local("30 2 * * *", "2027-03-27T12:00", 2) == ["29 02:30 CEST", "30 02:30 CEST"]


def test_a_time_that_comes_twice_counts_the_first_time_only() -> None:
    assert local("30 2 * * *", "2026-10-24T12:00", 2) == ["25 02:30 CEST", "26 02:30 CET"]
    assert local("*/30 * * * *", "2026-10-25T01:45", 4) == [
        "25 02:00 CEST", "25 02:30 CEST", "25 03:00 CET", "25 03:30 CET",
    ]  # fmt: skip


def test_a_change_of_the_clock_by_half_an_hour_is_one_too() -> None:
    found = local("*/15 1-2 * * *", "2026-10-04T01:40", 3, "Australia/Lord_Howe")
    assert found == ["04 01:45 +1030", "04 02:30 +11", "04 02:45 +11"]


def test_what_is_left_out_in_the_coming_year_is_told() -> None:
    schedule = Scheduled("0 20 * * *", "*/30 2 * * SUN", COPENHAGEN)
    assert left_out(schedule, NOW) == ("up 2027-03-28 02:00 to 02:30",)
    assert left_out(Scheduled("0 20 * * *", None, COPENHAGEN), NOW) == ()


@settings(deadline=None)
@given(EXPRESSIONS, ZONES, INSTANTS)
def test_times_go_up_and_each_shows_what_the_expression_says(
    expression: str, zone: str, after: datetime
) -> None:
    found = list(islice(times(expression, zone, after), 8))
    assert all(one < other for one, other in pairwise([after, *found]))
    hours = expression.split()[1]
    for at in found:
        wall = at.astimezone(ZoneInfo(zone))
        assert hours not in ("2", "0", "23", "20") or wall.hour == int(hours)
        assert wall.fold == 0


@settings(deadline=None)
@given(EXPRESSIONS, EXPRESSIONS, ZONES, INSTANTS)
def test_what_fell_due_last_is_the_last_of_what_was_coming(
    down: str, up: str, zone: str, after: datetime
) -> None:
    schedule = Scheduled(down, up, zone)
    for due in islice(coming(schedule, after), 12):
        found = last_due(schedule, due.at + timedelta(seconds=30))
        assert found is not None
        assert (found.at, found.journey) >= (due.at, due.journey)
        assert found.at == due.at
        before = last_due(schedule, due.at - timedelta(seconds=1))
        assert before is None or before.at < due.at


def test_what_came_before_the_clock_was_put_back_is_not_forgotten_when_it_shows_less() -> None:
    """At ten past two for the second time, ten to three has been."""
    until = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    found = last_due(Scheduled("50 2 * * *", None, COPENHAGEN), until)
    assert found is not None
    assert found.at == datetime(2026, 10, 25, 0, 50, tzinfo=UTC)


@pytest.mark.parametrize(
    ("down", "up", "zone", "told"),
    [
        (None, None, "UTC", "--down or --up"),
        ("0 20 ? * MON-FRI *", None, "UTC", "five fields"),
        ("0 20 L * *", None, "UTC", "five fields"),
        ("0 25 * * *", None, "UTC", "five fields"),
        (None, "cron", "UTC", "--up 'cron'"),
        ("0 0 32 1 *", None, "UTC", "five fields"),
        ("0 0 1 13 *", None, "UTC", "five fields"),
        ("0 0 31 2 *", None, "UTC", "--down '0 0 31 2 .*there is no such day"),
        ("0 0 31 4,6 *", None, "UTC", "there is no such day"),
        ("0 20 * * *", None, "Europe/Kopenhagen", "did you mean Europe/Copenhagen"),
        ("0 20 * * *", "0 20 * * MON", "UTC", "both due"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused(
    down: str | None, up: str | None, zone: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        check_schedule(Scheduled(down, up, zone), NOW)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("0 20 * * MON-FRI", ["cron(0 20 ? * MON,TUE,WED,THU,FRI *)"]),
        ("30 6 * * *", ["cron(30 6 * * ? *)"]),
        ("*/30 6 1 1,7 *", ["cron(0,30 6 1 1,7 ? *)"]),
        ("0 6 * * 0,7", ["cron(0 6 ? * SUN *)"]),
        ("0 6 1 * FRI", ["cron(0 6 1 * ? *)", "cron(0 6 ? * FRI *)"]),
        ("0 6 1-31 * FRI", ["cron(0 6 * * ? *)"]),
        ("0 6 */2 * *", ["cron(0 6 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * ? *)"]),
    ],
)
def test_eventbridge_is_told_the_same_in_its_own_words(expression: str, told: list[str]) -> None:
    found = for_eventbridge(Scheduled(expression, None, COPENHAGEN))
    assert [one.ScheduleExpression for one in found] == told
    assert {one.ScheduleExpressionTimezone for one in found} == {COPENHAGEN}


def test_what_eventbridge_cannot_say_is_refused() -> None:
    with pytest.raises(ConfigError, match="at once"):
        for_eventbridge(Scheduled("0 6 */2 * MON", None))
