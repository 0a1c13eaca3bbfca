"""When a store does not answer: try again, a bounded number of times and a bounded time.

Only errors whose type says so (`retryable`) are tried again; whether a deed is safe to
repeat is decided by who calls. obstore retries too, inside one transfer (a part of an
upload, the rest of a download); it is told the same limits.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from airkeep.errors import AirkeepError

T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """How often, how long, and by which clock.

    The waits double from the first to the longest, each shortened by up to a half at
    random, so that many clients of a store that is slowing down do not return together.
    The defaults give up after about 20 s of refusals; S3's SlowDown rarely lasts longer.
    """

    attempts: int = 8
    total_s: float = 120.0  # no new attempt after this; obstore asks for less than 5 minutes
    first_wait_s: float = 0.2
    longest_wait_s: float = 10.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def run(self, action: Callable[[], T]) -> T:
        """Return what the action returns, from its first attempt that does not fail.

        Raises:
            AirkeepError: the last failure, or the first that is not worth another attempt.
        """
        started = self.clock()
        attempt = 1
        while True:
            try:
                return action()
            except AirkeepError as error:
                wait_s = self._wait_s(attempt)
                late = self.clock() - started + wait_s > self.total_s
                if not error.retryable or attempt >= self.attempts or late:
                    raise
            self.sleep(wait_s)
            attempt += 1

    def _wait_s(self, attempt: int) -> float:
        longest = min(self.longest_wait_s, self.first_wait_s * 2 ** (attempt - 1))
        return float(longest * (1 - self.jitter() / 2))
