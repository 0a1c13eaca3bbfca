"""The script that answers on somebody else's Spark: one file, our own modules inside.

What makes models there is the code that makes them here. Its modules are pure Python over PySpark,
so the script carries their source text, and the models' SQL as Spark takes it, as data.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import files
from importlib.util import find_spec
from pathlib import Path

from airkeep.lake.statement import named_in, query_of, readings_in
from airkeep.models.catalog import model_named, needed_for, raw_inputs
from airkeep.models.dialects import transpile
from airkeep.models.job import Job, RawTable, SparkModel
from airkeep.version import __version__

_ROOTS = ("airkeep.models.job", "cronsim", "cronsim.cronsim")
_OURS = "airkeep"
_THEIRS = ("cronsim",)  # pure Python, of a licence that asks for its text to come along

_SCRIPT = """\
{about}
import sys

if sys.version_info < (3, 11):
    sys.exit("error: Python 3.11 or newer is needed: set spark.pyspark.python to one")

import importlib.abc
import importlib.util

{licences}

SOURCES = {{}}
{sources}
JOB = '''{job}'''


class _Inside(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    \"\"\"Finds modules in this file, before any that is installed.\"\"\"

    def find_spec(self, name, path=None, target=None):
        if name in SOURCES:
            return importlib.util.spec_from_loader(name, self, is_package=self.is_package(name))

    def is_package(self, name):
        return any(other.startswith(name + ".") for other in SOURCES)

    def get_source(self, name):
        return SOURCES[name]


sys.meta_path.insert(0, _Inside())

from airkeep.models.job import Job, main
from airkeep.snapshot.documents import document_of

status = main(document_of(Job, JOB), sys.argv[1:])
if status:
    sys.exit(status)
"""


def job_of(
    names: Sequence[str],
    *,
    lake: str | None = None,
    environments: Sequence[str] = (),
    last: str | None = None,
    question: str | None = None,
) -> Job:
    """What Spark is to do for these models, or for a question in DuckDB's SQL.

    Raises:
        ConfigError: there is no such model, or the question is no SELECT.
    """
    wanted = needed_for(names)
    asked: str | None = None
    named: list[str] = []
    if question is not None:
        asked = query_of(question, "Spark").sql(dialect="duckdb")
        named = named_in(question)
    return Job(
        lake=lake,
        environments=tuple(environments),
        last=last,
        raw=tuple(
            RawTable(one.name, one.table, one.form, one.key, columns)
            for one, columns in raw_inputs(wanted).items()
        ),
        models=tuple(_spark_model(model.name) for model in wanted),
        named=tuple(names),
        tables=tuple(n for n in named if n not in names),
        question=None if asked is None else transpile(asked, "spark"),
    )


def _spark_model(name: str) -> SparkModel:
    model = model_named(name)
    sources = (source for made in model.made for source in made.sources)
    return SparkModel(
        name=name,
        made=model.made,
        reads=(*readings_in(model.sql), *sources),
        sql=transpile(model.sql, "spark"),
    )


def script_of(job: Job) -> str:
    """The job as one Python file for PySpark 3.5 or 4, which needs nothing beside them."""
    what = "a question" if job.question is not None else ", ".join(job.named)
    about = (
        f'"""Made by airkeep {__version__}, for Spark 3.5 and 4: {what}.\n\n'
        f"    spark-submit this.py {'' if job.lake else '--lake URL '}--output URL [--help]\n"
        f'"""\n'
    )
    sources = "".join(
        f"SOURCES[{name!r}] = '''\\\n{_quoted(text)}'''\n" for name, text in _sources().items()
    )
    data = json.dumps(asdict(job), indent=1)
    return _SCRIPT.format(about=about, licences=_licences(), sources=sources, job=_quoted(data))


def _licences() -> str:
    found = []
    for name in _THEIRS:
        [file] = (f for f in files(name) or () if f.name == "LICENSE")
        lines = (f"# {line}".rstrip() for line in file.read_text(encoding="utf-8").splitlines())
        found += [f"# {name}, which is inside:", "#", *lines]
    return "\n".join(found)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'''", "\\'\\'\\'")


def _sources() -> dict[str, str]:
    """The text of every module that the roots import when they are imported."""
    found: dict[str, str] = {}
    todo = list(_ROOTS)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        package, _, _ = name.rpartition(".")
        if package:
            todo.append(package)
        found[name] = "" if _is_package(name) and name not in _THEIRS else _text(name)
        todo += _imported(found[name])
    return dict(sorted(found.items()))


def _is_package(name: str) -> bool:
    spec = find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None


def _text(name: str) -> str:
    spec = find_spec(name)
    assert spec is not None  # noqa: S101 (it was imported by one of ours)
    assert spec.origin is not None  # noqa: S101
    return Path(spec.origin).read_text(encoding="utf-8")


def _imported(source: str) -> Iterator[str]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_OURS):
            yield node.module
            yield from (
                f"{node.module}.{one.name}"
                for one in node.names
                if _is_package(node.module) and find_spec(f"{node.module}.{one.name}")
            )
