"""`airkeep models`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import click

from airkeep.cli.context import Context, shared_options, split_names
from airkeep.cli.engines import Asked, ask_elsewhere
from airkeep.cli.rows import answer_options, checked_form, moment, opened, show


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
@click.argument("name", required=False)
@click.option("--list", "list_all", is_flag=True, help="Say what each model answers.")
@click.option("--sql", is_flag=True, help="Print the SQL of NAME and run nothing.")
@answer_options
@shared_options()
def models(
    ctx: Context,
    lake: str | None,
    name: str | None,
    *,
    list_all: bool,
    sql: bool,
    as_of: timedelta | datetime | None,
    environment: tuple[str, ...],
    form: str,
    output: Path | None,
    engine: str,
    execute: bool,
) -> None:
    """Answer the question of the model NAME from all that LAKE ever saw.

    `airkeep models --list` says what each one answers; with -v its grain and units, too.
    """
    from airkeep.models.build import make_models
    from airkeep.models.catalog import model_named
    from airkeep.models.catalog import models as known

    if list_all:
        _list(ctx)
        return
    if engine == "spark" and name is None and not execute:
        only, at = split_names(environment), moment(as_of)
        asked = Asked(lake or "", "", tuple(known()), only, at, execute, form, output)
        ask_elsewhere(ctx, engine, asked)
        return
    if lake is None or name is None:
        raise click.UsageError("name a LAKE and a model, or --list to see which there are")
    model = model_named(name)
    if sql:
        ctx.output.line(model.sql)
        return
    form = checked_form(form, output, ctx.output)
    question = f"SELECT * FROM {name} ORDER BY {', '.join(model.key)}"
    if engine != "duckdb":
        only = split_names(environment)
        asked = Asked(lake, question, (name,), only, moment(as_of), execute, form, output)
        ask_elsewhere(ctx, engine, asked)
        return
    with opened(ctx, lake, environment, as_of) as (connected, folder):
        with ctx.output.progress("models") as progress:
            make_models(connected, [name], folder, progress=progress)
        show(connected.query(question), form, output, ctx.output)


def _list(ctx: Context) -> None:
    from airkeep.models.catalog import models as known

    out = ctx.output
    found = [
        Listed(m.name, m.kind, m.answers, m.grain, m.key, m.units, m.leaves_out)
        for m in known().values()
    ]

    def text() -> None:
        for one in found:
            out.line(f"{one.name:<24} {one.answers}")
            if out.verbosity:
                for what in ("grain", "units", "leaves_out"):
                    out.line(f"{'':<24}   {what.replace('_', ' ')}: {getattr(one, what)}")

    out.result(found, text)
