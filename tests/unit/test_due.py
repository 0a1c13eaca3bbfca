"""Whether a schedule wants a journey now: after outages, failures, and what people did by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airkeep.environment.due import Attempts, Verdict, decide
from airkeep.environment.events import (
    Began,
    Ended,
    Entry,
    Event,
    Journey,
    MwaaPlace,
    Placed,
    Recorded,
    Scheduled,
    Stepped,
    Unscheduled,
)
from airkeep.environment.state import State
from airkeep.environment.summary import Summary, fold
from airkeep.environment.trips import sleeps, usual

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
SCHEDULE = Scheduled("0 20 * * MON-FRI", "0 6 * * MON-FRI")


class Told:
    """A journal, written with times of one's own."""

    def __init__(self) -> None:
        self.summary = Summary(State("prod"))
        self.say(MONDAY - timedelta(days=10), Placed(MwaaPlace("prod")))
        self.say(MONDAY - timedelta(days=9), SCHEDULE)

    def say(self, at: datetime, event: Event) -> Told:
        number = self.summary.number + 1
        entry = Entry(number=number, at=at, run="r", host="h", pid=1, airkeep="0", event=event)
        self.summary = fold(self.summary, [entry])
        return self

    def travel(
        self, journey: Journey, at: datetime, how: str = "done", *, minutes: int = 20
    ) -> Told:
        """A journey that takes some minutes; `open` is one whose process was killed."""
        end = at + timedelta(minutes=minutes)
        self.say(at, Began(journey, at + timedelta(minutes=5)))
        if how == "done":
            self.say(end, Stepped("gone" if journey == "down" else "unpause", is_done=True))
        if how != "open":
            why = "the gate is shut" if how == "failed" else ""
            self.say(end, Ended(how, why))  # type: ignore[arg-type]
        return self

    def now(self, at: datetime) -> Verdict:
        return decide(self.summary, at)


def on(day: int, hour: int, minute: int = 0) -> datetime:
    """A time of the week; Monday is 1."""
    return MONDAY + timedelta(days=day - 1, hours=hour, minutes=minute)


@pytest.fixture
def awake() -> Told:
    return Told().travel("up", on(1, 6))


@pytest.fixture
def asleep(awake: Told) -> Told:
    return awake.travel("down", on(1, 20, 3))


def test_nothing_is_due_before_its_time(awake: Told) -> None:
    assert awake.now(on(1, 19, 59)).what == "stands"


def test_it_is_put_to_sleep_when_that_is_due(awake: Told) -> None:
    found = awake.now(on(1, 20))
    assert (found.what, found.due and found.due.journey) == ("due", "down")


def test_it_is_woken_when_that_is_due_however_late(asleep: Told) -> None:
    found = asleep.now(on(2, 11, 30))
    assert (found.what, found.due and found.due.at) == ("due", on(2, 6))


def test_after_an_outage_only_the_newest_of_what_fell_due_counts(awake: Told) -> None:
    found = awake.now(on(3, 7))  # down, up, down and up were missed, and it is up
    assert (found.what, found.why) == ("rests", "it is awake, as it should be")
    assert awake.now(on(3, 21)).what == "due"


def test_what_was_done_is_not_done_again(asleep: Told) -> None:
    assert asleep.now(on(1, 20, 25)).what == "stands"


def test_what_fell_due_before_the_schedule_was_made_does_not_count(awake: Told) -> None:
    awake.say(on(1, 21), Scheduled("0 20 * * MON-FRI", None))
    assert awake.now(on(1, 22)).what == "rests"
    assert awake.now(on(2, 20)).what == "due"


def test_a_journey_by_hand_stands_until_the_next_time_falls_due(asleep: Told) -> None:
    asleep.travel("up", on(1, 22))  # somebody works late
    assert asleep.now(on(2, 5)).what == "stands"
    assert asleep.now(on(2, 6)).what == "rests"
    assert asleep.now(on(2, 20)).what == "due"


def test_a_journey_by_hand_that_broke_off_is_left_to_whoever_made_it(asleep: Told) -> None:
    asleep.travel("up", on(1, 22), "open")
    assert asleep.now(on(1, 23)).what == "stands"
    found = asleep.now(on(2, 6))
    assert (found.what, found.due and found.due.journey) == ("due", "up")


def test_a_journey_at_work_is_let(awake: Told) -> None:
    awake.say(on(1, 20), Began("down", on(1, 20, 5)))
    found = awake.now(on(1, 20, 4))
    assert (found.what, found.why) == ("held", "its down is at work since 2026-11-23 20:00 UTC")


