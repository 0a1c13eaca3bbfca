"""`--engine athena`: the question in Athena's SQL, printed or run there."""

from __future__ import annotations

from airkeep.cli.context import Context
from airkeep.cli.engines import Asked
from airkeep.cli.rows import show, show_text


def answer(ctx: Context, asked: Asked) -> None:
    """Print the statement, or run it in Athena and show its rows."""
    from airkeep.models.athena import athena_lake, question

    lake = athena_lake(
        ctx.lake(asked.lake, remember=True),
        environments=asked.environments,
        at=asked.at,
        warn=ctx.output.warn,
    )
    sql = question(lake, asked.question, asked.models)
    if not asked.execute:
        show_text(sql, asked.output, ctx.output)
        return

    from airkeep.aws.athena import Place, run
    from airkeep.aws.glue import check_registered
    from airkeep.models.athena import tables_of

    settings = ctx.settings
    place = Place(
        settings.need("athena_database"), settings.athena_workgroup, settings.athena_output
    )
    check_registered(place.database, tables_of(lake, sql))
    show(
        run(sql, place, timeout_s=settings.statement_timeout_s),
        asked.form,
        asked.output,
        ctx.output,
    )
