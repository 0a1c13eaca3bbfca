"""What a job is: a command line, a token that makes it one job, and what came of it. No I/O.

The result is a small JSON document that the job itself saves when its command has ended:
`{"status": 0, "summary": ..., "error": ""}`. Of those keys only `status` must be there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from airkeep.errors import ConfigError, JobError, did_you_mean

# What a job may run, wherever it runs; each of them knows --json.
INSIDE = (
    "export", "adopt", "snapshots", "show", "verify", "restore", "upgrade", "prune", "query",
    "models", "cost", "plan-sleep", "register", "diff", "clean", "compact", "iam",
    "rekey",
)  # fmt: skip
_FROM_OUTSIDE = "it is about an environment as seen from outside of it: run it where you are"
# What no job runs, and why.
OUTSIDE = {
    "shell": "it waits for somebody at a terminal",
    "key": "its answer is a secret, and what a job prints is kept",
    "report": "it writes a file, and a job's disk is gone when it ends: run it where you are",
    "job": "a job starts no other one",
    **dict.fromkeys(("up", "down", "status", "env", "schedule"), _FROM_OUTSIDE),
}
MAX_SUMMARY_BYTES = 1 << 20  # a result elsewhere keeps no more, and says so
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
# A URL with a password, or libpq's words for one: a job's arguments are shown in consoles.
_PASSWORD = re.compile(r"://[^/\s@]*:[^@]*@|\bpassword=", re.IGNORECASE)


@dataclass(frozen=True)
class Result:
    """What a command that has ended left behind.

    Attributes:
        status: its exit status.
        summary: the JSON document that it printed, else its text; `{"cut": bytes}` of more than a
            result keeps, never a part.
        error: the last line that it complained with.
    """

    status: int
    summary: Any = None
    error: str = ""

    def json(self) -> bytes:
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True)
class Outcome:
    """A job that has ended.

    Attributes:
        on: `glue`, `dag` or `here`.
        token: asked for with it again, the same outcome comes back.
        run: the id of Glue's or Airflow's run.
        logs: where they are.
    """

    on: str
    token: str
    run: str
    logs: str
    result: Result


def cut_bytes(result: Result) -> int:
    """How much the command printed, where that was too much to keep; else 0."""
    told = result.summary
    found = told.get("cut") if isinstance(told, dict) and len(told) == 1 else 0
    return found if isinstance(found, int) else 0


def told_of_cut(printed_bytes: int) -> str:
    """What is said of a summary that was too long."""
    return (
        f"the command printed {printed_bytes:,} bytes, more than a job's result keeps "
        f"({MAX_SUMMARY_BYTES:,}): none of it is kept"
    )


def read_result(text: str | bytes, where: str) -> Result:
    """The result of a document.

    Raises:
        JobError: it is none.
    """
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("status"), int):
        raise JobError(f"{where} is no result of a job: expected JSON with a status")
    return Result(told["status"], told.get("summary"), str(told.get("error") or ""))


def check_command(command: object) -> list[str]:
    """The command as a list, where it may be a job's.

    Raises:
        ConfigError: it is none, or holds a password: arguments of jobs are no place for one.
    """
    words = list(command) if isinstance(command, list | tuple) else []
    if not words or not all(_is_word(word) for word in words):
        raise ConfigError(
            'a job needs a command, a list of words without airkeep: ["export", "env:", "-"]'
        )
    name = words[0]
    if name in OUTSIDE:
        raise ConfigError(f"{name} cannot be a job's command: {OUTSIDE[name]}")
    if name not in INSIDE:
        raise ConfigError(
            f"{name!r} is no command for a job{did_you_mean(name, INSIDE)}: expected one of "
            f"{', '.join(INSIDE)}"
        )
    if any(_PASSWORD.search(word) for word in words):
        raise ConfigError(
            "the job's command holds a password, which consoles and records would show: write "
            "env:, a job knows the address of its database"
        )
    return words


def _is_word(word: object) -> bool:
    return isinstance(word, str) and "\0" not in word  # which no process takes


def as_json(command: Sequence[str]) -> list[str]:
    """The command with --json, so that its result is a document."""
    if "--json" in command:
        return list(command)
    end = command.index("--") if "--" in command else len(command)
    return [*command[:end], "--json", *command[end:]]


def check_token(token: str) -> str:
    """The token itself.

    Raises:
        ConfigError: it cannot be one.
    """
    if not TOKEN.fullmatch(token):
        raise ConfigError(f"{token!r} is no token: 1 to 80 of A-Z a-z 0-9 . _ - (--token)")
    return token


def make_token(now: datetime, chance: str) -> str:
    """A token of its own: `20261121T143022Z-1f0c9a3e`."""
    return f"{now:%Y%m%dT%H%M%SZ}-{chance}"