def test_a_journey_whose_process_was_killed_is_gone_on_with(awake: Told) -> None:
    awake.travel("down", on(1, 20), "open")
    assert awake.now(on(1, 20, 5)).what == "due"


def test_what_failed_is_tried_again_after_a_pause_and_given_up_in_the_end(awake: Told) -> None:
    awake.travel("down", on(1, 20), "failed", minutes=10)
    assert awake.now(on(1, 20, 24)).what == "waits"
    assert awake.now(on(1, 20, 25)).what == "due"
    awake.travel("down", on(1, 20, 25), "failed", minutes=5)
    assert awake.now(on(1, 20, 59)).what == "waits"
    assert awake.now(on(1, 21)).what == "due"
    awake.travel("down", on(1, 21), "failed")
    given_up = awake.now(on(2, 5))
    assert given_up.what == "gave up"
    assert "3 times (the gate is shut)" in given_up.why
    assert awake.now(on(2, 6)).what == "rests"  # it never slept
    assert awake.now(on(2, 20)).what == "due"


def test_a_journey_that_is_cut_off_each_time_is_given_up_and_said_so(awake: Told) -> None:
    for minute, how in ((0, "failed"), (16, "open"), (22, "open")):
        assert awake.now(on(1, 20, minute)).what == "due"
        awake.travel("down", on(1, 20, minute), how, minutes=1)
    given_up = awake.now(on(1, 20, 30))
    assert given_up.what == "gave up"
    assert "has failed once and been cut off 2 times: run airkeep down by hand" in given_up.why


def test_what_was_left_half_awake_is_cleared_away_by_the_next_down(asleep: Told) -> None:
    asleep.say(on(2, 6), Began("up", on(2, 6, 5)))
    asleep.say(on(2, 6), Stepped("create", is_done=False))
    asleep.say(on(2, 7), Ended("failed", "no subnet"))
    assert asleep.now(on(2, 20)).what == "due"


def test_what_is_still_paused_is_unpaused_by_the_next_up(awake: Told) -> None:
    awake.say(on(1, 20), Began("down", on(1, 20, 5)))
    awake.say(on(1, 20), Recorded(("a",)))
    awake.say(on(1, 20, 1), Ended("failed", "no network"))
    assert awake.now(on(2, 6)).what == "due"


def test_without_a_schedule_nothing_is_ever_due(awake: Told) -> None:
    awake.say(on(1, 7), Unscheduled())
    assert awake.now(on(1, 21)).what == "unscheduled"


def test_a_killed_journey_and_the_one_that_goes_on_with_it_are_two() -> None:
    told = Told().travel("down", on(1, 20), "open").travel("down", on(1, 20, 30), minutes=7)
    assert [(t.journey, t.how) for t in told.summary.trips] == [("down", "open"), ("down", "done")]
    assert usual(told.summary.trips, "down") == timedelta(minutes=7)
    assert usual(told.summary.trips, "up") is None


@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["down", "up"]),
            st.sampled_from(["done", "failed", "open", "left"]),
            st.integers(1, 2_000),
        ),
        max_size=12,
    )
)
def test_whatever_has_happened_no_due_time_gets_more_attempts_than_it_may(
    happened: list[tuple[Journey, str, int]],
) -> None:
    """Looked at again and again for days, journeys failing always: three a due time at most."""
    told, at = Told(), on(1, 0)
    for journey, how, minutes in happened:
        told.travel(journey, at, how, minutes=1)
        at += timedelta(minutes=minutes + 1)
    begun: dict[datetime, int] = {}
    end = at + timedelta(days=3)
    while at < end:
        found = told.now(at)
        if found.what == "due" and found.due is not None:
            begun[found.due.at] = begun.get(found.due.at, 0) + 1
            told.travel(found.due.journey, at, "failed", minutes=1)
        at += timedelta(minutes=45)
    assert all(count <= Attempts().most for count in begun.values())


def test_it_slept_from_the_end_of_a_journey_down_to_the_begin_of_the_next_one_up() -> None:
    told = Told().travel("up", on(1, 6)).travel("down", on(1, 20), "failed")
    assert sleeps(told.summary.trips) == ()
    told.travel("down", on(1, 21)).travel("down", on(1, 23))
    assert sleeps(told.summary.trips) == ((on(1, 21, 20), None),)
    told.travel("up", on(2, 6), "failed").travel("up", on(2, 7)).travel("down", on(2, 20))
    assert sleeps(told.summary.trips) == ((on(1, 21, 20), on(2, 6)), (on(2, 20, 20), None))
