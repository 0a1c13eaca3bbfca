"""What a journal comes to, and what a status tells of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airkeep.environment.events import (
    Began,
    Ended,
    Event,
    Forgotten,
    Kept,
    LocalPlace,
    Placed,
    Planned,
    Recorded,
    Renewed,
    Stepped,
)
from airkeep.environment.journal import Author, Journal, environments
from airkeep.environment.status import Status, pace, status_of
from airkeep.store.local import LocalStore

THEN = datetime(2026, 11, 22, 8, tzinfo=UTC)
PLACE = Placed(LocalPlace("/x", "3.3.2", "/dags"))


class Told:
    """A journal whose clock a test sets."""

    def __init__(self, folder: Path) -> None:
        self.now = THEN
        self.journal = Journal(LocalStore(folder), "prod", Author(clock=lambda: self.now))

    def say(self, *events: Event, s: float = 0) -> None:
        for event in events:
            self.journal.append(event)
        self.now += timedelta(seconds=s)

    def step(self, name: str, took_s: float) -> None:
        self.say(Stepped(name, is_done=False), s=took_s)
        self.say(Stepped(name, is_done=True))

    def status(self) -> Status:
        found = status_of(self.journal.read(), self.now)
        assert found is not None
        return found


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def whole_up(told: Told, *, create_s: float, restore_s: float) -> None:
    told.say(Began("up", told.now + timedelta(minutes=5)), Planned(("create", "restore")))
    told.step("create", create_s)
    told.step("restore", restore_s)
    told.say(Ended("done"))


def test_a_step_takes_as_long_as_it_took(told: Told) -> None:
    told.say(PLACE)
    for create_s in (10, 30, 20):
        whole_up(told, create_s=create_s, restore_s=100)
    assert pace(told.journal.read(), "up") == {"create": 20, "restore": 100}
    assert pace(told.journal.read(), "down") == {}

    told.say(Began("up", told.now + timedelta(minutes=5)), Planned(("create", "restore")))
    told.say(Stepped("create", is_done=False), s=5)
    going = told.status().going
    assert going is not None
    assert (going.step, going.done, going.steps, going.left_s) == ("create", 0, 2, 115)
    told.now += timedelta(seconds=300)
    going = told.status().going
    assert going is not None
    assert going.left_s == 100  # of a step that takes longer than ever nothing is known


def test_what_never_went_has_no_time_left(told: Told) -> None:
    told.say(PLACE, Began("up", told.now + timedelta(minutes=5)), Planned(("create",)))
    told.say(Stepped("create", is_done=False))
    going = told.status().going
    assert going is not None
    assert (going.left_s, going.is_held) == (None, True)
    told.say(s=301)
    going = told.status().going
    assert going is not None
    assert not going.is_held
    told.say(Renewed(told.now + timedelta(minutes=5)))
    going = told.status().going
    assert going is not None
    assert going.is_held


def test_a_status_says_what_is_owed_and_why_it_failed(told: Told) -> None:
    told.say(PLACE, Began("down", THEN), Recorded(("a", "b")), Kept("prod/1", "sha"))
    told.say(Ended("failed", "because"))
    found = told.status()
    assert (found.kind, found.standing, found.owed) == ("local", "new", 2)
    assert (found.snapshot, found.why, found.going) == ("prod/1", "because", None)


def test_what_is_forgotten_is_not_known_and_can_be_placed_again(told: Told) -> None:
    told.say(PLACE, Began("down", THEN), Ended("done"), Forgotten())
    assert status_of(told.journal.read(), THEN) is None
    told.say(PLACE)
    assert told.status().standing == "new"


def test_a_journal_is_read_as_it_was_written_and_listed(told: Told, tmp_path: Path) -> None:
    told.say(PLACE, Recorded(("é", "\n"), "{}"))
    assert [e.event for e in Journal(LocalStore(tmp_path), "prod").entries()] == [
        PLACE, Recorded(("é", "\n"), "{}"),
    ]  # fmt: skip
    assert environments(LocalStore(tmp_path)) == ["prod"]
