"""`airkeep shell`: questions one after the other, from a terminal or from a script on stdin."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.rows import lake_options, opened, show
from airkeep.cli.say import say_error
from airkeep.cli.statements import is_command, split
from airkeep.errors import AirkeepError, ConfigError
from airkeep.interrupt import interruptible

if TYPE_CHECKING:
    from airkeep.lake.connect import OpenLake

HELP = """\
SELECT ...;     a question in DuckDB's SQL, over as many lines as it takes, ended by ;
.tables         tables of the newest snapshots; each has a history.NAME, too     (\\dt)
.models         models, and what each one answers; made when first asked
.schema NAME    columns of a table, a history or a model                         (\\d NAME)
.help           this                                                             (\\?)
.quit           leave; Ctrl-D does, too                                          (\\q)
Ctrl-C cancels the question that runs, or clears what is typed. Tab completes."""
_ALIASES = {
    "\\dt": ".tables", "\\d": ".schema", "\\?": ".help", "\\h": ".help", "\\q": ".quit",
    ".exit": ".quit", "exit": ".quit", "quit": ".quit",
}  # fmt: skip


class _LeftError(Exception):
    """`.quit`."""


@click.command()
@click.argument("lake")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    help="How rows are written.  [table]",
)
@lake_options
@shared_options()
def shell(
    ctx: Context,
    lake: str,
    *,
    as_of: timedelta | datetime | None,
    environment: tuple[str, ...],
    form: str,
) -> None:
    """Ask LAKE one question after the other: tables, histories and models are there.

    From a terminal with history and completion; .help says what else. What is piped in is run as a
    script: the first statement that fails ends it, with its exit status.
    """
    listed_by = ".tables lists them, .models the models"
    with opened(ctx, lake, environment, as_of, listed_by=listed_by) as (connected, folder):
        asked = Asked(connected, folder, ctx, "json" if ctx.output.as_json else form)
        if sys.stdin is not None and sys.stdin.isatty():
            _talk(asked)
        else:
            _run_script(asked, "" if sys.stdin is None else sys.stdin.read())


@dataclass(frozen=True)
class Asked:
    """One open lake, and what is typed at it."""

    lake: OpenLake
    folder: Path
    ctx: Context
    form: str

    def statement(self, text: str) -> None:
        """Run a statement and print its rows."""
        from airkeep.models.build import ask

        with self.ctx.output.progress("models") as progress:
            found = ask(self.lake, text, self.folder, progress=progress)
        show(found, self.form, None, self.ctx.output)

    def command(self, line: str) -> None:
        """Run one of the shell's own commands.

        Raises:
            ConfigError: there is no such command.
            _LeftError: it is the one that leaves.
        """
        word, *rest = line.strip().rstrip(";").split()
        name = _ALIASES.get(word.lower(), word)
        if name == ".schema" and not rest:
            name = ".tables"
        if name == ".quit":
            raise _LeftError
        if name == ".tables":
            self.ctx.output.line("\n".join(self.lake.tables()))
        elif name == ".models":
            self._models()
        elif name == ".schema":
            self._schema(rest[0])
        elif name == ".help":
            self.ctx.output.line(HELP)
        else:
            raise ConfigError(f"there is no command {word}: .help shows them")

    def _models(self) -> None:
        from airkeep.models.catalog import models

        for model in sorted(models().values(), key=lambda m: (m.kind, m.name)):
            self.ctx.output.line(f"{model.name:<24} {model.answers}")

    def _schema(self, name: str) -> None:
        from airkeep.lake.histories import in_sql
        from airkeep.models.build import ask

        found = ask(self.lake, f"DESCRIBE {in_sql(name)}", self.folder)
        rows = [[str(column), str(kind)] for column, kind, *_ in found.rows()]
        self.ctx.output.table(["column", "type"], rows)


def _run_script(asked: Asked, text: str) -> None:
    waiting = ""
    for line in text.splitlines(keepends=True):
        if not waiting.strip() and is_command(line):
            try:
                asked.command(line)
            except _LeftError:
                return
            continue
        statements, waiting = split(waiting + line)
        waiting += "\n"
        for statement in statements:
            asked.statement(statement)
    if waiting.strip():
        asked.statement(waiting.strip())


def _talk(asked: Asked) -> None:
    from airkeep.cli.prompt import new_prompt

    known = asked.lake.tables()
    out = asked.ctx.output
    out.note(f"{len(known)} tables; .help says what can be typed, .quit or Ctrl-D leaves")
    prompt = new_prompt(asked.lake, known, _history_file())
    with _own_interrupts():
        while True:
            try:
                _act(asked, prompt())
            except KeyboardInterrupt:
                out.note("cancelled")
            except (EOFError, _LeftError):
                return
            except AirkeepError as error:
                say_error(str(error))


def _act(asked: Asked, text: str) -> None:
    """Run what was typed; a Ctrl-C ends it in DuckDB, too."""

    def act() -> None:
        if is_command(text):
            asked.command(text)
            return
        statements, rest = split(text)
        for statement in [*statements, *([rest] if rest else [])]:
            asked.statement(statement)

    interruptible(act, cancel=asked.lake.db.interrupt)


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Ctrl-C ends a question here, not the process as in every other command."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state, "airkeep", "shell_history")
