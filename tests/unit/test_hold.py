"""Who holds an environment: by the store's clock, and by processes that are there or are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from airkeep.cli.main import cli
from airkeep.environment.events import Began, MwaaPlace, Placed
from airkeep.environment.hold import check_free
from airkeep.environment.journal import Author, Journal
from airkeep.environment.process import has_ended, started
from airkeep.errors import HeldError, JourneyError
from airkeep.store.local import LocalStore

LEASE = timedelta(minutes=5)
HOURS = timedelta(hours=3)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


@contextmanager
def sleeper() -> Iterator[int]:
    """A process that does nothing: its id."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def off_by(by: timedelta, **author: object) -> Author:
    """A run on a machine whose clock is wrong."""
    elsewhere = Author(host="ci", machine="another", clock=lambda: datetime.now(UTC) + by)
    return replace(elsewhere, **author)  # type: ignore[arg-type]


def begin(store: LocalStore, author: Author, ago: timedelta = timedelta()) -> None:
    """By the store's clock that long ago."""
    journal = Journal(store, "prod", author)
    journal.append(Placed(MwaaPlace("prod")))
    began = journal.append(Began("down", author.clock() + LEASE))
    at = (datetime.now(UTC) - ago).timestamp()
    os.utime(store.folder / journal.path(began.number), (at, at))


def look(store: LocalStore, author: Author | None = None) -> None:
    journal = Journal(store, "prod", author)
    journal.read()
    check_free(journal)


@pytest.mark.parametrize("mine", [-HOURS, HOURS])
@pytest.mark.parametrize("theirs", [-HOURS, HOURS])
def test_a_hold_lasts_as_long_as_the_store_says_whatever_a_machine_says(
    mine: timedelta, theirs: timedelta, store: LocalStore
) -> None:
    begin(store, off_by(theirs), LEASE - timedelta(seconds=30))
    with pytest.raises(HeldError, match="`airkeep down prod` is at work on ci"):
        look(store, off_by(mine))


@pytest.mark.parametrize("mine", [-HOURS, HOURS])
@pytest.mark.parametrize("theirs", [-HOURS, HOURS])
def test_a_hold_ends_when_the_store_says_so(
    mine: timedelta, theirs: timedelta, store: LocalStore
) -> None:
    begin(store, off_by(theirs), LEASE + timedelta(seconds=30))
    look(store, off_by(mine))


def test_a_process_that_was_killed_holds_nothing(store: LocalStore) -> None:
    with sleeper() as pid:
        begin(store, Author(pid=pid, started=started(pid)))
        with pytest.raises(HeldError):
            look(store)
    look(store)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_status_says_that_the_process_of_a_journey_is_gone(store: LocalStore) -> None:
    def status(*flags: str) -> Result:
        words = ["status", "prod", *flags, "--lake", str(store.folder)]
        return CliRunner().invoke(cli, words, catch_exceptions=False)

    with sleeper() as pid:
        begin(store, Author(pid=pid, started=started(pid)))
        [alive] = json.loads(status("--json").stdout)
        assert (alive["going"]["is_held"], alive["going"]["is_gone"]) == (True, False)
    [dead] = json.loads(status("--json", "--watch").stdout)  # which does not wait for it
    assert (dead["going"]["is_held"], dead["going"]["is_gone"]) == (False, True)
    assert "down: begun, 0 of 0 done, its process is gone: run it again" in status().stdout


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
@pytest.mark.parametrize(
    "where",
    [{"machine": "of another container"}, {"machine": ""}],
    ids=["a container", "who knows where"],
)
def test_a_process_of_another_machine_of_that_name_is_not_taken_for_dead(
    where: dict[str, str], store: LocalStore
) -> None:
    with sleeper() as pid:
        pass
    begin(store, replace(Author(), pid=pid, started=1, **where))  # type: ignore[arg-type]
    with pytest.raises(HeldError):
        look(store)


def test_an_id_that_was_given_away_again_is_another_process() -> None:
    own = os.getpid()
    assert not has_ended(own, started(own))
    assert has_ended(own, started(own) - 1)


def forget(lake: Path) -> Result:
    return CliRunner().invoke(cli, ["env", "forget", "prod", "--force", "--lake", str(lake)])


def test_what_a_journey_is_at_work_on_is_not_forgotten(store: LocalStore) -> None:
    begin(store, off_by(timedelta()))
    refused = forget(store.folder)
    assert isinstance(refused.exception, HeldError)
    assert Journal(store, "prod").read().state.place is not None


def test_what_died_half_way_is_forgotten_by_force(store: LocalStore) -> None:
    begin(store, off_by(timedelta()), LEASE * 2)
    without = CliRunner().invoke(cli, ["env", "forget", "prod", "--lake", str(store.folder)])
    assert isinstance(without.exception, JourneyError)
    assert "`airkeep down prod` died half way: run it again" in str(without.exception)
    assert forget(store.folder).exception is None
    assert Journal(store, "prod").read().state.place is None
