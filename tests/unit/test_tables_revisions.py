from __future__ import annotations

import json
import runpy
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_schemas import ROOT, SHARED, needs_shared
from airkeep.tables.revisions import UNKNOWN, AirflowVersion, airflow_version

REVISIONS_FILE = ROOT / "src/airkeep/tables/revisions.tsv"
LINES = [line.split("\t") for line in REVISIONS_FILE.read_text().splitlines()[2:]]
REVISIONS = [line[0] for line in LINES]


@pytest.mark.parametrize(
    ("revision", "text"),
    [
        ("127d2bf2dfa7", "1.7.1.3 to 1.8.1"),
        ("d2ae31099d61", "1.8.2 to 1.9.0"),
        ("da3f683c3a5a", "1.10.12"),
        ("03afc6b6f902", "1.10.13 to 1.10.15"),
        ("e959f08ac86c", "2.0.0"),
        ("c804e5c76e3e", "2.6.2 to 2.6.3"),
        ("4bc4d934e2bc", "2.6.2 to 2.6.3"),  # the same, by its squashed name
        ("1949afb29106", "2.9.0 to 2.9.1"),
        ("5f2621c13b39", "2.10.3 to 2.11.2"),
        ("29ce7909c52b", "3.0.0 to 3.0.2"),
        ("1d6611b6ab7c", "3.2.0 to 3.2.2"),
        ("d2f4e1b3c5a7", "3.3.0 or later"),
    ],
)
def test_a_revision_names_the_releases_that_end_with_it(revision: str, text: str) -> None:
    assert str(airflow_version([revision])) == text
    assert airflow_version([revision]).known


def test_three_heads_are_one_release() -> None:
    heads = ["004c1210f153", "a56c9515abdc", "74effc47d867"]
    assert airflow_version(heads) == AirflowVersion("1.10.5", "1.10.6")
    assert not airflow_version(heads[1:]).known


def test_a_row_that_another_row_comes_after_is_ignored() -> None:
    assert str(airflow_version(["da3f683c3a5a", "5f2621c13b39"])) == "2.10.3 to 2.11.2"


@pytest.mark.parametrize("rows", [[], ["bad"], ["5f2621c13b39", "bad"], [""]])
def test_no_row_or_a_foreign_one_is_unknown(rows: list[str]) -> None:
    assert airflow_version(rows) == UNKNOWN
    assert str(UNKNOWN) == "unknown"
    assert UNKNOWN.major is None


def test_a_revision_inside_a_release_is_unknown_but_near() -> None:
    half_way = airflow_version(["bff083ad727d"])
    assert (str(half_way), half_way.near, half_way.major) == ("unknown", "2.9.2", 2)
    assert not half_way.known


@given(st.sets(st.sampled_from(REVISIONS), max_size=4))
def test_any_rows_get_an_answer_and_order_does_not_matter(rows: set[str]) -> None:
    answer = airflow_version(sorted(rows))
    assert answer == airflow_version(sorted(rows, reverse=True))
    assert answer.known == (str(answer) != "unknown")
    assert answer.major in ({1, 2, 3} if rows else {None})


def test_no_two_releases_share_a_name() -> None:
    known = [text for r in REVISIONS if (text := str(airflow_version([r]))) != "unknown"]
    assert len(set(known)) == len(known) - 1  # 2.6.2 has two names for one revision


@needs_shared
def test_the_packaged_revisions_are_the_collected_ones() -> None:
    make = runpy.run_path(str(ROOT / "tools/make_revisions.py"))
    collected = json.loads((SHARED / "airflow-revisions.json").read_text())
    assert make["text"](collected) == REVISIONS_FILE.read_text()


@needs_shared
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("airflow-1.7.1", "1.7.1 to 1.7.1.2"),
        ("airflow-1.10.5-three-heads", "1.10.5 to 1.10.6"),
        ("airflow-2.0.0-foreign-table", "2.0.0"),
        ("airflow-2.2.4", "2.2.4 to 2.2.5"),
        ("airflow-2.10.3", "2.10.3 to 2.11.2"),
        ("airflow-3.0.3", "3.0.3 to 3.0.6"),
        ("airflow-3.1.0", "3.1.0 to 3.1.7"),
    ],
)
def test_databases_found_in_public_are_recognised(name: str, text: str, tmp_path: Path) -> None:
    copy = tmp_path / "airflow.db"
    copy.write_bytes((SHARED / "wild" / f"{name}.db").read_bytes())
    db = sqlite3.connect(copy)
    rows = [row[0] for row in db.execute("SELECT version_num FROM alembic_version")]
    db.close()
    assert str(airflow_version(rows)) == text
