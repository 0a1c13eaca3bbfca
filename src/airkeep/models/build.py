"""Make models over an open lake, in DuckDB: each a table of a file that is gone afterwards.

A model that several others read is computed once, and compressed on disk rather than in memory.
What Python makes is a table like the others, and is made just before the model that wants it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from airkeep.database.sql import ident, literal
from airkeep.lake.connect import Answer, OpenLake
from airkeep.models.catalog import MANIFESTS, RAW, Made, Model, models_in, needed_for, raw_inputs
from airkeep.models.made import maker_of
from airkeep.models.narrow import narrowed, needs_no_table
from airkeep.snapshot.progress import Progress, Step, silent

_PLACE = "models"


def make_models(
    opened: OpenLake,
    names: Sequence[str],
    folder: Path,
    *,
    where: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> None:
    """Make these models, each once; they can be asked for by their names then.

    Of what they need in turn no more is made than they read.

    Args:
        folder: a private one, with space for the tables.
        where: by the name of a model, SQL that says which of its rows count.
    """
    wanted = [model for model in needed_for(names) if not opened.has(model.name)]
    if not wanted:
        return
    file = folder / "models.duckdb"
    # The newest storage packs times and texts best; nobody else reads the file.
    opened.db.execute(
        f"ATTACH IF NOT EXISTS {literal(str(file))} AS {_PLACE} (STORAGE_VERSION 'latest')"
    )
    for one, columns in raw_inputs(wanted).items():
        if one.form == "last":
            opened.need_last(one.name, one.table, columns, key=one.key)
        elif one.form == "newest":
            opened.need_newest(one.name, one.table, columns)
        else:
            opened.need_versions(one.name, one.table, columns)
    wanted = _narrowed(wanted, names, where or {})
    for model in wanted:
        progress(Step(model.name, 0, 0))
        for made in model.made:
            _make(opened, made)
        readers = [one for one in wanted if model.name in one.needs]
        statement = model.sql
        if model.name not in names and needs_no_table(model, readers):
            opened.db.execute(f"CREATE TEMP VIEW {ident(model.name)} AS {statement}")
        else:
            opened.make_table(_PLACE, model.name, statement)
    # What was narrowed for these is not what the next question may want of it.
    between = [model.name for model in wanted if model.name not in names]
    tables = [made.name for model in wanted for made in model.made]
    copies = [source for model in wanted for made in model.made for source in made.sources]
    for name in {*between, *tables, *(c for c in copies if c.startswith(RAW))}:
        opened.drop(_PLACE, name)


def _narrowed(
    wanted: Sequence[Model], names: Collection[str], where: Mapping[str, str]
) -> list[Model]:
    """The models with no more in them than what the others read; those that are asked for whole."""
    done: list[Model] = []
    for model in reversed(wanted):
        readers = [] if model.name in names else [one for one in done if model.name in one.needs]
        sql = narrowed(model, readers, where=where.get(model.name))
        done.append(replace(model, sql=sql))
    return done[::-1]


def _make(opened: OpenLake, made: Made) -> None:
    sources: list[Iterable[object]] = []
    for source in made.sources:
        if source == MANIFESTS:
            sources.append(opened.manifests())
        else:
            sources.append(opened.rows_of(_PLACE, source, copy=source.startswith(RAW)))
    opened.keep_rows(_PLACE, made.name, made.columns, maker_of(made.name)(*sources))


def ask(opened: OpenLake, statement: str, folder: Path, *, progress: Progress = silent) -> Answer:
    """Run one statement; the tables, histories and models that it names are there.

    A model is made when it is first named.

    Args:
        folder: as for `make_models`; the same for one open lake.

    Raises:
        ConfigError: it is no SQL, or names what is not there, or it fails.
    """
    make_models(opened, models_in(statement), folder, progress=progress)
    return opened.query(statement)
