"""A journal in every kind of store: written once a number, read from a checkpoint, and held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airkeep.environment.events import Began, Ended, Event, MwaaPlace, Placed, Stepped
from airkeep.environment.hold import check_free
from airkeep.environment.journal import Author, Journal, environments
from airkeep.errors import HeldError
from airkeep.store import Store

LEASE = timedelta(minutes=5)


def elsewhere() -> Author:
    """A run on a machine whose clock is an hour behind."""
    return Author(machine="another", clock=lambda: datetime.now(UTC) - timedelta(hours=1))


def say(store: Store, *events: Event) -> Journal:
    journal = Journal(store, "prod", elsewhere())
    journal.read()
    for event in events:
        journal.append(event)
    return journal


def test_a_journal_is_kept_and_held(store: Store) -> None:
    until = elsewhere().clock() + LEASE
    first = say(store, Placed(MwaaPlace("prod")), Began("down", until), Ended("done"))
    second = say(store, Began("up", until), Stepped("create", is_done=False))
    with pytest.raises(HeldError, match="has taken prod over"):
        first.append(Began("down", until))

    read = Journal(store, "prod")
    assert read.read() == second.summary
    assert len(read.entries()) == second.summary.number == 5
    assert environments(store) == ["prod"]
    with pytest.raises(HeldError, match="is at work"):
        check_free(read)
    second.append(Ended("done"))
    read.read()
    check_free(read)
