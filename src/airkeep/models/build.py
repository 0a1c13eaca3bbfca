"""Make models over an open lake, in DuckDB: each a table of a file that is gone afterwards.

A model that several others read is computed once, and compressed on disk rather than in memory.
What Python makes is a table like the others, and is made just before the model that wants it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from airkeep.database.sql import literal
from airkeep.lake.connect import OpenLake
from airkeep.models.catalog import MANIFESTS, RAW, Made, needed_for, raw_inputs
from airkeep.models.made import maker_of
from airkeep.snapshot.progress import Progress, Step, silent

_PLACE = "models"


def make_models(
    opened: OpenLake, names: Sequence[str], folder: Path, *, progress: Progress = silent
) -> None:
    """Make these models and what they need; they can be asked for by their names then.

    Args:
        folder: a private one, with space for the tables.
    """
    wanted = needed_for(names)
    file = folder / "models.duckdb"
    opened.db.execute(f"ATTACH {literal(str(file))} AS {_PLACE}")
    for one, columns in raw_inputs(wanted).items():
        opened.need_last(one.name, one.table, columns, per=one.per)
    for model in wanted:
        progress(Step(model.name, 0, 0))
        for made in model.made:
            _make(opened, made)
        opened.make_table(_PLACE, model.name, model.sql)


def _make(opened: OpenLake, made: Made) -> None:
    sources: list[Iterable[object]] = []
    for source in made.sources:
        if source == MANIFESTS:
            sources.append(opened.manifests())
        else:
            sources.append(opened.rows_of(_PLACE, source, copy=source.startswith(RAW)))
    opened.keep_rows(_PLACE, made.name, made.columns, maker_of(made.name)(*sources))
