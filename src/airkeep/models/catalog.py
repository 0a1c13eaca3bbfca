"""The models: what each answers, what it reads, in which order they are made.

A model is one .sql file whose comment says what it is: a line that names the question, then
`grain:`, `key:`, `units:`, `leaves out:`. A staging model also says which columns of which raw
tables it wants, `input: dag_run by dag_id, run_id(id integer, ...)`: it reads them as
`raw_dag_run`, typed, NULL where an Airflow has them not, every row ever seen in its last known
state. `by` names the columns that tell rows apart over every database that the environment ever
had: an id begins at 1 again where the database is made anew, and a backup of another tool has no
key. With `as run_ids` the model reads it as `raw_run_ids`. Of `input: connection versions(...)`,
read as `raw_connection_versions`, it is every version of every row ever seen, with `valid_from`
and `valid_to`: for small tables that Airflow changes in place. Of `input: dag_run newest(...)`,
read as `raw_dag_run_newest`, it is the rows that are there: those of each environment's newest
state.

What SQL cannot say portably, as the times that a cron expression means, is made in Python:
`made: due_times(dag_id text, ...) from schedules` is read as `made_due_times`. Python is given the
rows of each source: of raw tables that the model names as inputs, of other models, and the
`manifests` of the lake. See `made.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from airkeep.errors import ConfigError, did_you_mean
from airkeep.lake.columns import Kind

Form = Literal["last", "versions", "newest"]

RAW = "raw_"
MADE = "made_"
MANIFESTS = "manifests"
_FIELDS = ("grain", "key", "units", "leaves out")
_INPUT = re.compile(
    r"(?P<table>\w+)(?: as (?P<alias>\w+))?"
    r" (?:by (?P<key>\w+(?:, \w+)*)|(?P<form>versions|newest))\((?P<columns>.*)\)"
)
_FROM = re.compile(r"\b(?:FROM|JOIN)\s+([a-z]\w*)\b(?!\.)")
_WITH = re.compile(r"\b(\w+) AS \(\s*(?:SELECT|WITH)\b")
_MADE = re.compile(r"(?P<name>\w+)\((?P<columns>.*)\) from (?P<sources>\w+(?:, \w+)*)")


@dataclass(frozen=True, order=True)
class Input:
    """A raw table that a model reads.

    Attributes:
        name: what a model calls it.
        form: every row ever seen in its last known state; every version of every row, with the
            times of the snapshots from and to which it was so, `valid_from` and `valid_to`; or
            the rows that are there, and none that is gone.
        key: of the first form, what tells rows apart in whatever database they were seen.
    """

    table: str
    name: str
    form: Form = "last"
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """A table that Python makes for a model.

    Attributes:
        name: what a model calls it; without its prefix, what `made.py` calls the function.
        sources: whose rows the function is given: raw tables, models, or `manifests`.
    """

    name: str
    columns: Mapping[str, Kind]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """One table that can be asked for.

    Attributes:
        answers: the question, or what the rows are.
        key: the columns that tell its rows apart.
        inputs: raw tables, with the columns that are wanted of each.
        made: tables that Python makes for it.
        needs: other models that it reads.
        sql: one SELECT, in SQL that DuckDB takes and that transpiles to Spark and Trino.
    """

    name: str
    kind: Literal["staging", "mart"]
    answers: str
    grain: str
    key: tuple[str, ...]
    units: str
    leaves_out: str
    inputs: Mapping[Input, Mapping[str, Kind]]
    made: tuple[Made, ...]
    needs: tuple[str, ...]
    sql: str


@cache
def models() -> dict[str, Model]:
    """Every model, by name: those that others need come first."""
    folder = Path(__file__).parent
    found = [
        *(_read(file, "staging") for file in sorted(folder.glob("staging/*.sql"))),
        *(_read(file, "mart") for file in sorted(folder.glob("marts/*.sql"))),
    ]
    by_name = {model.name: model for model in found}
    ordered: dict[str, Model] = {}
    for model in found:
        _place(model, by_name, ordered)
    return ordered


def model_named(name: str) -> Model:
    """The model of that name, in capitals or not.

    Raises:
        ConfigError: there is none.
    """
    known = models()
    if name.lower() not in known:
        raise ConfigError(
            f"there is no model {name!r}{did_you_mean(name, known)}: "
            f"`airkeep models --list` shows them"
        )
    return known[name.lower()]


def needed_for(names: Sequence[str]) -> list[Model]:
    """These models and all that they are made of, in the order in which they can be made."""
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        model = model_named(todo.pop())
        if model.name not in wanted:
            wanted.add(model.name)
            todo += model.needs
    return [model for model in models().values() if model.name in wanted]


def models_in(statement: str) -> list[str]:
    """The models that a statement names.

    Raises:
        ConfigError: it is no SQL.
    """
    from airkeep.lake.statement import named_in

    named = dict.fromkeys(name.lower() for name in named_in(statement))
    return [name for name in named if name in models()]


def raw_inputs(wanted: Sequence[Model]) -> dict[Input, dict[str, Kind]]:
    """The raw tables that models read, each with every column that any of them wants."""
    inputs: dict[Input, dict[str, Kind]] = {}
    for model in wanted:
        for one, columns in model.inputs.items():
            inputs.setdefault(one, {}).update(columns)
    return inputs


def _place(model: Model, by_name: Mapping[str, Model], ordered: dict[str, Model]) -> None:
    for name in model.needs:
        if name not in ordered:
            _place(by_name[name], by_name, ordered)
    ordered.setdefault(model.name, model)


def _read(file: Path, kind: Literal["staging", "mart"]) -> Model:
    lines = file.read_text(encoding="utf-8").splitlines()
    head = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
    sql = "\n".join(line for line in lines if not line.startswith("--")).strip()
    said = dict(line.split(": ", 1) for line in head if line.startswith(_FIELDS))
    inputs = dict(_input(line) for line in head if line.startswith("input: "))
    made = tuple(_made(line) for line in head if line.startswith("made: "))
    return Model(
        name=file.stem,
        kind=kind,
        answers=head[0],
        grain=said["grain"],
        key=tuple(said["key"].split(", ")),
        units=said["units"],
        leaves_out=said["leaves out"],
        inputs=inputs,
        made=made,
        needs=_needs(sql, made),
        sql=sql,
    )


def _input(line: str) -> tuple[Input, dict[str, Kind]]:
    found = _INPUT.fullmatch(line.removeprefix("input: "))
    assert found is not None, line  # noqa: S101 (our own files; a test reads them all)
    form: Form = found["form"] or "last"  # type: ignore[assignment]
    name = f"{RAW}{found['alias'] or found['table']}{'' if form == 'last' else f'_{form}'}"
    key = tuple(found["key"].split(", ")) if found["key"] else ()
    return Input(found["table"], name, form, key), _columns(found["columns"])


def _made(line: str) -> Made:
    found = _MADE.fullmatch(line.removeprefix("made: "))
    assert found is not None, line  # noqa: S101
    sources = tuple(found["sources"].split(", "))
    return Made(MADE + found["name"], _columns(found["columns"]), sources)


def _columns(listed: str) -> dict[str, Kind]:
    columns: dict[str, Kind] = {}
    for name, kind in (pair.split() for pair in listed.split(", ")):
        assert kind in get_args(Kind), listed  # noqa: S101
        columns[name] = kind  # type: ignore[assignment]
    return columns


def _needs(sql: str, made: Sequence[Made]) -> tuple[str, ...]:
    # By a pattern: all models are read for every question, and parsing them takes 0.4 s. A test
    # compares it with `named_in`.
    own = set(_WITH.findall(sql))
    named = (*_FROM.findall(sql), *(source for one in made for source in one.sources))
    return tuple(dict.fromkeys(name for name in named if name in _names() and name not in own))


@cache
def _names() -> frozenset[str]:
    return frozenset(file.stem for file in Path(__file__).parent.glob("*/*.sql"))
