"""The journal's files: one writer a number; checkpoints make reading short, and say no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airkeep.environment.events import (
    Began,
    Ended,
    Entry,
    Event,
    Forgotten,
    Kept,
    MwaaPlace,
    Placed,
    Planned,
    Recorded,
    Renewed,
    Scheduled,
    Stepped,
    Unscheduled,
)
from airkeep.environment.journal import Author, Journal, folder_of
from airkeep.environment.state import State
from airkeep.environment.summary import Summary, fold
from airkeep.errors import HeldError, JourneyError, NewerFormatError, UnavailableError
from airkeep.store.interface import Entry as File
from airkeep.store.local import LocalStore

FOLDER_STAYS = [HealthCheck.function_scoped_fixture]  # each example has one of its own in it
THEN = datetime(2026, 11, 22, 8, tzinfo=UTC)
PLACE = Placed(MwaaPlace("prod", "eu-central-1"))
NIGHT: tuple[Event, ...] = (
    Began("down", THEN), Planned(("record", "gone")), Stepped("record", is_done=False),
    Recorded(("a", "b"), "{}"), Stepped("record", is_done=True), Kept("prod/1", "sha"),
    Renewed(THEN), Stepped("gone", is_done=False), Stepped("gone", is_done=True), Ended("done"),
)  # fmt: skip
EVENTS = st.sampled_from(
    [PLACE, *NIGHT, Ended("failed", "because"), Began("up", THEN), Stepped("create", is_done=False),
     Planned(("create", "restore"), Kept("staging/1", "sha")), Stepped("restore", is_done=True),
     Forgotten(), Scheduled("0 20 * * *", None), Unscheduled()]
)  # fmt: skip


class CountedStore(LocalStore):
    """A folder that counts what is asked of it.

    Attributes:
        unseen: files that were saved while a listing was made, and are not in it.
        refuses: no file whose name has this is saved.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.loads, self.listed = 0, 0
        self.unseen, self.refuses = "-", "-of-nothing"

    def load(self, path: str) -> bytes:
        self.loads += 1
        return super().load(path)

    def list(self, prefix: str = "") -> Iterator[File]:
        for found in super().list(prefix):
            self.listed += 1
            if not found.path.endswith(self.unseen):
                yield found

    def save(self, path: str, data: bytes) -> None:
        if self.refuses in path:
            raise UnavailableError("no answer")
        super().save(path, data)


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where the machine has that: every save waits for the disk."""
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if shared.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture
def store(folder: Path) -> CountedStore:
    return CountedStore(folder)


def say(store: LocalStore, *events: Event) -> Journal:
    """By a run of its own."""
    journal = Journal(store, "prod", Author(clock=lambda: THEN))
    journal.read()
    for event in events:
        journal.append(event)
    return journal


def whole(entries: Sequence[Entry]) -> Summary:
    return fold(Summary(State("prod")), entries)


def checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / folder_of("prod")).rglob("*.summary-*.json"))


def file(folder: Path, number: int) -> Path:
    return folder / Journal(LocalStore(folder), "prod").path(number)


def test_of_two_writers_one_is_told_that_the_other_was_first(store: CountedStore) -> None:
    first, second = say(store, PLACE), say(store)
    first.append(Ended("done"))
    with pytest.raises(HeldError, match="another run has taken prod over"):
        second.append(Ended("done"))


def test_a_journal_with_a_hole_or_a_stranger_is_refused(store: CountedStore, folder: Path) -> None:
    journal = say(store, PLACE, Began("down", THEN), Stepped("record", is_done=False))
    second = file(folder, 2)
    text = second.read_text()
    for written, error, told in (
        (text.replace('"number":2', '"number":3'), JourneyError, "is not the entry of its number"),
        ("{}", JourneyError, "is no entry of a journal"),
        (text.replace('"format":1', '"format":2'), NewerFormatError, "pip install --upgrade"),
    ):
        second.write_text(written)
        with pytest.raises(error, match=told):
            Journal(store, "prod").read()
    second.unlink()
    for look in (Journal(store, "prod").read, journal.entries):
        with pytest.raises(
            JourneyError, match=r"000000000002\.json is not in .*somebody removed it"
        ):
            look()


def test_a_listing_that_was_made_beside_a_writer_is_no_hole(store: CountedStore) -> None:
    say(store, PLACE, *NIGHT[:4])
    store.unseen = "000000000003.json"
    assert say(store).summary.number == 5


def test_reading_takes_no_longer_after_a_thousand_nights(store: CountedStore, folder: Path) -> None:
    say(store, PLACE, *NIGHT * 5)
    begun = Journal(store, "prod").read()
    store.loads = store.listed = 0
    assert say(store).summary == begun
    few = store.loads
    assert few <= 2

    journal = say(store)  # it goes on for a thousand entries more
    for number in range(begun.number + 1, begun.number + 1_000):
        event = NIGHT[(number - 2) % len(NIGHT)]
        entry = Entry(number=number, at=THEN, run="r", host="h", pid=1, airkeep="0", event=event)
        path = folder / journal.path(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(msgspec.json.encode(entry))
    say(store, NIGHT[-1], *NIGHT)
    store.loads = store.listed = 0
    assert say(store, *NIGHT[:3]).summary.number == begun.number + 1_013
    assert store.loads <= few
    assert store.listed < 1_000
    assert whole(journal.entries()) == Journal(store, "prod").read()


def test_who_watches_reads_what_is_new(store: CountedStore) -> None:
    watching = say(store, PLACE, *NIGHT, *NIGHT[:5])
    running = say(store)
    running.append(NIGHT[5])
    store.loads = 0
    assert watching.read() == running.summary
    assert store.loads == 1
    watching.read()
    assert store.loads == 1


@settings(max_examples=60, deadline=None, suppress_health_check=FOLDER_STAYS)
@given(
    runs=st.lists(st.lists(EVENTS, max_size=8), min_size=1, max_size=6),
    fates=st.lists(st.sampled_from(["kept", "lost", "cut", "of another"]), max_size=6),
)
def test_a_checkpoint_says_what_the_entries_say_or_is_not_believed(
    runs: list[list[Event]],
    fates: list[Literal["kept", "lost", "cut", "of another"]],
    folder: Path,
) -> None:
    with TemporaryDirectory(dir=folder) as made:
        own = Path(made)
        for run in runs:
            said = say(LocalStore(own), *run)
        for saved, fate in zip(reversed(checkpoints(own)), fates, strict=False):
            match fate:
                case "lost":
                    saved.unlink()
                case "cut":
                    saved.write_bytes(saved.read_bytes()[:-9])
                case "of another":
                    saved.write_text(saved.read_text().replace('"prod"', '"staging"'))
                case "kept":
                    pass
        read = Journal(LocalStore(own), "prod").read()
        assert read == said.summary == whole(said.entries())


def test_a_checkpoint_that_cannot_be_saved_ends_no_journey(
    store: CountedStore, folder: Path
) -> None:
    store.refuses = ".summary-"
    say(store, PLACE, *NIGHT)
    assert checkpoints(folder) == []
    assert Journal(store, "prod").read().state.standing == "asleep"


def test_a_copy_of_a_checkpoint_is_not_believed(store: CountedStore, folder: Path) -> None:
    say(store, PLACE, *NIGHT, *NIGHT[:5])
    [saved] = checkpoints(folder)
    saved.rename(saved.with_name(saved.name.replace("11", "14")))
    journal = Journal(store, "prod")
    assert journal.read() == whole(journal.entries())


def test_what_ended_before_a_checkpoint_need_not_be_there(
    store: CountedStore, folder: Path
) -> None:
    journal = say(store, PLACE, *NIGHT, *NIGHT[:5])
    file(folder, 4).unlink()
    assert Journal(store, "prod").read() == journal.summary


def test_a_summary_is_written_like_this(store: CountedStore, folder: Path) -> None:
    """Where this has to be changed `journal.SUMMARY` counts up: old ones say something else."""
    author = Author("r", "h", 7, "m", 9, clock=lambda: THEN)
    journal = Journal(store, "prod", author)
    for event in (PLACE, *NIGHT, Scheduled("0 20 * * *", None), Began("up", THEN), Ended("failed")):
        journal.append(event)
    [_, last] = checkpoints(folder)
    assert last.name == "000000000014.summary-2.json"
    assert msgspec.json.decode(last.read_bytes()) == {
        "number": 14,
        "ended": 14,
        "took": {"down": {"record": [0.0], "gone": [0.0]}},
        "trips": [
            {"journey": "down", "began": _TIME, "how": "done", "ended": _TIME, "why": ""},
            {"journey": "up", "began": _TIME, "how": "failed", "ended": _TIME, "why": ""},
        ],
        "state": {
            "environment": "prod",
            "standing": "asleep",
            "since": _TIME,
            "place": {"type": "mwaa", "name": "prod", "region": "eu-central-1"},
            "holder": None,
            "recorded": _RECORDED,
            "last": _RECORDED,
            "kept": {"type": "kept", "snapshot": "prod/1", "manifest_sha256": "sha"},
            "chosen": None,
            "deleting": False,
            "lost": [],
            "made": False,
            "restored": False,
            "restoring": False,
            "why": "",
            "schedule": {"type": "scheduled", "down": "0 20 * * *", "up": None},
            "scheduled_at": _TIME,
        },
    }


_TIME = "2026-11-22T08:00:00Z"
_RECORDED = {"type": "recorded", "active": ["a", "b"], "definition": "{}"}
