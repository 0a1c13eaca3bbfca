"""The token of a task's Glue job; nothing of Airflow is imported here."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from itertools import count

from airkeep.jobs.record import Record


def next_token(task: str, names: tuple[object, ...], record_of: Callable[[str], Record]) -> str:
    """The first token of a task that has no result yet.

    Another try has the same one as long as the run may be at work, since a worker that died left it
    so, and another one when the run has ended: its result stays what it is.

    Args:
        task: goes into the token, for people.
        names: what the task's instance is told from others by.

    Raises:
        AirkeepError: the records could not be read.
    """
    word = re.sub(r"[^A-Za-z0-9]+", "-", task).strip("-")[:40] or "task"
    first = f"{word}-{sha256('/'.join(map(str, names)).encode()).hexdigest()[:24]}"
    tokens = (f"{first}-{number}" for number in count(1))
    return next(token for token in tokens if record_of(token).result() is None)
