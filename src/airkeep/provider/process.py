"""airkeep's command line in a process of its own: any command, no shell.

What a DAG run's conf asks for is checked before anything starts: a list of words, the first one of
`INSIDE`. The process is this interpreter's. It is told of a kill, and waited for: an export or a
restore that is stopped leaves nothing half done.

The outcome is saved once, when the command has ended; who finds it there does nothing again. So who
started it may ask twice, and reads the whole outcome or none. Nothing of Airflow is imported here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import Logger
from threading import Thread
from typing import IO, Any

from airkeep.config import Settings
from airkeep.errors import AlreadySavedError, ConfigError, NotFoundError, did_you_mean
from airkeep.jobs.here import stop
from airkeep.jobs.job import INSIDE
from airkeep.store import Store, open_store

MAX_SUMMARY_BYTES = 1 << 20

_LOGIN = re.compile(r"://[^/@\s]*:[^@\s]+@|[?&]password=")


@dataclass(frozen=True)
class Job:
    """A command line, and where its outcome goes: a URL, or nowhere."""

    words: tuple[str, ...]
    result: str = ""


@dataclass(frozen=True)
class Finished:
    """What came of a command: its exit status, what it printed, and its last line of complaint."""

    status: int
    summary: Any = None
    error: str = ""


def read_job(conf: object) -> Job:
    """Read what is asked for.

    Raises:
        ConfigError: it is not understood, no command of airkeep's, or holds a password.
    """
    if not isinstance(conf, Mapping) or not conf.keys() <= {"command", "result"}:
        raise ConfigError('conf: expected {"command": ["export", ...], "result": "URL"}')
    words, result = conf.get("command"), conf.get("result") or ""
    if not isinstance(words, list | tuple) or not all(isinstance(w, str) for w in words):
        raise ConfigError('command: expected a list of words: ["verify", "-", "latest"]')
    if not isinstance(result, str) or (result and "/" not in result):
        raise ConfigError("result: expected a URL or a path of a file: s3://bucket/results/1.json")
    first = words[0] if words else ""
    if first not in INSIDE:
        raise ConfigError(
            f"command: {first!r} cannot be run by a task{did_you_mean(first, INSIDE)}: expected "
            f"one of {', '.join(INSIDE)}"
        )
    if any("\0" in word or _LOGIN.search(word) for word in words):
        raise ConfigError(
            "command: it holds a password, which Airflow would keep with the run: write env:, or "
            "- for the database of the task's own settings"
        )
    return Job(tuple(words), result)


def variables_of(
    settings: Settings, environ: Mapping[str, str], *, aws_region: str = "", address: str = ""
) -> dict[str, str]:
    """The environment of a command that is to mean what its task means.

    Args:
        settings: the task's: an argument stands over a variable, in the command too.
        address: of the task's connection, which stands over both; empty without one.
    """
    told = {
        "AWS_REGION": aws_region,
        "AWS_DEFAULT_REGION": aws_region,
        "AIRKEEP_LAKE": settings.lake,
        "AIRKEEP_ENVIRONMENT": settings.environment,
        "AIRKEEP_DATABASE": address or settings.database or "env:",
    }
    return {**environ, **{name: value for name, value in told.items() if value}}


def run_command(words: Sequence[str], *, environ: Mapping[str, str], log: Logger) -> Finished:
    """Run a command to its end; what it tells people goes to the log, line by line.

    However this ends, its process does, too.
    """
    given = [*words] if "--json" in words else [*words, "--json"]
    log.info("airkeep %s", " ".join(given))
    with subprocess.Popen(  # noqa: S603 - this interpreter, words that were checked, no shell
        [sys.executable, "-m", "airkeep.cli", *given],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - both are pipes
        assert process.stderr is not None  # noqa: S101
        last: list[str] = []
        telling = Thread(target=_tell, args=(process.stderr, log, last), daemon=True)
        telling.start()
        try:
            said = process.stdout.read()
            status = process.wait()
        except BaseException:
            stop(process)
            raise
        telling.join()
    return Finished(status, _summary(said), last[0] if status and last else "")


def _tell(stream: IO[str], log: Logger, last: list[str]) -> None:
    for line in stream:
        log.info("%s", line.rstrip())
        last[:] = [line.rstrip()]


def _summary(said: str) -> Any:
    """What a command printed: a JSON document where it is one."""
    if len(said) > MAX_SUMMARY_BYTES:
        return f"{len(said):,} characters, too many to keep: use the command's --output"
    try:
        return json.loads(said)
    except ValueError:
        return said.strip() or None


@dataclass(frozen=True)
class Outcome:
    """Where what came of a command is saved: one file of a store."""

    store: Store
    name: str

    @classmethod
    def at(cls, url: str, options: Mapping[str, str]) -> Outcome:
        """The file at a URL or a path; the options are the store's."""
        folder, _, name = url.rpartition("/")
        if not name:
            raise ConfigError(f"result: {url} ends in a slash and names no file")
        return cls(open_store(folder or "/", options=options), name)

    def load(self) -> Finished | None:
        """What is there; None where nothing is."""
        try:
            document = json.loads(self.store.load(self.name))
        except NotFoundError:
            return None
        except ValueError:
            document = None
        if not isinstance(document, dict) or not isinstance(document.get("status"), int):
            raise ConfigError(f"result: {self.store.url}/{self.name} is there, and no outcome")
        error = document.get("error")
        return Finished(document["status"], document.get("summary"), str(error or ""))

    def save(self, done: Finished) -> Finished:
        """Save it, once and for good; what is there then, which may be another run's."""
        try:
            self.store.save(self.name, json.dumps(vars(done), indent=1).encode() + b"\n")
        except AlreadySavedError:
            return self.load() or done
        return done
