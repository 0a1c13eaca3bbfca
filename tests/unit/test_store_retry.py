"""How often, how long, and by which clock a store is asked again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airkeep.errors import NotFoundError, UnavailableError
from airkeep.store import Retry


class Time:
    """A clock that moves only when someone sleeps, or as an action says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def policy(self, *, attempts: int = 8, total_s: float = 120, jitter: float = 0) -> Retry:
        return Retry(
            attempts=attempts,
            total_s=total_s,
            clock=lambda: self.now,
            sleep=self.sleep,
            jitter=lambda: jitter,
        )


def test_what_succeeds_is_done_once_and_no_one_sleeps() -> None:
    time = Time()
    assert time.policy().run(lambda: "done") == "done"
    assert time.slept == []


def test_what_passes_is_waited_out_longer_each_time() -> None:
    time = Time()
    calls: list[float] = []

    def action() -> str:
        calls.append(time.now)
        if len(calls) < 5:
            raise UnavailableError("busy")
        return "done"

    assert time.policy().run(action) == "done"
    assert time.slept == [0.2, 0.4, 0.8, 1.6]


def test_what_stays_is_told_after_the_last_attempt() -> None:
    time = Time()
    calls: list[float] = []

    def action() -> None:
        calls.append(time.now)
        raise UnavailableError(f"busy {len(calls)}")

    with pytest.raises(UnavailableError, match="busy 4"):
        time.policy(attempts=4).run(action)
    assert len(calls) == 4
    assert len(time.slept) == 3  # none after the last


def test_what_another_attempt_cannot_change_is_told_at_once() -> None:
    time = Time()

    def action() -> None:
        raise NotFoundError("a", "here")

    with pytest.raises(NotFoundError):
        time.policy().run(action)
    assert time.slept == []


def test_slow_failures_end_with_the_total_time() -> None:
    time = Time()
    calls: list[float] = []

    def action() -> None:
        calls.append(time.now)
        time.now += 50
        raise UnavailableError("timed out")

    with pytest.raises(UnavailableError):
        time.policy(total_s=120).run(action)
    assert len(calls) == 3


@given(attempts=st.integers(1, 12), total_s=st.floats(0, 300), jitter=st.floats(0, 1))
def test_waiting_is_bounded_by_attempts_and_time(
    attempts: int, total_s: float, jitter: float
) -> None:
    time = Time()

    def action() -> None:
        raise UnavailableError("busy")

    policy = time.policy(attempts=attempts, total_s=total_s, jitter=jitter)
    with pytest.raises(UnavailableError):
        policy.run(action)
    assert len(time.slept) < attempts
    assert sum(time.slept) <= total_s
    assert all(0 < wait <= policy.longest_wait_s for wait in time.slept)
