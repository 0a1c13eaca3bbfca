"""Standard output and standard error that nobody may be reading any more.

A write never raises: what cannot be written is dropped, so that no export fails for a line about
its progress, and the reason is kept for `main`, which has a status for a result that was lost.
Python's own streams raise at every write, and again when the interpreter flushes them at its end.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Stream(io.FileIO):
    """A file descriptor that drops what it cannot write.

    Attributes:
        error: why something was dropped.
    """

    error: OSError | None = None

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            return len(memoryview(data))


def take_streams() -> Stream:
    """Put such streams in the place of Python's; returns the one of standard output."""
    output, error = _descriptor(1, sys.stdout), _descriptor(2, sys.stderr)
    sys.stdout, sys.stderr = _text(output, sys.stdout), _text(error, sys.stderr)
    return output


def _descriptor(number: int, old: TextIO | None) -> Stream:
    if old is None:  # closed, as by `2>&-`: else the next file that is opened gets its number
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return Stream(number, "w", closefd=False)


def _text(stream: Stream, old: TextIO | None) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(stream),
        encoding=old.encoding if old is not None else None,
        errors=old.errors if old is not None else "backslashreplace",
        line_buffering=True,
    )
