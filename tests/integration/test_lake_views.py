"""A lake's views, beside what a person counts and what each snapshot itself reads as."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airkeep.errors import ConfigError
from airkeep.export.run import export
from airkeep.lake.connect import connect
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.names import id_time
from servers import Databases, airflow_sqlite, query


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def ask(lake: Path, question: str, **options: Any) -> list[tuple[Any, ...]]:
    with connect(Lake(str(lake)), folder=lake.parent, **options) as opened:
        return list(opened.query(question).rows())


def taken(snapshot: Snapshot) -> datetime:
    return id_time(snapshot.id).replace(tzinfo=None)


def test_versions_and_states_are_those_that_a_person_counts(
    databases: Databases, lake: Path
) -> None:
    url = databases.airflow("airflow-332")
    query(url, "CREATE TABLE mine (id int PRIMARY KEY, v text)")
    query(url, "INSERT INTO mine VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    first = export(url, str(lake), environment="prod")
    query(url, "UPDATE mine SET v = 'B' WHERE id = 2")
    query(url, "DELETE FROM mine WHERE id = 3")
    query(url, "INSERT INTO mine VALUES (4, 'd')")
    second = export(url, str(lake), environment="prod", increment=True)
    third = export(url, str(lake), environment="prod", increment=True)
    query(url, "DELETE FROM mine WHERE id = 1")
    query(url, "INSERT INTO mine VALUES (3, 'c')")
    fourth = export(url, str(lake), environment="prod")
    query(url, "UPDATE mine SET v = 'x'")
    other = export(url, str(lake), environment="other")
    assert [s.manifest.mode for s in (second, third)] == ["increment", "increment"]
    one, two, four, five = (taken(s) for s in (first, second, fourth, other))

    assert ask(lake, "SELECT environment, id, v FROM mine ORDER BY ALL") == [
        ("other", 2, "x"), ("other", 3, "x"), ("other", 4, "x"),
        ("prod", 2, "B"), ("prod", 3, "c"), ("prod", 4, "d"),
    ]  # fmt: skip
    assert ask(
        lake,
        "SELECT environment, id, v, valid_from, valid_to FROM mine_history "
        "ORDER BY environment, id, valid_from",
    ) == [
        ("other", 2, "x", five, None), ("other", 3, "x", five, None), ("other", 4, "x", five, None),
        ("prod", 1, "a", one, four), ("prod", 2, "b", one, two), ("prod", 2, "B", two, None),
        ("prod", 3, "c", one, two), ("prod", 3, "c", four, None), ("prod", 4, "d", two, None),
    ]  # fmt: skip
    then = "SELECT id, v FROM mine ORDER BY id"
    assert ask(lake, then, at=id_time(first.id)) == [(1, "a"), (2, "b"), (3, "c")]
    assert ask(lake, then, at=id_time(second.id)) == [(1, "a"), (2, "B"), (4, "d")]
    assert ask(lake, then, at=id_time(third.id)) == [(1, "a"), (2, "B"), (4, "d")]
    assert ask(lake, then, environments=["prod"]) == [(2, "B"), (3, "c"), (4, "d")]


def test_the_newest_state_is_what_the_newest_snapshots_read_as(
    databases: Databases, lake: Path, tmp_path: Path
) -> None:
    for name in ("airflow-263", "airflow-332"):
        export(databases.airflow(name), str(lake), environment=name)
    for name in ("airflow-2.11.2", "airflow-3.3.2"):
        file = airflow_sqlite(name, tmp_path)
        export(str(file), str(lake), environment=f"sqlite-{name}", allow_plain=True)
    opened_lake = Lake(str(lake))
    newest = [opened_lake[f"{e}/latest"] for e in opened_lake.environments()]
    with connect(opened_lake, folder=tmp_path) as opened:
        for label in opened.tables():
            counted = dict(
                opened.query(
                    f'SELECT environment, count(*) FROM "{label}" GROUP BY environment'
                ).rows()
            )
            entries = {s.environment: s.manifest.table(label) for s in newest}
            assert counted == {e: t.rows for e, t in entries.items() if t is not None and t.rows}
            list(opened.query(f'SELECT * FROM "{label}_history"').rows())


def test_times_are_utc_without_a_zone_infinity_too(databases: Databases, lake: Path) -> None:
    url = databases.airflow("airflow-332")
    query(url, "CREATE TABLE moments (id int PRIMARY KEY, seen timestamptz)")
    query(
        url,
        "INSERT INTO moments VALUES (1, '2026-11-01 00:30:00.000001+02'), (2, NULL), "
        "(3, 'infinity'), (4, '-infinity'), (5, '1883-11-18 12:00:00+00')",
    )
    export(url, str(lake), environment="prod")

    assert ask(lake, "SELECT id, CAST(seen AS VARCHAR) FROM moments ORDER BY id") == [
        (1, "2026-10-31 22:30:00.000001"), (2, None),
        (3, "infinity"), (4, "-infinity"), (5, "1883-11-18 12:00:00"),
    ]  # fmt: skip
    assert ask(lake, "SELECT DISTINCT typeof(seen) FROM moments") == [("TIMESTAMP",)]


def test_a_window_adds_what_it_saw_and_takes_nothing_away(databases: Databases, lake: Path) -> None:
    url = databases.airflow("airflow-332")
    export(url, str(lake), environment="prod")
    [(before,)] = query(url, "SELECT count(*) FROM dag_run")
    [(oldest,)] = query(url, "SELECT min(id) FROM dag_run WHERE state = 'success'")
    moment = datetime.now(UTC)
    query(url, f"UPDATE dag_run SET end_date = now(), state = 'failed' WHERE id = {oldest}")
    window = export(url, str(lake), environment="prod", since=moment)
    entry = window.manifest.table("dag_run")

    assert entry is not None
    assert 0 < entry.rows < before
    asked = f"SELECT count(*), max(state) FILTER (WHERE id = {oldest}) FROM dag_run"
    assert ask(lake, asked) == [(before, "failed")]
    assert ask(lake, "SELECT count(*) FROM dag_run_history WHERE valid_to IS NULL") == [(before,)]


def test_what_cannot_be_asked_is_said_in_one_line(databases: Databases, lake: Path) -> None:
    export(databases.airflow("airflow-332"), str(lake), environment="prod")
    for question, said in (
        ("SELECT * FROM dag_rum", "did you mean dag_run"),
        ("SELECT nope FROM dag_run", "nope"),
        ("SELEC 1 FROM", "no SQL"),
        ("", "no question"),
        ("SELECT 1; SELECT 2", "found 2 statements"),
        ("COPY (SELECT 1) TO '/tmp/never.csv'", "writes no files"),
        ("ATTACH '/tmp/never.db'", "writes no files"),
        ("-- all of it", "no question"),
    ):
        with pytest.raises(ConfigError, match=said) as raised:
            ask(lake, question)
        assert "\n" not in str(raised.value)
