r"""A script's lines as psql reads them: what is SQL, what are rows of COPY, what is inside a quote.

A text may hold anything, a line that reads `INSERT INTO ...` or `\.` too. Only a line that begins
outside of quotes, comments and rows begins a statement, or is a command of psql's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum, auto

NAME = rb'((?:"(?:[^"]|"")*"|[^\s"])+)'  # of a table, with its schema
COPY = re.compile(rb"COPY " + NAME + rb" (?:\(.*\) )?FROM stdin;\s*$")
_COMMAND = b"\\"
_UNESCAPED = re.compile(rb"SET standard_conforming_strings = off;")
_OPENS = re.compile(
    rb"(?P<comment>--)|(?P<block>/\*)|(?P<name>\")|(?P<escaped>(?<![\w$])[eE]')|(?P<text>')"
    rb"|(?P<dollar>(?<![\w$])\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$)"
)
_GOES_ON = {
    "name": re.compile(rb"\""),
    "text": re.compile(rb"'"),  # one that is doubled ends a text and begins the next
    "escaped": re.compile(rb"(?:\\.|'')|(?P<end>')", re.DOTALL),
    "block": re.compile(rb"(?P<more>/\*)|\*/"),
}


class Kind(Enum):
    """What a line is: SQL that begins outside of a quote, the rest of a quote, a row, rows' end."""

    STATEMENT = auto()
    INSIDE = auto()
    ROW = auto()
    END_OF_ROWS = auto()


def told(lines: Iterable[bytes]) -> Iterator[tuple[Kind, bytes]]:
    r"""Each line of a script, and what it is."""
    quotes, copying = _Quotes(), False
    for line in lines:
        if copying:
            copying = line.rstrip(b"\n") != b"\\."
            yield (Kind.ROW if copying else Kind.END_OF_ROWS), line
        elif quotes.are_open:
            yield Kind.INSIDE, line
            quotes.read(line)
        else:
            yield Kind.STATEMENT, line
            copying = COPY.match(line) is not None
            if _UNESCAPED.match(line):
                quotes.plain = "escaped"
            if not copying and not line.startswith(_COMMAND):
                quotes.read(line)


class _Quotes:
    """Which quote or comment is open after the lines read so far.

    Attributes:
        plain: what kind a quote without a letter before it is, by the script's own setting.
    """

    def __init__(self) -> None:
        self.plain = "text"
        self._end: re.Pattern[bytes] | None = None
        self._depth = 0

    @property
    def are_open(self) -> bool:
        return self._end is not None

    def read(self, line: bytes) -> None:
        at = 0
        while at >= 0:
            at = self._open(line, at) if self._end is None else self._close(line, at, self._end)

    def _open(self, line: bytes, at: int) -> int:
        """Where to go on after what opens next; -1 when the line is done."""
        found = _OPENS.search(line, at)
        if found is None or found.lastgroup is None or found.lastgroup == "comment":
            return -1
        kind = self.plain if found.lastgroup == "text" else found.lastgroup
        self._end = _GOES_ON.get(kind) or re.compile(re.escape(found[0]))
        self._depth = 1
        return found.end()

    def _close(self, line: bytes, at: int, end: re.Pattern[bytes]) -> int:
        found = end.search(line, at)
        if found is None:
            return -1
        if end is _GOES_ON["escaped"]:
            self._depth = 0 if found["end"] else 1
        elif end is _GOES_ON["block"]:
            self._depth += 1 if found["more"] else -1
        else:
            self._depth = 0
        if not self._depth:
            self._end = None
        return found.end()
