"""`--engine athena`: the question in Athena's SQL, printed or run there."""

from __future__ import annotations

from airkeep.cli.context import Context
from airkeep.cli.engines import Asked


def answer(ctx: Context, asked: Asked) -> None:
    """Print the statement, or run it in Athena and show its rows."""
    from airkeep.models.athena import athena_lake, question

    lake = athena_lake(
        ctx.lake(asked.lake, remember=True), environments=asked.environments, at=asked.at
    )
    sql = question(lake, asked.question, asked.models)
    ctx.output.line(sql)
