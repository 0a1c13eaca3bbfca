"""`airkeep models`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, shared_options, split_names
from airkeep.cli.engines import ATHENA_SETTINGS, Asked, ask_elsewhere, athena_options
from airkeep.cli.output import counted
from airkeep.cli.rows import answer_options, checked_form, moment, new_folder, opened, show

if TYPE_CHECKING:
    from airkeep.lake.connect import OpenLake
    from airkeep.models.catalog import Model

_HEADINGS = {
    "mart": "Marts, each the answer to a question:",
    "staging": "Staging, what marts read: one shape for every Airflow:",
}


@dataclass(frozen=True)
class Listed:
    """A model as a list shows it; the document of --json is a list of these."""

    name: str
    kind: str
    answers: str
    grain: str
    key: tuple[str, ...]
    units: str
    leaves_out: str


@click.command()
@click.argument("lake", required=False)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--list", "list_all", is_flag=True, help="Say what each model, or NAME, answers.")
@click.option("--sql", is_flag=True, help="Print the SQL of NAME and run nothing.")
@click.option("--all", "every_mart", is_flag=True, help="Every mart, each a file of --output.")
@answer_options
@athena_options
@shared_options(*ATHENA_SETTINGS)
def models(
    ctx: Context,
    lake: str | None,
    names: tuple[str, ...],
    *,
    list_all: bool,
    sql: bool,
    every_mart: bool,
    as_of: timedelta | datetime | None,
    environment: tuple[str, ...],
    form: str | None,
    output: Path | None,
    engine: str,
    execute: bool,
) -> None:
    """Answer the question of the model NAME from all that LAKE ever saw.

    `airkeep models --list` says what each one answers; with -v its grain and units, too.

    Several models, or --all, are files of a new folder, --output: success_by_dag_day.parquet.
    """
    if list_all:
        _list(ctx, _named(names))
        return
    if names and every_mart:
        raise click.UsageError("name models, or say --all")
    names = tuple(model.name for model in _named(names))
    where = (split_names(environment), moment(as_of))
    if engine == "spark" and not (execute or sql):
        form = checked_form(form, output, ctx.output, is_text=True)
        made = tuple(names or (m.name for m in _all(marts=every_mart)))
        ask_elsewhere(ctx, engine, Asked(lake or "", "", made, *where, execute, form, output))
        return
    if sql:
        # It needs no lake: one word alone is a model.
        wanted = _all(marts=True) if every_mart else _named(names or filter(None, [lake]))
        ctx.output.line("\n\n".join(model.sql for model in wanted))
        return
    if lake is None or not (names or every_mart):
        raise click.UsageError("name a LAKE and a model, or --list to see which there are")
    wanted = _named(names) or _all(marts=True)
    if len(wanted) > 1:
        if output is None or engine != "duckdb":
            raise click.UsageError("several models need --output FOLDER, and no other engine")
        with opened(ctx, lake, environment, as_of) as (connected, folder):
            _save(ctx, wanted, connected, folder, form, output)
        return
    is_text = engine != "duckdb" and not execute
    form = checked_form(form, output, ctx.output, is_text=is_text)
    if engine != "duckdb":
        asked = Asked(lake, _rows_of(wanted[0]), names, *where, execute, form, output)
        ask_elsewhere(ctx, engine, asked)
        return
    with opened(ctx, lake, environment, as_of) as (connected, folder):
        _make(ctx, wanted, connected, folder)
        show(connected.query(_rows_of(wanted[0])), form, output, ctx.output)


def _save(
    ctx: Context,
    wanted: Sequence[Model],
    lake: OpenLake,
    folder: Path,
    form: str | None,
    output: Path,
) -> None:
    """Write each model to a file of its own, all or none."""
    if form is None or form == "table":
        form = "parquet"
    form = "json" if ctx.output.as_json else form
    with new_folder(output) as part:
        _make(ctx, wanted, lake, folder)
        for model in wanted:
            show(lake.query(_rows_of(model)), form, part / f"{model.name}.{form}", ctx.output)
    ctx.output.note(f"{output}: {counted(len(wanted), f'{form} file')}, one a model")


def _make(ctx: Context, wanted: Sequence[Model], lake: OpenLake, folder: Path) -> None:
    from airkeep.models.build import make_models

    with ctx.output.progress("models") as progress:
        make_models(lake, [model.name for model in wanted], folder, progress=progress)


def _rows_of(model: Model) -> str:
    return f"SELECT * FROM {model.name} ORDER BY {', '.join(model.key)}"


def _named(names: Iterable[str]) -> list[Model]:
    from airkeep.models.catalog import model_named

    found = [model_named(name) for name in names]
    return list({model.name: model for model in found}.values())


def _all(*, marts: bool) -> list[Model]:
    from airkeep.models.catalog import models as known

    return [model for model in known().values() if model.kind == "mart" or not marts]


def _list(ctx: Context, wanted: Sequence[Model]) -> None:
    out = ctx.output
    found = [
        Listed(m.name, m.kind, m.answers, m.grain, m.key, m.units, m.leaves_out)
        for m in sorted(wanted or _all(marts=False), key=lambda m: (m.kind, m.name))
    ]

    def text() -> None:
        kind = ""
        for one in found:
            if one.kind != kind:
                kind = one.kind
                out.line(_HEADINGS[kind])
            out.line(f"  {one.name:<24} {one.answers}")
            if out.verbosity:
                for what in ("grain", "units", "leaves_out"):
                    out.line(f"{'':<26}   {what.replace('_', ' ')}: {getattr(one, what)}")

    out.result(found, text)
