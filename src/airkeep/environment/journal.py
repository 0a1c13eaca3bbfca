"""What happened to an environment, kept in the lake: a small file an event, none ever changed.

    environments/environment=<env>/journal/000000000001.json

Files are numbered without a gap and saved where there is none (create-if-absent), so of two runs
that want to say what comes next only one can: that is the lock. A run that was overtaken learns it
from its next event, before it acts on anything.
"""

from __future__ import annotations

import os
import re
import socket
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from airkeep.environment.events import Entry, Event, Placed, Scheduled, Unscheduled
from airkeep.errors import AlreadySavedError, HeldError, JourneyError, NewerFormatError
from airkeep.snapshot.decode import decode
from airkeep.store.interface import Store
from airkeep.version import __version__

FORMAT = 1
_NAME = re.compile(r"\d{12}")
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
    clock: Callable[[], datetime] = _now


class Journal:
    """The journal of one environment."""

    def __init__(self, store: Store, environment: str, author: Author | None = None) -> None:
        self._store, self.environment = store, environment
        self.author = author or Author()
        self.entries: list[Entry] = []

    def read(self) -> Sequence[Entry]:
        """All that is there, in order; read anew, and whole.

        Raises:
            NewerFormatError: a newer airkeep has written in it.
            JourneyError: an entry is gone, or is none.
        """
        folder = folder_of(self.environment)
        paths = sorted(e.path for e in self._store.list(folder))
        with ThreadPoolExecutor(_LOADERS) as pool:
            self.entries = list(pool.map(self._load, paths))
        for number, entry in enumerate(self.entries, start=1):
            if entry.number != number:
                raise JourneyError(
                    f"{self._path(number)} is not in {self._store.url}: somebody removed it. Put "
                    f"it back from a copy, or remove all of {folder} and add the environment anew"
                )
        return self.entries

    def append(self, event: Event) -> Entry:
        """Say what comes next.

        Where somebody has said meanwhile what is no journey's, such as another place, or a save of
        our own was done though nobody answered, that comes first.

        Raises:
            HeldError: another run has set out since this was read; nothing was said.
        """
        for _ in range(_BETWEEN):
            entry = self._next(event)
            try:
                self._store.save(self._path(entry.number), msgspec.json.encode(entry) + b"\n")
            except AlreadySavedError:
                there = self._load(self._path(entry.number))
                if not (there.run == self.author.run or isinstance(there.event, _OF_NO_JOURNEY)):
                    break
                self.entries.append(there)
                if there == entry:
                    return there
            else:
                self.entries.append(entry)
                return entry
        raise HeldError(
            f"another run has taken {self.environment} over meanwhile; this one has stopped. "
            f"airkeep status {self.environment} tells how far that one is"
        )

    def _next(self, event: Event) -> Entry:
        author = self.author
        return Entry(
            number=len(self.entries) + 1,
            at=author.clock(),
            run=author.run,
            host=author.host,
            pid=author.pid,
            airkeep=__version__,
            event=event,
        )

    def remove(self) -> None:
        """Delete it, from its end: what is left of it when this is stopped is still in order."""
        for entry in reversed(self.entries):
            self._store.delete([self._path(entry.number)])
        self.entries = []

    def _path(self, number: int) -> str:
        return f"{folder_of(self.environment)}{number:012}.json"

    def _load(self, path: str) -> Entry:
        data = self._store.load(path)
        name = path.rpartition("/")[2].removesuffix(".json")
        try:
            written = decode(data, _Version).format
            if written > FORMAT:
                raise NewerFormatError(path, found=written, known=FORMAT)
            entry = decode(data, Entry)
        except msgspec.DecodeError:
            raise JourneyError(f"{path} is no entry of a journal: it was changed") from None
        if not _NAME.fullmatch(name) or entry.number != int(name):
            raise JourneyError(f"{path} is not the entry of its number: it was moved or copied")
        return entry


class _Version(msgspec.Struct):
    format: int


def environments(store: Store) -> list[str]:
    """Every environment that has a journal in the lake."""
    found = store.folders("environments/")
    return sorted(f.removeprefix("environment=") for f in found if f.startswith("environment="))


def entries_of(store: Store, environment: str) -> Sequence[Entry]:
    """All that the journal of an environment tells; nothing where it has none."""
    return Journal(store, environment).read() if environment in environments(store) else []
