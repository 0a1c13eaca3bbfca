"""The record of a job: what was asked before it was started, and what came of it.

    <folder>/<token>/asked.json      saved first, by whoever asks; never changed
    <folder>/<token>/result.json     saved last, by the job itself, of a refusal too

Both are created if absent, so of two who ask with one token only one has asked, and a job that ran
twice has one result. The folder is a store, found and opened as the lake is that it belongs to: by
whoever asks with his own credentials, also where the job is another account's, and by the job with
its role.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from airkeep.aws.policies import JOBS
from airkeep.errors import (
    AirkeepError,
    AlreadySavedError,
    ConfigError,
    JobError,
    NotFoundError,
)
from airkeep.jobs.job import Result, read_result
from airkeep.store.interface import Store
from airkeep.store.open import is_folder, open_store

ASKED, RESULT = "asked.json", "result.json"


@dataclass(frozen=True)
class Document:
    """A small document in a store, created if absent."""

    store: Store
    path: str

    @property
    def url(self) -> str:
        return f"{self.store.url.rstrip('/')}/{self.path}"

    def save(self, data: bytes) -> bool:
        """Save it where there is none; False where there is one, which stays as it is.

        Raises:
            StoreError: it could not be saved.
        """
        try:
            self.store.save(self.path, data)
        except AlreadySavedError:
            return False
        return True

    def load(self) -> bytes | None:
        """What it holds; None where there is none.

        Raises:
            StoreError: it could not be read.
        """
        try:
            return self.store.load(self.path)
        except NotFoundError:
            return None


def document_at(url: str, options: Mapping[str, str]) -> Document:
    """The document of a URL or a path.

    Raises:
        ConfigError: the URL is not understood.
        StoreAccessError: credentials are incomplete.
    """
    folder, _, name = url.rpartition("/")
    return Document(open_store(folder or "/", options=options), name)


def jobs_of(lake: str) -> str:
    """The folder of jobs' records in a lake."""
    return f"{lake.rstrip('/')}/{JOBS}"


def check_reached(on: str, folder: str) -> None:
    """See that a job on `glue` or `dag` reaches the folder of its record.

    Raises:
        ConfigError: it does not.
    """
    if is_folder(folder) or (on == "glue" and not folder.startswith("s3://")):
        raise ConfigError(
            f"{folder} cannot keep the record of a job on {on}, which does not reach it: expected "
            f"a URL such as s3://bucket/lake"
        )


@dataclass(frozen=True)
class Record:
    """One job's folder.

    Attributes:
        folder: where the records of jobs are.
    """

    folder: Store
    token: str

    @property
    def asked(self) -> Document:
        return Document(self.folder, f"{self.token}/{ASKED}")

    @property
    def kept(self) -> Document:
        """What came of it, once something has."""
        return Document(self.folder, f"{self.token}/{RESULT}")

    def ask(self, on: str, environment: str, command: Sequence[str], now: datetime) -> bool:
        """Record that this job is wanted; False where it was already.

        Raises:
            JobError: with this token another job was.
            StoreError: it could not be saved.
        """
        # One's own document is known again after a lost answer; two of one instant differ.
        told = {**_asked(on, environment, command), "at": now.isoformat(),
                "by": secrets.token_hex(8)}  # fmt: skip
        if self.asked.save(json.dumps(told).encode()):
            return True
        self.check(on, environment, command)
        return False

    def check(self, on: str, environment: str, command: Sequence[str]) -> None:
        """See that this token has not been asked for another job.

        Raises:
            JobError: it has.
            StoreError: the record could not be read.
        """
        text = self.asked.load()
        there = {} if text is None else json.loads(text)
        asked = _asked(on, environment, command)
        if text is not None and any(there.get(key) != value for key, value in asked.items()):
            raise JobError(
                f"with the token {self.token} another job was asked for: take another token, or "
                f"leave it out"
            )

    def result(self) -> Result | None:
        """What came of it; None as long as nothing has.

        Raises:
            JobError: what is there is no result.
            StoreError: it could not be read.
        """
        text = self.kept.load()
        return None if text is None else read_result(text, self.kept.url)


def _asked(on: str, environment: str, command: Sequence[str]) -> dict[str, object]:
    """What makes two jobs the same."""
    return {"on": on, "environment": environment, "command": list(command)}


def run_once(kept: Document, do: Callable[[], Result], tell: Callable[[str], None]) -> Result:
    """Do a job unless its result is kept already, and keep what came of it.

    Raises:
        JobError: what is there is no result.
        StoreError: the result could not be read or saved.
    """
    if (there := kept.load()) is not None:
        tell(f"{kept.url} is there: the job has been done, and is not done again")
        return read_result(there, kept.url)
    try:
        result = do()
    except AirkeepError as error:
        result = Result(error.exit_status, None, str(error))
    if kept.save(result.json()):
        return result
    tell("another run saved its result first: that one counts")
    return read_result(kept.load() or b"", kept.url)
