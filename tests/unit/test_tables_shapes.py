"""Which tables an Airflow has, told by version; which version it is, told by tables."""

from __future__ import annotations

import json
import runpy

import pytest

from airflow_schemas import ROOT, SHARED, needs_shared
from airkeep.errors import ConfigError
from airkeep.tables.shapes import (
    ColumnShape,
    core_tables,
    fitting,
    known_versions,
    shape_of,
    span,
    version_like,
)


def test_a_table_is_known_by_version_with_types_and_key() -> None:
    runs = shape_of("dag_run", "2.11.2")
    assert runs is not None
    assert runs.key == ("id",)
    assert runs.columns["conf"] == ColumnShape("bytea", nullable=True)
    assert runs.columns["dag_id"] == ColumnShape("character varying(250)", nullable=False)
    newest = shape_of("dag_run", known_versions()[-1])
    assert newest is not None
    assert newest.columns["conf"].type == "jsonb"
    assert shape_of("dag_run", "0.1") is None


@pytest.mark.parametrize("version", known_versions())
def test_a_version_fits_its_own_tables_and_few_others(version: str) -> None:
    tables = {t: shape_of(t, version) for t in core_tables(version)}
    columns = {name: shape.columns for name, shape in tables.items() if shape is not None}
    found = fitting({**columns, "not_airflow_s": ["x"]})
    assert version in found
    assert len(found) <= 3


def test_columns_of_two_versions_fit_none_and_none_tell_nothing() -> None:
    old, new = shape_of("dag_run", "2.4.3"), shape_of("task_instance", "3.0.6")
    assert old is not None
    assert new is not None
    assert fitting({"dag_run": old.columns, "task_instance": new.columns}) == ()
    assert fitting({"other": ["x"]}) == fitting({}) == ()
    assert span(()) == "unknown"


@pytest.mark.parametrize(
    ("version", "like"),
    [("2.10", "2.10.5"), ("2.10.2", "2.10.1"), ("2.10.4", "2.10.5"), ("3.1.99", "3.1.8")],
)
def test_a_release_is_read_as_the_nearest_of_its_minor(version: str, like: str) -> None:
    assert version_like(version) == like


@pytest.mark.parametrize("version", ["2.3.4", "4.0.0"])
def test_a_minor_that_is_not_known_is_refused(version: str) -> None:
    with pytest.raises(ConfigError, match=r"Leave the flag out, or name one of 1\.10\.12"):
        version_like(version)


@pytest.mark.parametrize("version", ["two", "2", "2.x.1", ""])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(ConfigError, match="is no version"):
        version_like(version)


@needs_shared
def test_the_file_is_what_the_tool_makes_of_the_descriptions() -> None:
    tool = runpy.run_path(str(ROOT / "tools/make_shapes.py"))
    made = tool["text"](tool["versions"](SHARED / "schemas"))
    assert (ROOT / "src/airkeep/tables/shapes.tsv").read_text() == made
    described = json.loads((SHARED / "schemas" / "2.9.2.json").read_text())["tables"]
    assert core_tables("2.9.2") == set(described)
