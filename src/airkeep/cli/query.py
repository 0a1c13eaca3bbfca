"""`airkeep query`."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import click

from airkeep.cli.context import Context, shared_options, split_names
from airkeep.cli.engines import ATHENA_SETTINGS, Asked, ask_elsewhere, athena_options
from airkeep.cli.rows import answer_options, checked_form, moment, opened, show


@click.command()
@click.argument("lake")
@click.argument("question", required=False)
@click.option("--tables", "list_tables", is_flag=True, help="List the tables that can be asked.")
@answer_options
@athena_options
@shared_options(*ATHENA_SETTINGS)
def query(
    ctx: Context,
    lake: str,
    question: str | None,
    *,
    as_of: timedelta | datetime | None,
    environment: tuple[str, ...],
    list_tables: bool,
    form: str | None,
    output: Path | None,
    engine: str,
    execute: bool,
) -> None:
    """Ask LAKE a QUESTION in DuckDB's SQL.

    dag_run is the newest state of every environment, dag_run_history every version of every row
    ever seen, with valid_from and valid_to; so for every table. history.dag_run is the same, and
    what to ask where Airflow has a table of that name: task_instance_history is Airflow's own,
    history.task_instance every version. A model (`airkeep models --list`) is a table, too, and goes
    before a table of the database that has its name. Capitals do not matter. Times are UTC. The
    question is written in DuckDB's SQL whatever the engine. It may read files of this machine,
    read_csv('mine.csv'), and writes none but --output.
    """
    from airkeep.models.build import ask
    from airkeep.models.catalog import models_in

    if (question is None) != list_tables:
        raise click.UsageError("write a question, or --tables to see what can be asked")
    is_text = engine != "duckdb" and not execute
    form = checked_form(form, output, ctx.output, is_text=is_text)
    if question is not None and engine != "duckdb":
        named, only = tuple(models_in(question)), split_names(environment)
        asked = Asked(lake, question, named, only, moment(as_of), execute, form, output)
        ask_elsewhere(ctx, engine, asked)
        return
    with opened(ctx, lake, environment, as_of) as (connected, folder):
        if question is None:
            tables = connected.tables()
            ctx.output.result(tables, lambda: ctx.output.line("\n".join(tables)))
        else:
            show(ask(connected, question, folder), form, output, ctx.output)
