"""Values that no key opens, all of them: an error's one line names the first few."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airkeep.cli.output import Output
from airkeep.errors import DecryptError


@contextmanager
def all_named(out: Output) -> Iterator[None]:
    """Name every value that does not open, a line each, before the error itself."""
    try:
        yield
    except DecryptError as error:
        if len(error.names) > error.shown:
            for name in error.names:
                out.note(f"does not open: {name}")
        raise
