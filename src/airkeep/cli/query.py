"""`airkeep query`."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import click

from airkeep.cli.context import Context, shared_options, split_names
from airkeep.cli.engines import Asked, ask_elsewhere
from airkeep.cli.rows import answer_options, checked_form, moment, opened, show


@click.command()
@click.argument("lake")
@click.argument("question", required=False)
@click.option("--tables", "list_tables", is_flag=True, help="List the tables that can be asked.")
@answer_options
@shared_options()
def query(
    ctx: Context,
    lake: str,
    question: str | None,
    *,
    as_of: timedelta | datetime | None,
    environment: tuple[str, ...],
    list_tables: bool,
    form: str,
    output: Path | None,
    engine: str,
    execute: bool,
) -> None:
    """Ask LAKE a QUESTION in DuckDB's SQL.

    dag_run is the newest state of every environment, dag_run_history every version of every row
    ever seen, with valid_from and valid_to; so for every table. Times are UTC. The question is
    written in DuckDB's SQL whatever the engine.
    """
    if (question is None) != list_tables:
        raise click.UsageError("write a question, or --tables to see what can be asked")
    form = checked_form(form, output, ctx.output)
    if question is not None and engine != "duckdb":
        only = split_names(environment)
        asked = Asked(lake, question, (), only, moment(as_of), execute, form, output)
        ask_elsewhere(ctx, engine, asked)
        return
    with opened(ctx, lake, environment, as_of) as (connected, _):
        if question is None:
            tables = connected.tables()
            ctx.output.result(tables, lambda: ctx.output.line("\n".join(tables)))
        else:
            show(connected.query(question), form, output, ctx.output)
