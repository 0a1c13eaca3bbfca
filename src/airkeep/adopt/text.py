"""CSV files as rows of text, with the line of each: what is damaged is told by file and line."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, cast

from airkeep.errors import BadBackupError

_GZIP = b"\x1f\x8b"
_MAX_FIELD = 1 << 30  # PostgreSQL's own limit of a value


@dataclass(frozen=True)
class TextFile:
    """One CSV file: `path` is its name in messages."""

    path: str
    file: Path
    delimiter: str = ","

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Each record and the line where it ends, the header too where there is one.

        Raises:
            BadBackupError: it cannot be unpacked, is no UTF-8, its quotes do not fit, or it ends
                within a line.
        """
        line = 0
        with _fields_of_any_length(), self._open() as opened:
            reader = csv.reader(self._lines(opened), delimiter=self.delimiter, strict=True)
            try:
                for row in reader:
                    line = reader.line_num
                    yield line, row
            except (EOFError, gzip.BadGzipFile, zlib.error):
                raise self.bad(line, "the gzip file is cut off or damaged after it") from None
            except csv.Error as error:
                raise self.bad(reader.line_num, f"this is no CSV ({error})") from None

    def _lines(self, opened: Iterable[str]) -> Iterator[str]:
        """Its lines. Each is looked at here: a decoder's error knows its block, not its line."""
        number, line = 0, "\n"
        for number, line in enumerate(opened, 1):
            if not _is_utf8(line):
                raise self.bad(number, "this is not UTF-8")
            if "\0" in line:
                raise self.bad(number, "a zero byte, which no text of a database has")
            yield line
        if not line.endswith(("\n", "\r")):
            raise self.bad(number, "the file is cut off: it ends within this line")

    def first(self) -> list[str] | None:
        """The first record, None of an empty file."""
        rows = self.rows()
        try:
            return next(rows, (0, None))[1]
        finally:
            rows.close()  # type: ignore[attr-defined]

    def bad(self, line: int, what: str) -> BadBackupError:
        """The error of a place in this file."""
        return BadBackupError(
            f"{self.path}, line {line}: {what}. Bring the file again from where it was kept, or "
            f"leave its table out with --skip."
        )

    @contextmanager
    def _open(self) -> Iterator[IO[str]]:
        with self.file.open("rb") as raw, ExitStack() as stack:
            packed: IO[bytes] = raw
            if raw.peek(2)[:2] == _GZIP:
                packed = cast("IO[bytes]", stack.enter_context(gzip.open(raw)))
            with TextIOWrapper(
                packed, encoding="utf-8-sig", errors="surrogateescape", newline=""
            ) as text:
                yield text


def _is_utf8(line: str) -> bool:
    """Whether it was: a byte that is not came as half a surrogate pair, which is no text."""
    if line.isascii():
        return True
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    """The csv module refuses values above 128 kB until it is told otherwise, for the process."""
    before = csv.field_size_limit(_MAX_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)
