"""Models on Spark: what to make is data, and one function makes it, here or on a cluster.

PySpark and the standard library are enough: this module travels in the script that
`airkeep models --engine spark` writes, and is what that script runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airkeep.errors import AirkeepError, ConfigError, did_you_mean
from airkeep.lake.columns import SQL_TYPE, Kind
from airkeep.lake.manifests import Warn
from airkeep.lake.spark import SparkLake, explained, own_session, read_snapshots, without_zone
from airkeep.lake.spark_aside import folder_aside
from airkeep.models.catalog import MANIFESTS, Form, Made
from airkeep.models.made import maker_of
from airkeep.models.spread import spread
from airkeep.snapshot.names import id_time, make_id, parse_time

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ANSWER = "answer"


@dataclass(frozen=True)
class RawTable:
    """An input of models: a raw table, as `catalog.Input`, with the columns that are wanted."""

    name: str
    label: str
    form: Form
    key: tuple[str, ...]
    columns: Mapping[str, Kind]


@dataclass(frozen=True)
class SparkModel:
    """A model in Spark's SQL.

    Attributes:
        reads: what it reads, or what is made something of for it: raw tables and other models,
            each as often as it is named.
    """

    name: str
    made: tuple[Made, ...]
    reads: tuple[str, ...]
    sql: str


@dataclass(frozen=True)
class Job:
    """What Spark is to do.

    Attributes:
        lake: where, unless an argument says otherwise; None when it must.
        environments: only these; all of them when empty.
        last: the newest snapshot's id that counts; None for all.
        raw: every raw table that a model reads.
        models: in an order in which they can be made.
        named: models that are asked for, or that the question names.
        tables: of the lake, that it names.
        question: in Spark's SQL; None to make the models.
    """

    lake: str | None
    environments: tuple[str, ...]
    last: str | None
    raw: tuple[RawTable, ...]
    models: tuple[SparkModel, ...]
    named: tuple[str, ...]
    tables: tuple[str, ...] = ()
    question: str | None = None


def make_models(lake: SparkLake, job: Job, names: Sequence[str], aside: str) -> None:
    """Give these models and what they need their names.

    What is read more than once is counted here and set aside, so that no plan grows by what was
    made before; all else is counted when its rows are asked for.

    Args:
        aside: the URL of a folder that every executor reaches, for the rows that are set aside. It
            must stay as long as a model is asked for.
    """
    wanted = _needed(job, names)
    readings = Counter([*names, *(name for model in wanted for name in model.reads)])
    places = {name: f"{aside}/{name}" for name, times in readings.items() if times > 1}
    for raw in job.raw:
        if raw.name in readings:
            _need(lake, raw)
            if raw.name in places:
                lake.make_table(raw.name, f"SELECT * FROM {raw.name}", aside=places[raw.name])
    for model in wanted:
        for made in model.made:
            _make(lake, made)
        lake.make_table(model.name, model.sql, aside=places.get(model.name))


def _need(lake: SparkLake, raw: RawTable) -> None:
    if raw.form == "last":
        lake.need_last(raw.name, raw.label, raw.columns, key=raw.key)
    elif raw.form == "newest":
        lake.need_newest(raw.name, raw.label, raw.columns)
    else:
        lake.need_versions(raw.name, raw.label, raw.columns)


def answer(lake: SparkLake, job: Job, aside: str) -> DataFrame:
    """The rows that the job's question finds.

    Args:
        aside: as for `make_models`; the rows are read when they are asked for.
    """
    assert job.question is not None  # noqa: S101 (a job without one makes models)
    make_models(lake, job, job.named, aside)
    for table in job.tables:
        lake.need(table)
    return lake.query(job.question)


def opened(
    spark: SparkSession, url: str, environments: Sequence[str], last: str | None, warn: Warn
) -> SparkLake:
    """The lake in a session of its own.

    Args:
        warn: told of a snapshot that cannot be read and was passed over.

    Raises:
        AirkeepError: it has no such snapshots, or one cannot be read.
    """
    session = own_session(spark)
    snapshots = read_snapshots(session, url, environments=environments)
    at = None if last is None else id_time(last)
    return SparkLake(session, snapshots, environments=environments, at=at, warn=warn)


def main(job: Job, arguments: Sequence[str]) -> int:
    """Run the job as its arguments say; gives an exit status.

    Arguments that are not ours are passed over: Glue adds some of its own.
    """
    given = _parser(job).parse_known_args(arguments)[0]
    try:
        _run(job, given)
    except AirkeepError as error:
        _say(f"error: {error}", sys.stderr)
        return error.exit_status
    return 0


def _run(job: Job, given: argparse.Namespace) -> None:
    from pyspark.sql import SparkSession

    lake, output = given.lake.rstrip("/"), given.output.rstrip("/")
    if f"{output}/".startswith(f"{lake}/"):
        raise ConfigError(f"--output {output} lies in the lake: name a place outside of it")
    names = _chosen(job, _listed(given.models)) if job.question is None else [ANSWER]
    spark = SparkSession.builder.appName("airkeep").getOrCreate()
    last = make_id(parse_time(given.as_of)) if given.as_of else job.last
    environments = _listed(given.environments) or job.environments
    found = opened(spark, lake, environments, last, _warn)
    places = {name: f"{output}/{name}" for name in names}
    if given.if_exists == "fail":
        for place in places.values():
            _refuse_what_is_there(found.spark, place)
    with folder_aside(spark, output, _warn) as aside:
        if job.question is not None:
            _write(answer(found, job, aside), places[ANSWER], given.if_exists)
            return
        make_models(found, job, names, aside)
        for name, place in places.items():
            began = time.monotonic()
            _write(found.query(f"SELECT * FROM {name}"), place, given.if_exists)
            _say(f"{name}: {place} ({time.monotonic() - began:.1f} s)", sys.stdout)


def _write(rows: DataFrame, place: str, if_exists: str) -> None:
    mode = "overwrite" if if_exists == "replace" else "errorifexists"
    with explained(place):
        rows.write.mode(mode).parquet(place)


def _refuse_what_is_there(spark: SparkSession, place: str) -> None:
    from pyspark.errors import AnalysisException

    try:
        spark.read.format("binaryFile").load(place)
    except AnalysisException:
        return
    raise ConfigError(f"{place} is there already: name a new --output, or --if-exists replace")


def _make(lake: SparkLake, made: Made) -> None:
    types = (SQL_TYPE[k] if k != "instant" else "timestamp_ntz" for k in made.columns.values())
    schema = ", ".join(f"{n} {t}" for n, t in zip(made.columns, types, strict=True))
    maker = maker_of(made.name)
    with explained(made.name):
        if made.sources == (MANIFESTS,):
            rows = lake.spark.createDataFrame(list(maker(lake.manifests())), schema)
        else:
            rows = spread(maker, [lake.query(f"SELECT * FROM {s}") for s in made.sources], schema)
        without_zone(rows, to="timestamp").createOrReplaceTempView(made.name)


def _needed(job: Job, names: Iterable[str]) -> list[SparkModel]:
    by_name = {model.name: model for model in job.models}
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += (read for read in by_name[name].reads if read in by_name)
    return [model for model in job.models if model.name in wanted]


def _chosen(job: Job, names: Sequence[str]) -> Sequence[str]:
    known = [model.name for model in job.models]
    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            raise ConfigError(f"there is no model {name!r} in this script{near}")
    return names or job.named


def _parser(job: Job) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Answer from a lake of airkeep, on Spark: Parquet in OUTPUT/<name>/.",
        allow_abbrev=False,
    )
    parser.add_argument("--lake", default=job.lake, required=job.lake is None, help="its URL")
    parser.add_argument("--output", required=True, help="a folder's URL, outside of the lake")
    parser.add_argument("--environments", default="", help="only these: a,b")
    parser.add_argument("--as-of", default="", help="as the lake was known then: 2026-11-01")
    parser.add_argument(
        "--if-exists", choices=("fail", "replace"), default="fail", help="what OUTPUT/<name> is for"
    )
    if job.question is None:
        parser.add_argument("--models", default="", help="only these: a,b; all otherwise")
    return parser


def _listed(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in text.split(",") if one.strip())


def _warn(text: str) -> None:
    _say(f"warning: {text}", sys.stderr)


def _say(text: str, stream: Any) -> None:
    stream.write(f"{text}\n")
    stream.flush()
