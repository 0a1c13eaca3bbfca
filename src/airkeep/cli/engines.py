"""Questions for another engine than DuckDB: what each is handed, and which module takes it.

A module of an engine has one function, `answer(ctx, asked)`: it prints the question as that engine
takes it, or runs it there where `--execute` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from airkeep.cli.context import Command, Context, setting_option

ATHENA_SETTINGS = ("athena_database", "athena_workgroup", "athena_output")
_OPTIONS = (
    setting_option(
        "athena_database", "--athena-database", help="Where the lake is registered for Athena."
    ),
    setting_option("athena_workgroup", "--athena-workgroup", help="Athena's workgroup.  [primary]"),
    setting_option(
        "athena_output", "--athena-output", help="s3://... for Athena's results.  [the workgroup's]"
    ),
)
_MODULES = {"athena": "airkeep.cli.athena", "spark": "airkeep.cli.spark"}


@dataclass(frozen=True)
class Asked:
    """A question for another engine.

    Attributes:
        lake: as the command line was given it.
        question: one statement in DuckDB's SQL; empty to make the models, for Spark only.
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


def athena_options(function: Command) -> Command:
    """The flags that say where Athena runs; `shared_options` must be told `ATHENA_SETTINGS`."""
    decorated: Any = function
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    result: Command = decorated
    return result


def ask_elsewhere(ctx: Context, engine: str, asked: Asked) -> None:
    """Print the question for that engine, or run it there."""
    import_module(_MODULES[engine]).answer(ctx, asked)
