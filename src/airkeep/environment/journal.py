"""What happened to an environment, kept in the lake: a small file an event, none ever changed.

    environments/environment=<env>/journal/000000000/000000000001.json

Files are numbered without a gap and saved where there is none (create-if-absent), so of two runs
that want to say what comes next only one can: that is the lock. A run that was overtaken learns it
from its next event, before it acts on anything.

Beside the entry that ends a journey its summary is saved, as a checkpoint: whoever reads begins
there, so reading does not take longer as the years go by. Nothing rests on it: where it is missing
or damaged, an earlier one or the entries themselves tell the same.
"""

from __future__ import annotations

import os
import re
import socket
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from airkeep.environment.events import Ended, Entry, Event, Placed, Scheduled, Unscheduled
from airkeep.environment.process import machine, started
from airkeep.environment.state import State
from airkeep.environment.summary import Summary, fold
from airkeep.errors import (
    AlreadySavedError,
    HeldError,
    JourneyError,
    NewerFormatError,
    NotFoundError,
    StoreError,
)
from airkeep.snapshot.decode import decode
from airkeep.store.interface import Store
from airkeep.version import __version__

FORMAT = 1
SUMMARY = 2  # checkpoints of another one are passed over
_FOLDER = re.compile(r"\d{9}")
_ENTRY = re.compile(r"(\d{12})\.json")
_CHECKPOINT = re.compile(rf"(\d{{12}})\.summary-{SUMMARY}\.json")
_A_FOLDER = 1000  # entries; as many as one listing of S3 tells
_LOADERS = 16
_BETWEEN = 100  # others that may say something between two of our own words
_OF_NO_JOURNEY = (Placed, Scheduled, Unscheduled)


def folder_of(environment: str) -> str:
    """Where an environment's journal lies in a lake."""
    return f"environments/environment={environment}/journal/"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Author:
    """A run that writes, told apart from every other one."""

    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    machine: str = field(default_factory=machine)
    started: int = field(default_factory=lambda: started(os.getpid()))
    clock: Callable[[], datetime] = _now


class Journal:
    """The journal of one environment.

    Attributes:
        summary: of what was read and said so far.
    """

    def __init__(self, store: Store, environment: str, author: Author | None = None) -> None:
        self.store, self.environment = store, environment
        self.author = author or Author()
        self.summary = Summary(State(environment))

    def read(self) -> Summary:
        """What it comes to by now: from what was read before, or the newest checkpoint, on.

        Raises:
            NewerFormatError: a newer airkeep has written in it.
            JourneyError: an entry is gone, or is none.
        """
        last, summary = 0, self.summary
        for folder in self._folders():
            names = self._names(folder)
            last = last or max(_numbers(_ENTRY, names), default=0)
            summary = self._checkpoint(names, summary)
            if summary.number // _A_FOLDER >= int(folder):
                break
        self.summary = fold(summary, self._load_all(range(summary.number + 1, last + 1)))
        return self.summary

    def entries(self) -> Sequence[Entry]:
        """All that is there, in order; the more there is, the longer it takes.

        Raises:
            NewerFormatError: a newer airkeep has written in it.
            JourneyError: an entry is gone, or is none.
        """
        found = (max(_numbers(_ENTRY, self._names(f)), default=0) for f in self._folders())
        last = next(filter(None, found), 0)
        return list(self._load_all(range(1, last + 1)))

    def append(self, event: Event) -> Entry:
        """Say what comes next.

        What is no journey's, such as another place, and what is a journey's get in one another's
        way nowhere: where one has been said meanwhile, the other comes after it. So does what is
        said after a save of our own that was done though nobody answered.

        Raises:
            HeldError: another run has set out since this was read; nothing was said.
        """
        for _ in range(_BETWEEN):
            entry = self._next(event)
            try:
                self.store.save(self.path(entry.number), msgspec.json.encode(entry) + b"\n")
            except AlreadySavedError:
                there = self._load(entry.number)
                is_free = any(isinstance(e, _OF_NO_JOURNEY) for e in (event, there.event))
                if not (is_free or there.run == self.author.run):
                    break
            else:
                there = entry
            self.summary = fold(self.summary, [there])
            if there == entry:
                self._save_checkpoint(event)
                return entry
        raise HeldError(
            f"another run has taken {self.environment} over meanwhile; this one has stopped. "
            f"airkeep status {self.environment} tells how far that one is"
        )

    def path(self, number: int) -> str:
        """Where an entry lies in the lake."""
        return f"{self._stem(number)}.json"

    def _next(self, event: Event) -> Entry:
        author = self.author
        return Entry(
            number=self.summary.number + 1,
            at=author.clock(),
            run=author.run,
            host=author.host,
            pid=author.pid,
            machine=author.machine,
            started=author.started,
            airkeep=__version__,
            event=event,
        )

    # Checkpoints.

    def _save_checkpoint(self, event: Event) -> None:
        """Best effort: without it the next one to read has more to read."""
        if isinstance(event, Ended):
            path = f"{self._stem(self.summary.number)}.summary-{SUMMARY}.json"
            with suppress(StoreError):
                self.store.save(path, msgspec.json.encode(self.summary) + b"\n")

    def _checkpoint(self, names: Iterable[str], known: Summary) -> Summary:
        """The newest of these, or what is known where none is newer."""
        for number in sorted(_numbers(_CHECKPOINT, names), reverse=True):
            if number <= known.number:
                break
            path = f"{self._stem(number)}.summary-{SUMMARY}.json"
            with suppress(NotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
                found = decode(self.store.load(path), Summary)
                if (found.number, found.state.environment) == (number, self.environment):
                    return found
        return known

    # Files.

    def _folders(self) -> Sequence[str]:
        """Their names, the newest first."""
        found = self.store.folders(folder_of(self.environment))
        return sorted(filter(_FOLDER.fullmatch, found), reverse=True)

    def _names(self, folder: str) -> Sequence[str]:
        found = self.store.list(f"{folder_of(self.environment)}{folder}/")
        return [entry.path.rpartition("/")[2] for entry in found]

    def _stem(self, number: int) -> str:
        return f"{folder_of(self.environment)}{number // _A_FOLDER:09}/{number:012}"

    def _load_all(self, numbers: Iterable[int]) -> Iterable[Entry]:
        with ThreadPoolExecutor(_LOADERS) as pool:
            yield from pool.map(self._load, numbers)

    def _load(self, number: int) -> Entry:
        path = self.path(number)
        try:
            data = self.store.load(path)
        except NotFoundError:
            raise JourneyError(
                f"{path} is not in {self.store.url}: somebody removed it. Put it back from a copy "
                f"(a bucket with versions keeps one), or go on under another name (airkeep env add)"
            ) from None
        try:
            written = decode(data, _Version).format
            if written > FORMAT:
                raise NewerFormatError(path, found=written, known=FORMAT)
            entry = decode(data, Entry)
        except msgspec.DecodeError:
            raise JourneyError(f"{path} is no entry of a journal: it was changed") from None
        if entry.number != number:
            raise JourneyError(f"{path} is not the entry of its number: it was moved or copied")
        return entry


class _Version(msgspec.Struct):
    format: int


def _numbers(form: re.Pattern[str], names: Iterable[str]) -> Iterable[int]:
    return [int(found[1]) for name in names if (found := form.fullmatch(name))]


def environments(store: Store) -> list[str]:
    """Every environment that has a journal in the lake."""
    found = store.folders("environments/")
    return sorted(f.removeprefix("environment=") for f in found if f.startswith("environment="))
