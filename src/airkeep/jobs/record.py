"""The record of a job: what was asked before it was started, and what came of it.

    <folder>/<token>/asked.json      saved first, by whoever asks; never changed
    <folder>/<token>/result.json     saved last, by the job itself, of a refusal too

Both are created if absent, so of two who ask with one token only one has asked, and a job that ran
twice has one result. A folder is `s3://...`, asked with the caller's role, or any other store.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from airkeep.aws import s3
from airkeep.aws.session import HERE, AwsPlace
from airkeep.errors import AirkeepError, AlreadySavedError, JobError, NotFoundError
from airkeep.jobs.job import Result, read_result
from airkeep.store.open import open_store

ASKED, RESULT = "asked.json", "result.json"


@dataclass(frozen=True)
class Record:
    """One job's folder.

    Attributes:
        folder: where the records of jobs are.
    """

    folder: str
    token: str
    place: AwsPlace = HERE

    @property
    def result_url(self) -> str:
        return f"{self.folder.rstrip('/')}/{self.token}/{RESULT}"

    def ask(self, on: str, environment: str, command: Sequence[str], now: datetime) -> bool:
        """Record that this job is wanted; False where it was already.

        Raises:
            JobError: with this token another job was.
            AwsError, StoreError: it could not be saved.
        """
        # One's own document is known again after a lost answer; two of one instant differ.
        told = {**_asked(on, environment, command), "at": now.isoformat(),
                "by": secrets.token_hex(8)}  # fmt: skip
        document = json.dumps(told).encode()
        if save(f"{self.folder.rstrip('/')}/{self.token}/{ASKED}", document, self.place):
            return True
        self.check(on, environment, command)
        return False

    def check(self, on: str, environment: str, command: Sequence[str]) -> None:
        """See that this token has not been asked for another job.

        Raises:
            JobError: it has.
            AwsError, StoreError: the record could not be read.
        """
        text = self._load(ASKED)
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
            AwsError, StoreError: it could not be read.
        """
        text = self._load(RESULT)
        return None if text is None else read_result(text, self.result_url)

    def _load(self, name: str) -> bytes | None:
        return load(f"{self.folder.rstrip('/')}/{self.token}/{name}", self.place)


def _asked(on: str, environment: str, command: Sequence[str]) -> dict[str, object]:
    """What makes two jobs the same."""
    return {"on": on, "environment": environment, "command": list(command)}


def run_once(
    url: str, do: Callable[[], Result], tell: Callable[[str], None], place: AwsPlace = HERE
) -> Result:
    """Do a job unless its result is there, and save what came of it.

    Raises:
        JobError: what is there is no result.
        AwsError, StoreError: the result could not be read or saved.
    """
    if (there := load(url, place)) is not None:
        tell(f"{url} is there: the job has been done, and is not done again")
        return read_result(there, url)
    try:
        result = do()
    except AirkeepError as error:
        result = Result(error.exit_status, None, str(error))
    if save(url, result.json(), place):
        return result
    tell("another run saved its result first: that one counts")
    return read_result(load(url, place) or b"", url)


def save(url: str, data: bytes, place: AwsPlace = HERE) -> bool:
    """Save a small document where there is none; False where there is another.

    Raises:
        AwsError, StoreError: it could not be saved.
    """
    if url.startswith("s3://"):
        return s3.save_object(*s3.split_url(url), data, place)
    folder, _, name = url.rpartition("/")
    try:
        open_store(folder or "/").save(name, data)
    except AlreadySavedError:
        return False
    return True


def load(url: str, place: AwsPlace = HERE) -> bytes | None:
    """A small document; None where there is none.

    Raises:
        AwsError, StoreError: it could not be read.
    """
    if url.startswith("s3://"):
        return s3.load_object(*s3.split_url(url), place)
    folder, _, name = url.rpartition("/")
    try:
        return open_store(folder or "/").load(name)
    except NotFoundError:
        return None
