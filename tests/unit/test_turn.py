"""`take_turn`: a look at a schedule, over a real journal, and what the journey came to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from airkeep.cost.prices import load_prices
from airkeep.environment.events import (
    Began,
    Ended,
    Journey,
    MwaaPlace,
    Placed,
    Recorded,
    Scheduled,
    Stepped,
)
from airkeep.environment.journal import Author, Journal
from airkeep.environment.means import Arrived
from airkeep.environment.news import News, headline, text
from airkeep.environment.state import State
from airkeep.environment.turn import Keeping, Turn, take_turn
from airkeep.errors import AirkeepError, GateError, HeldError
from airkeep.store.local import LocalStore

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
SMALL = {
    "Arn": "arn:aws:airflow:us-east-1:123456789012:environment/prod",
    "EnvironmentClass": "mw1.small",
    "MinWorkers": 1,
}


@dataclass
class World:
    """One environment, a clock that is set by hand, and a walker that says what it is told to."""

    lake: Path
    now: datetime = MONDAY
    fails: AirkeepError | None = None
    told: list[News] = field(default_factory=list)
    walked: list[Journey] = field(default_factory=list)

    def journal(self) -> Journal:
        return Journal(LocalStore(self.lake), "prod", Author(clock=lambda: self.now))

    def begin(self, schedule: Scheduled) -> None:
        journal = self.journal()
        journal.read()
        journal.append(Placed(MwaaPlace("prod", "us-east-1")))
        journal.append(schedule)

    def look(self, at: datetime, *, dry_run: bool = False) -> tuple[Turn, AirkeepError | None]:
        self.now = at
        keeping = Keeping(self.walker_of, lambda _, n: self.told.append(n), prices=load_prices())
        return take_turn(self.journal(), keeping, dry_run=dry_run)

    @contextmanager
    def walker_of(self, journal: Journal, state: State, journey: Journey) -> Iterator[World]:
        self.going = journal
        assert state.environment == "prod"
        yield self

    def down(self) -> Arrived:
        return self.walk("down", "asleep")

    def up(self) -> Arrived:
        return self.walk("up", "awake")

    def walk(self, journey: Journey, standing: str) -> Arrived:
        if isinstance(self.fails, HeldError):
            raise self.fails
        self.walked.append(journey)
        self.going.append(Began(journey, self.now + timedelta(minutes=5)))
        if journey == "down":
            self.going.append(Recorded(("a",), json.dumps(SMALL)))
        if self.fails is not None:
            self.going.append(Stepped("unpause", is_done=True))
            self.going.append(Ended("failed", str(self.fails)))
            raise self.fails
        self.now += timedelta(minutes=30)
        self.going.append(Stepped("gone" if journey == "down" else "unpause", is_done=True))
        self.going.append(Ended("done"))
        return Arrived("prod", standing, "prod/20261123T200000Z", (), took_s=1800.0)  # type: ignore[arg-type]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.begin(Scheduled("0 20 * * *", "0 6 * * *"))
    return made


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


def test_a_day_looked_at_every_five_minutes_is_one_journey_down_and_one_up(world: World) -> None:
    now = at(0, 12)
    while now < at(1, 12):
        world.look(now)
        now = max(now, world.now) + timedelta(minutes=5)
    assert world.walked == ["down", "up"]
    assert [n.outcome for n in world.told] == ["done", "done"]


def test_what_is_due_is_done_and_told_once(world: World) -> None:
    turn, failure = world.look(at(0, 20, 2))
    assert (turn.what, failure, turn.snapshot) == ("done", None, "prod/20261123T200000Z")
    assert turn.next is not None
    assert turn.next.at == at(1, 6)
    assert world.look(at(0, 20, 40))[0].what == "stands"
    assert [text(n) for n in world.told] == [
        "airkeep: prod is asleep (due 2026-11-23 20:00 UTC, took 30 min, snapshot "
        "prod/20261123T200000Z)"
    ]


def test_a_dry_run_says_what_is_due_and_writes_nothing(world: World) -> None:
    before = sorted(world.lake.rglob("*.json"))
    turn, _ = world.look(at(0, 20), dry_run=True)
    assert turn.what == "due"
    assert (world.walked, world.told) == ([], [])
    assert sorted(world.lake.rglob("*.json")) == before


def test_a_failure_is_told_and_tried_again_and_in_the_end_given_up(world: World) -> None:
    world.fails = GateError("prod", ["2 tasks are at work", "of postgresql://me:secret@db/airflow"])
    turn, failure = world.look(at(0, 20))
    assert (turn.what, failure) == ("failed", world.fails)
    assert world.look(at(0, 20, 10))[0].what == "waits"
    assert world.look(at(0, 20, 15))[0].what == "failed"
    assert world.look(at(0, 20, 45))[0].what == "failed"
    assert world.look(at(1, 2))[0].what == "gave up"
    assert world.walked == ["down"] * 3
    assert [headline(n) for n in world.told] == ["airkeep: prod: down failed"] * 3
    assert "2 tasks are at work; of postgresql://me:***@db/airflow" in text(world.told[0])


def test_what_fails_before_it_begins_is_no_news_and_no_attempt(world: World) -> None:
    class NoCredentials(World):
        @contextmanager
        def walker_of(self, journal: Journal, state: State, journey: Journey) -> Iterator[World]:
            raise AirkeepError("no credentials")
            yield self

    without = NoCredentials(world.lake)
    for minute in range(0, 30, 5):
        assert without.look(at(0, 20, minute))[0].what == "failed"
    assert without.told == []
    assert world.look(at(0, 20, 35))[0].what == "done"


def test_another_run_that_was_quicker_is_let(world: World) -> None:
    world.fails = HeldError("another run")
    turn, failure = world.look(at(0, 20))
    assert (turn.what, failure, world.told) == ("held", None, [])


def test_waking_tells_what_the_sleep_has_saved(world: World) -> None:
    world.look(at(0, 20))
    turn, _ = world.look(at(1, 6, 30))
    assert turn.saved is not None
    assert (turn.saved.hours, turn.saved.amount) == (Decimal(10), Decimal("4.90"))  # 10 h of 0.49
    assert world.told[-1].saved == "4.90 USD"
