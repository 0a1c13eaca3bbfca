"""What a DAG run asks for, and what its command is told; nothing of Airflow is imported here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from airkeep.config import Settings
from airkeep.errors import ConfigError

_FILE = re.compile(r".*/[^/]+", re.DOTALL)
_PATH = re.compile(r"/(?!\*)|\.{1,2}(/|$)|~|file:", re.IGNORECASE)  # and no comment of SQL
_SCRATCH = "--spool"


@dataclass(frozen=True)
class Asked:
    """A command as it was asked for, and where its result goes: a URL, a path, or nowhere."""

    command: object
    result: str = ""


def read_conf(conf: object) -> Asked:
    """A DAG run's conf. The command in it is looked at when its result has a place.

    Raises:
        ConfigError: it is not understood.
    """
    if not isinstance(conf, Mapping) or not conf.keys() <= {"command", "result"}:
        raise ConfigError('conf: expected {"command": ["export", ...], "result": "URL"}')
    result = conf.get("result") or ""
    if not isinstance(result, str) or (result and not _FILE.fullmatch(result)):
        raise ConfigError("result: expected a file's URL or path: s3://bucket/results/1.json")
    return Asked(conf.get("command"), result)


def check_no_folder(words: Sequence[str]) -> None:
    """Refuse a path of the job's own disk, which is gone when it ends.

    Only what is plainly a path, for which word is a lake, the command line alone knows; a job's own
    scratch space may be one.

    Raises:
        ConfigError: there is one.
    """
    for before, word in pairwise(words):
        if _PATH.match(word) and before != _SCRATCH:
            raise ConfigError(
                f"{word} is a folder or a file of the job's own machine, gone when the job ends: "
                f"expected a URL such as s3://bucket/lake, or -"
            )


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
