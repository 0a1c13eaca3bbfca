"""What an Airflow's log complains about, without statements, parameters, rows or keys.

SQLAlchemy and PostgreSQL put whole rows into their messages, and a value in a row may have lines of
its own, which look like anything: what follows such a row is left out until a database's exception
begins. Quoted texts are values too, but for the names of what a database is made of.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_COMPLAINT = re.compile(r"(error|exception|failed|critical|can't locate|fatal)\b.*", re.IGNORECASE)
# Behind these are statements and whole rows, on as many lines as they have.
_ROWS = re.compile(r"^\s*(\[SQL|\[parameters|DETAIL|CONTEXT|LINE \d)")
_ASIDE = re.compile(r"^\s*(\(Background|HINT|File \")|^ {4}")  # and indented lines of code
# A traceback may be a value, too: those of DAGs are in rows. Theirs are seldom of these.
_EXCEPTION = re.compile(r"^(sqlalchemy|psycopg2|asyncpg|sqlite3|alembic)(\.\w+)+(:|$)")
_NAME = re.compile(
    r"\b(?:relation|column|constraint|table|index|sequence|schema|identified by) "
    r"(?:\"\w+\"|'\w+')",
    re.IGNORECASE,
)
_QUOTE = re.compile(r"\"|(?<![a-z]{2})'|'(?!(?:t|s)\b)", re.IGNORECASE)  # "can't" has none
_SHOWN, _WIDE = 3, 240


def complaints(output: str, hide: Sequence[str] = ()) -> list[str]:
    """The last lines of a log that complain.

    Args:
        hide: texts that are never shown; of several keys in one, none is.
    """
    secrets = [part for text in hide for part in (text, *map(str.strip, text.split(","))) if part]
    found, in_rows = [], False
    for line in output.splitlines():
        if _ROWS.match(line):
            in_rows = True
        begins = _EXCEPTION.match(line)
        if (in_rows and not begins) or _ASIDE.match(line):
            continue
        shown, goes_on = _without_values(_without(secrets, line))
        in_rows = goes_on and bool(begins or _COMPLAINT.search(line))
        if match := _COMPLAINT.search(shown):
            found.append(shown[max(0, match.start() - 60) :].strip()[:_WIDE])
    return list(dict.fromkeys(found))[-_SHOWN:]


def _without(secrets: Sequence[str], line: str) -> str:
    for secret in secrets:
        line = line.replace(secret, "***")
    return line


def _without_values(line: str) -> tuple[str, bool]:
    """A line up to its first quoted value, and whether that goes on in the next line."""
    names = [match.span() for match in _NAME.finditer(line)]
    quotes = [
        match
        for match in _QUOTE.finditer(line)
        if not any(start <= match.start() < end for start, end in names)
    ]
    if not quotes:
        return line, False
    kinds = [match[0] for match in quotes]
    return f"{line[: quotes[0].start()]}(a value)", kinds.count(kinds[0]) % 2 == 1
