"""Make models over an open lake, in DuckDB: each a table of a file that is gone afterwards.

A model that several others read is computed once, and compressed on disk rather than in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airkeep.database.sql import literal
from airkeep.lake.connect import Answer, OpenLake, named_in
from airkeep.models.catalog import models, needed_for, raw_inputs
from airkeep.snapshot.progress import Progress, Step, silent

_PLACE = "models"


def make_models(
    opened: OpenLake, names: Sequence[str], folder: Path, *, progress: Progress = silent
) -> None:
    """Make these models and what they need, each once; they can be asked by their names then.

    Args:
        folder: a private one, with space for the tables.
    """
    wanted = [model for model in needed_for(names) if not opened.has(model.name)]
    if not wanted:
        return
    file = folder / "models.duckdb"
    opened.db.execute(f"ATTACH IF NOT EXISTS {literal(str(file))} AS {_PLACE}")
    for one, columns in raw_inputs(wanted).items():
        opened.need_last(one.name, one.table, columns, per=one.per)
    for model in wanted:
        progress(Step(model.name, 0, 0))
        opened.make_table(_PLACE, model.name, model.sql)


def ask(opened: OpenLake, statement: str, folder: Path, *, progress: Progress = silent) -> Answer:
    """Run one statement; the tables, histories and models that it names are there.

    A model is made when it is first named.

    Args:
        folder: as for `make_models`; the same for one open lake.

    Raises:
        ConfigError: it is no SQL, or names what is not there, or it fails.
    """
    named = [name for name in named_in(statement) if name in models()]
    make_models(opened, named, folder, progress=progress)
    return opened.query(statement)
