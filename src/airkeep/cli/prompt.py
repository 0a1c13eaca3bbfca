"""The line that a person types at the shell: its history, its completion, where it ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airkeep.cli.statements import is_whole

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import History

    from airkeep.lake.connect import OpenLake

PROMPT, CONTINUED = "airkeep> ", "    ...> "
COMMANDS = (".tables", ".models", ".schema", ".help", ".quit")
KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "JOIN", "LEFT JOIN",
    "USING", "WITH", "AS", "AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS NULL", "IS NOT NULL",
    "DISTINCT", "UNION ALL", "CASE", "WHEN", "THEN", "ELSE", "END", "OVER", "PARTITION BY", "DESC",
    "COUNT(", "SUM(", "AVG(", "MIN(", "MAX(", "COALESCE(", "CAST(", "INTERVAL", "TIMESTAMP",
)  # fmt: skip
_WORD = re.compile(r"(?:\bhistory\.|[.\\])?\w*$", re.IGNORECASE)


def new_prompt(lake: OpenLake, tables: Sequence[str], history: Path) -> Callable[[], str]:
    """A function that asks for the next line, or for the lines of the next statement.

    It raises `EOFError` at Ctrl-D and `KeyboardInterrupt` at Ctrl-C.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.filters import Condition

    session: PromptSession[str] = PromptSession(
        history=_history(history),
        completer=_completer(lake, tables),
        complete_while_typing=False,
        multiline=Condition(lambda: not is_whole(session.default_buffer.text)),
        prompt_continuation=CONTINUED,
    )
    return lambda: session.prompt(PROMPT)


def words(lake: OpenLake, tables: Sequence[str], text: str) -> Iterator[str]:
    """What may stand at the end of `text`: commands, or columns, tables, models, keywords."""
    from airkeep.models.catalog import models

    if re.fullmatch(r"\s*[.\\]\w*", text):
        yield from COMMANDS
        return
    known = [*tables, *_histories(tables, text), *models()]
    named = set(re.findall(r"(?:\bhistory\.)?\w+", text))
    for name in known:
        if name in named and (name not in models() or lake.has(name)):
            yield from lake.columns(name)
    yield from known
    if not text.lstrip().startswith((".", "\\")):
        yield from KEYWORDS


def _histories(tables: Sequence[str], text: str) -> Iterator[str]:
    """The short names, and those that a table of Airflow's own has not taken."""
    schema = re.search(r"\bhistory\.", text, re.IGNORECASE)
    for table in tables:
        yield f"{table}_history"
        if schema or f"{table}_history" in tables:
            yield f"history.{table}"


def _completer(lake: OpenLake, tables: Sequence[str]) -> Completer:
    from prompt_toolkit.completion import Completer, Completion

    class OfTheLake(Completer):
        def get_completions(
            self, document: Document, complete_event: CompleteEvent
        ) -> Iterator[Completion]:
            before = document.text_before_cursor
            found = _WORD.search(before)
            begun = found[0] if found else ""
            fitting = (
                word
                for word in words(lake, tables, before)
                if word.lower().startswith(begun.lower())
            )
            for word in dict.fromkeys(fitting):
                yield Completion(word, start_position=-len(begun))

    return OfTheLake()


def _history(file: Path) -> History:
    """The lines of earlier sessions; of this one only where they cannot be kept."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))
