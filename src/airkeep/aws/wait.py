"""Look again and again, within bounds, until something is so.

What may be tried again by its type (AWS too busy, not reached) is looked at again here: a wait of
half an hour does not end because one look in it failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from airkeep.errors import AirkeepError, AwsUnavailableError

Found = TypeVar("Found")


@dataclass(frozen=True)
class Patience:
    """How long to wait, and how often to look.

    Attributes:
        clock: seconds that pass.
        sleep: waits for seconds.
    """

    timeout_s: float
    every_s: float = 10.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


def until(look: Callable[[], Found | None], patience: Patience) -> Found:
    """What `look` finds, as soon as that is not None.

    Raises:
        TimeoutError: it was not found in time; the caller knows what to say of it.
        AwsUnavailableError: nor did the last look get an answer.
    """
    began = patience.clock()
    while True:
        failed: AirkeepError | None = None
        try:
            if (found := look()) is not None:
                return found
        except AwsUnavailableError as error:
            failed = error
        left_s = patience.timeout_s - (patience.clock() - began)
        if left_s <= 0:
            raise failed or TimeoutError
        patience.sleep(min(patience.every_s, left_s))


def answered(ask: Callable[[], Found], patience: Patience) -> Found:
    """What AWS answers, asked again while it is too busy.

    Raises:
        AwsUnavailableError: it was, for all of that time.
    """
    return until(lambda: (ask(),), patience)[0]
