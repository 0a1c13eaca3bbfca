"""`--engine spark`: print a script that answers on any Spark, or run the same in this process."""

from __future__ import annotations

from pathlib import Path

from airkeep.cli.context import Context
from airkeep.cli.engines import Asked
from airkeep.cli.rows import show, show_text


def answer(ctx: Context, asked: Asked) -> None:
    """Print the script, or run here what it runs and show the rows."""
    from airkeep.models.job import answer as answer_of
    from airkeep.models.job import opened
    from airkeep.models.script import job_of, script_of
    from airkeep.snapshot.names import make_id

    lake = ctx.lake(asked.lake).url if asked.lake else None
    if lake is not None and "://" not in lake:
        lake = f"file://{Path(lake).resolve()}"  # a cluster's own file system may be another
    last = None if asked.at is None else make_id(asked.at)
    is_script = not asked.execute
    job = job_of(
        asked.models,
        lake=lake,
        environments=asked.environments,
        last=last,
        question=asked.question or None,
    )
    if is_script:
        show_text(script_of(job), asked.output, ctx.output)
        return

    from airkeep.lake.spark_here import SparkRows, spark_session
    from airkeep.snapshot.folder import private_folder

    assert lake is not None  # noqa: S101 (the commands see to it)
    limits = ctx.question_limits
    with private_folder(ctx.spool) as folder:
        spark = spark_session(
            memory_bytes=limits.memory_bytes, threads=limits.threads, folder=folder
        )
        there = opened(spark, lake, asked.environments, last, ctx.output.warn)
        found = answer_of(there, job, f"file://{folder.resolve()}")
        show(SparkRows(found, "the question failed"), asked.form, asked.output, ctx.output)
