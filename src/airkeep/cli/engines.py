"""Questions for another engine than DuckDB: what each is handed, and which module takes it.

A module of an engine has one function, `answer(ctx, asked)`: it prints the question as that engine
takes it, or runs it there where `--execute` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path

from airkeep.cli.context import Context

_MODULES = {"athena": "airkeep.cli.athena", "spark": "airkeep.cli.spark"}


@dataclass(frozen=True)
class Asked:
    """A question for another engine.

    Attributes:
        lake: as the command line was given it.
        question: one statement in DuckDB's SQL.
        models: those that it reads by name, beside the lake's tables.
        environments: only these; all of them when empty.
        at: as the lake was known at this time; now, when None.
        execute: run it there, and show the rows as `form` says; else print what to run.
        form: table, csv, json or parquet.
        output: a new file for the rows, or for the text.
    """

    lake: str
    question: str
    models: tuple[str, ...]
    environments: tuple[str, ...]
    at: datetime | None
    execute: bool
    form: str
    output: Path | None


def ask_elsewhere(ctx: Context, engine: str, asked: Asked) -> None:
    """Print the question for that engine, or run it there."""
    import_module(_MODULES[engine]).answer(ctx, asked)
