"""An error of airkeep's as a task's failure: one line, and whether another try could mend it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airkeep.errors import (
    AddressError,
    AirkeepError,
    ConfigError,
    MissingExtraError,
    NotAirflowError,
    PlainSecretError,
    SecretError,
)
from airkeep.provider.compatibility import AirflowException, AirflowFailException

# What is so, however often it is tried.
_HOPELESS = (
    ConfigError, MissingExtraError, AddressError, NotAirflowError, SecretError, PlainSecretError,
)  # fmt: skip


@contextmanager
def failures_of_tasks() -> Iterator[None]:
    """Make an error of airkeep's the task's, in its own one line."""
    try:
        yield
    except _HOPELESS as error:
        failed: AirflowException = AirflowFailException(f"airkeep: {error}")
    except AirkeepError as error:
        failed = AirflowException(f"airkeep: {error}")
    else:
        return
    raise failed from None
