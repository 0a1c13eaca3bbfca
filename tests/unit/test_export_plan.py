"""The plan of an export: what is taken whole, what as an increment, and why not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airkeep.database.catalog import Catalog, Column, Lineage, Table
from airkeep.errors import ConfigError
from airkeep.export.plan import (
    WRAP,
    ExportOptions,
    altered_since,
    changed_since,
    choose_tables,
    comparable,
    plan_export,
    touched_tables,
    why_not_parent,
)
from airkeep.export.rows import cutoff, odd_things
from airkeep.snapshot.manifest import (
    ColumnEntry,
    FileEntry,
    LineageEntry,
    Manifest,
    SecretsEntry,
    ServerEntry,
    TableEntry,
)
from airkeep.snapshot.names import make_id

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LINEAGE = Lineage("7", 16384, 1, "2026-11-01T00:00:00Z", xmin=1000, xmax=1010)
PROD = ExportOptions("prod")


def columns(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "text") for name in names)


def table(name: str, oid: int, *names: str, schema: str = "public") -> Table:
    return Table(schema, name, columns(*names), key=names[:1], oid=oid)


CATALOG = Catalog(
    engine="postgresql",
    server_version="18",
    main_schema="public",
    tables=(
        table("dag", 1, "dag_id", "v"),
        table("dag_run", 2, "id", "dag_id", "run_id", "state", "end_date"),
        table("task_instance", 3, "id", "dag_id", "run_id", "end_date"),
        table("log", 4, "id", "dttm"),
        table("variable", 5, "key", "val", "is_encrypted"),
        table("session", 6, "id", "session_id", "data", "expiry"),
        table("taskmeta", 7, "id", schema="celery"),
    ),
    revisions=("abc",),
)
LABELS = tuple(CATALOG.by_label())


def entry(source: Table, **other: Any) -> TableEntry:
    """What a parent would have written down for this table."""
    made = TableEntry(
        label=CATALOG.label(source),
        schema=source.schema,
        name=source.name,
        role="",
        columns=tuple(
            ColumnEntry(c.name, c.type, "VARCHAR", c.nullable, c.default, c.generated is not None)
            for c in source.columns
        ),
        key=source.key,
        references=(),
        rows=3,
        files=(),
        settled=3,
        oid=source.oid,
    )
    return replace(made, **other)


def manifest(**other: Any) -> Manifest:
    made = Manifest(
        format=1,
        airkeep="0",
        run_id="",
        environment="prod",
        id=make_id(NOON - timedelta(hours=1)),
        airflow_version="3.3.2",
        revisions=CATALOG.revisions,
        server=ServerEntry("postgresql", "18"),
        mode="full",
        complete=True,
        secrets=SecretsEntry("keep"),
        schema_sql=FileEntry("", 0, 0, ""),
        tables=tuple(entry(t) for t in CATALOG.tables),
        sequences=(),
        started=NOON,
        finished=NOON,
        main_schema="public",
        lineage=LineageEntry("7", 16384, 1, "2026-11-01T00:00:00Z", xmin=900, xmax=905),
    )
    return replace(made, **other)


# Why a parent is none.


def reason(parent: Manifest, **other: Any) -> str | None:
    given: dict[str, Any] = {
        "catalog": CATALOG,
        "lineage": LINEAGE,
        "fixed_at": NOON,
        "secrets": "keep",
        "archive_keys": (),
    }
    return why_not_parent(parent, **(given | other))


def test_nothing_speaks_against_the_parent_of_the_same_database() -> None:
    assert reason(manifest()) is None
    sealed = manifest(secrets=SecretsEntry("seal", ("f1",)))
    assert reason(sealed, secrets="seal", archive_keys=("f1",)) is None
    assert reason(manifest(), lineage=replace(LINEAGE, xmin=900, xmax=905)) is None


@pytest.mark.parametrize(
    ("parent", "now", "expected"),
    [
        ({"lineage": None}, {}, "SQLite keeps no row versions"),
        ({}, {"lineage": None}, "SQLite keeps no row versions"),
        ({"revisions": ("abb",)}, {}, "the alembic revision changed"),
        ({"revisions": ("abc", "fab")}, {}, "the alembic revision changed"),
        ({"main_schema": "airflow"}, {}, "Airflow's schema changed"),
        ({"secrets": SecretsEntry("plain")}, {}, "the parent has --secrets plain"),
        ({}, {"secrets": "seal"}, "the parent has --secrets keep"),
        (
            {"secrets": SecretsEntry("seal", ("f1",))},
            {"secrets": "seal", "archive_keys": ("f2", "f1")},
            "the archive key changed",
        ),
        ({}, {"fixed_at": NOON - timedelta(hours=2)}, "the server's clock is behind the parent"),
    ],
)
def test_the_first_reason_against_a_parent_is_told(
    parent: dict[str, Any], now: dict[str, Any], expected: str
) -> None:
    assert reason(manifest(**parent), **now) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({"system_identifier": "8"}, "it is another database server"),
        ({"system_identifier": ""}, "it is another database server"),
        ({"database_oid": 5}, "it is another database"),
        ({"timeline": 2}, "the server's timeline changed"),
        ({"timeline": None}, "the server's timeline changed"),
        (
            {"server_start": "2026-11-02T00:00:00Z"},
            "the server was started since the parent, so it may be a copy",
        ),
        ({"xmin": 899}, "the server's transaction counter is behind the parent"),
        ({"xmin": 900, "xmax": 904}, "the server's transaction counter is behind the parent"),
        ({"xmax": 900 + WRAP}, "more than 2^32 transactions since the parent"),
    ],
)
def test_another_lineage_is_no_ground(now: dict[str, Any], expected: str) -> None:
    assert reason(manifest(), lineage=replace(LINEAGE, **now)) == expected


def test_a_server_that_does_not_say_which_it_is_never_gets_an_increment() -> None:
    lineage = LineageEntry("", 16384, 1, "2026-11-01T00:00:00Z", xmin=900, xmax=905)
    now = replace(LINEAGE, system_identifier="")
    assert reason(manifest(lineage=lineage), lineage=now) == "it is another database server"


def test_one_transaction_less_than_all_of_them_is_an_increment() -> None:
    assert reason(manifest(), lineage=replace(LINEAGE, xmax=900 + WRAP - 1)) is None


# Which tables can be compared.

LOG = CATALOG.by_label()["log"]


def test_a_table_as_the_parent_had_it_is_comparable() -> None:
    assert comparable(LOG, entry(LOG))


@pytest.mark.parametrize(
    "other",
    [
        {"oid": 99},
        {"oid": None},
        {"key": ()},
        {"key": ("dttm",)},
        {"settled": None},
        {"columns": entry(LOG).columns[:1]},
        {"columns": entry(LOG).columns[::-1]},
        *(
            {"columns": (replace(entry(LOG).columns[0], **change), entry(LOG).columns[1])}
            for change in (
                {"type": "varchar(250)"},
                {"nullable": False},
                {"default": "1"},
                {"generated": True},
                {"name": "nr"},
            )
        ),
    ],
)
def test_a_table_that_was_another_one_is_not(other: dict[str, Any]) -> None:
    assert not comparable(LOG, entry(LOG, **other))


def test_a_table_without_a_key_or_a_log_is_not() -> None:
    keyless, unlogged = replace(LOG, key=()), replace(LOG, persistence="u")
    assert not comparable(keyless, entry(keyless))
    assert not comparable(unlogged, entry(unlogged))


# Row versions: 64-bit ids in full, of which a row keeps the low 32 bits.

FIRST_NORMAL = 3
xids = st.one_of(
    st.integers(FIRST_NORMAL, 1 << 40),
    st.builds(lambda n, d: n * WRAP + d, st.integers(1, 200), st.integers(-1000, 1000)),
)
spans = st.one_of(st.integers(0, 3000), st.integers(0, WRAP - 1))


def is_changed(row: int, parent_xmin: int, now_xmax: int) -> bool:
    """What the server answers: it compares bytes as Python does."""
    condition = changed_since(parent_xmin, now_xmax)
    python = condition.replace("xidsend(xmin)", "sent").replace(" AND ", " and ")
    known = {
        "sent": (row % WRAP).to_bytes(4, "big"),
        "decode": lambda text, _: bytes.fromhex(text),
        "true": True,
        "false": False,
    }
    return bool(eval(python.replace(" OR ", " or "), known))  # of our own making


@given(xids, spans, st.data())
@example(WRAP - 1, 1, None)
@example(WRAP, 1, None)
@example(WRAP - 1, WRAP, None)
def test_a_new_row_never_looks_old(h: int, span: int, data: Any) -> None:
    now = h + span
    row = h if data is None else data.draw(st.integers(h, max(h, now - 1)))
    assert is_changed(row, h, now) == (row < now)


@given(xids, spans, st.integers(1, WRAP))
@example(2 * WRAP, 10, WRAP - 10)
def test_an_old_row_looks_new_only_when_its_number_was_used_again(
    h: int, span: int, age: int
) -> None:
    row, now = h - age, h + span
    assert is_changed(row, h, now) == (row + WRAP < now)


@given(xids, spans, st.integers(0, 5), st.integers(0, WRAP - 1))
def test_rows_that_look_old_can_only_become_fewer(h: int, span: int, later: int, row: int) -> None:
    if is_changed(row, h, h + span):
        assert is_changed(row, h, h + span + later)


def test_no_table_is_looked_through_when_no_transaction_ran() -> None:
    assert changed_since(900, 900) == "false"  # a constant, for which the server reads nothing


def test_the_catalogue_is_asked_about_the_tables_there_are() -> None:
    assert "IN (4, 7)" in altered_since("true", [4, 7])
    assert "IN (0)" in altered_since("true", [])


@pytest.mark.parametrize(
    ("kind", "is_comparable"),
    [("regclass", False), ("regproc[]", False), ("aclitem[]", False), ("public.regclass", True)],
)
def test_a_value_that_is_another_objects_name_is_not_told_by_its_row(
    kind: str, is_comparable: bool
) -> None:
    table = replace(LOG, columns=(replace(LOG.columns[0], type=kind), *LOG.columns[1:]))
    assert comparable(table, entry(table)) is is_comparable


# Which tables are chosen.


def test_all_tables_are_chosen_unless_some_are_named() -> None:
    assert choose_tables(LABELS, PROD) == set(LABELS)
    assert choose_tables(LABELS, replace(PROD, tables=("dag", "log"))) == {"dag", "log"}
    assert choose_tables(LABELS, replace(PROD, skip=("log",))) == set(LABELS) - {"log"}
    assert choose_tables(LABELS, replace(PROD, airflow_only=True)) == set(LABELS) - {
        "celery.taskmeta"
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"tables": ("dag_rum",)},
            r"dag_rum: no such table in the database \(did you mean dag_run\?\)",
        ),
        (
            {"skip": ("taskmeta",)},
            r"--skip taskmeta: no such table .*did you mean celery\.task",
        ),
        ({"skip": ("zzz",)}, r"--skip zzz: no such table in the database$"),
    ],
)
def test_a_table_that_is_not_there_is_an_error_with_a_hint(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_tables(LABELS, replace(PROD, **options))


# The plan itself.


def test_a_full_plan_takes_every_table_whole_and_is_complete() -> None:
    plan = plan_export(CATALOG, PROD, chosen=LABELS, because="no parent")
    assert plan.complete
    assert (plan.parent, plan.full_because) == (None, "no parent")
    assert {(t.how, t.where, t.window, t.parent) for t in plan.tables} == {
        ("whole", None, None, None)
    }
    roles = {t.label: t.role for t in plan.tables}
    assert roles["celery.taskmeta"] == "foreign"
    assert (roles["dag_run"], roles["variable"]) == ("history", "config")
    assert [t.label for t in plan.tables if t.secrets] == ["variable", "session"]


def test_an_increment_takes_whole_what_cannot_be_compared() -> None:
    others: dict[str, Any] = {"dag": {"oid": 77}, "log": {"key": ()}}
    entries = [entry(t, **others.get(t.name, {})) for t in CATALOG.tables if t.name != "variable"]
    parent = manifest(tables=tuple(entries))
    plan = plan_export(CATALOG, PROD, chosen=LABELS, parent=parent, altered={2})
    whole = {t.label for t in plan.tables if t.how == "whole"}
    assert whole == {"dag", "log", "variable", "dag_run"}
    assert {t.label: t.parent is None for t in plan.tables} == {
        label: label in whole for label in LABELS
    }
    assert plan.parent is parent


def test_a_window_cuts_what_has_a_time_and_says_so() -> None:
    cutoff = datetime(2026, 11, 1, 2, 3, 4, 5, tzinfo=UTC)
    plan = plan_export(CATALOG, replace(PROD, since=cutoff), chosen=LABELS)
    found = {t.label: t for t in plan.tables}
    assert not plan.complete
    assert found["log"].where is not None
    assert "TIMESTAMPTZ '2026-11-01 02:03:04.000005+00'" in found["log"].where
    assert found["log"].window == "rows whose dttm is at or after the cutoff"
    assert found["task_instance"].window is not None
    assert "kept dag_run" in found["task_instance"].window
    for label in ("dag", "variable", "celery.taskmeta"):
        assert (found[label].where, found[label].window) == (None, None)


def test_a_window_on_sqlite_compares_text() -> None:
    cutoff = datetime(2026, 11, 1, tzinfo=UTC)
    catalog = replace(CATALOG, engine="sqlite")
    plan = plan_export(catalog, replace(PROD, since=cutoff), chosen=LABELS)
    [where] = [t.where for t in plan.tables if t.label == "log"]
    assert where is not None
    assert "'2026-11-01 00:00:00.000000'" in where
    assert "TIMESTAMPTZ" not in where


def test_dropped_secrets_leave_whole_tables_without_a_row_and_nothing_complete() -> None:
    plan = plan_export(CATALOG, replace(PROD, secrets="drop"), chosen=LABELS)
    found = {t.label: (t.where, t.window) for t in plan.tables}
    assert found["session"] == ("1 = 0", "no row: they hold nothing but secrets")
    assert found["variable"] == (None, None)
    assert not plan.complete


@pytest.mark.parametrize(
    ("chosen", "is_complete"),
    [
        (LABELS, True),
        ([n for n in LABELS if n != "celery.taskmeta"], True),
        ([n for n in LABELS if n != "log"], False),
    ],
)
def test_complete_means_all_of_airflows_own_tables(chosen: list[str], *, is_complete: bool) -> None:
    plan = plan_export(CATALOG, PROD, chosen=chosen)
    assert plan.complete is is_complete


def test_a_table_that_is_no_ordinary_one_makes_it_incomplete_and_is_named() -> None:
    odd = replace(CATALOG, left_out=("partitioned table public.log", "view public.seen"))
    catalog = odd.select([n for n in LABELS if n != "log"])
    chosen = catalog.by_label()
    assert not plan_export(catalog, PROD, chosen=chosen).complete
    assert "log" in odd_things(catalog, chosen)[-1]
    parents = tuple(replace(t, has_children=t.name == "dag_run") for t in CATALOG.tables)
    catalog = replace(CATALOG, tables=parents)
    assert not plan_export(catalog, PROD, chosen=LABELS).complete
    assert "dag_run" in odd_things(catalog, LABELS)[-1]


def test_airflow_only_of_an_unknown_airflow_is_not_complete_when_it_leaves_something_out() -> None:
    new = replace(CATALOG.tables[0], name="dag_dream", oid=99)
    catalog = replace(CATALOG, tables=(*CATALOG.tables, new), revisions=("123456789abc",))
    chosen = choose_tables(catalog.by_label(), replace(PROD, airflow_only=True))
    assert "dag_dream" not in chosen
    assert not plan_export(catalog, PROD, chosen=chosen).complete
    assert "dag_dream" in odd_things(catalog, chosen)[-1]
    assert plan_export(catalog, PROD, chosen=catalog.by_label()).complete
    known = replace(catalog, revisions=("da3f683c3a5a",))  # 1.10.12, which has no such table
    assert plan_export(known, PROD, chosen=chosen).complete


def test_what_is_left_out_beside_airflows_tables_leaves_it_complete() -> None:
    catalog = replace(
        CATALOG,
        left_out=("view public.seen", "partitioned table celery.log"),
        tables=(*CATALOG.tables, replace(LOG, schema="celery", has_children=True)),
    )
    assert plan_export(catalog, PROD, chosen=LABELS).complete


def test_a_window_asks_for_what_its_conditions_read() -> None:
    window = touched_tables(LABELS, {"task_instance", "variable"}, window=True)
    assert window >= {"task_instance", "variable", "dag_run"}
    assert window <= set(LABELS)
    assert touched_tables(LABELS, {"task_instance"}, window=False) == {"task_instance"}
    lacking = [n for n in LABELS if n != "dag_run"]
    assert touched_tables(lacking, {"task_instance"}, window=True) == {"task_instance"}


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (datetime(2026, 11, 1, tzinfo=timezone(timedelta(hours=2))), "2026-10-31 22:00"),
        (datetime(2026, 11, 1), "2026-11-01 00:00"),
        (timedelta(days=1), "2026-11-20 00:00"),
    ],
)
def test_a_cutoff_is_utc_whatever_was_given(since: Any, expected: str) -> None:
    found = cutoff(since, datetime(2026, 11, 21, tzinfo=UTC))
    assert found is not None
    assert f"{found:%Y-%m-%d %H:%M %Z}" == f"{expected} UTC"


def test_a_cutoff_without_a_zone_is_utc_wherever_this_runs(somewhere: None) -> None:
    assert cutoff(datetime(2026, 11, 1), NOON) == datetime(2026, 11, 1, tzinfo=UTC)


def test_a_cutoff_that_is_still_to_come_is_refused_and_now_is_not() -> None:
    east = timezone(timedelta(hours=2))
    assert cutoff(NOON.astimezone(east), NOON) == NOON
    with pytest.raises(ConfigError, match=r"2026-11-21T12:00:01Z is still to come"):
        cutoff(NOON.astimezone(east) + timedelta(seconds=1), NOON)


@pytest.fixture
def somewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that is not in UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(("secrets", "is_complete"), [("seal", True), ("plain", True)])
def test_sealed_and_plain_secrets_are_complete(secrets: Any, *, is_complete: bool) -> None:
    plan = plan_export(CATALOG, replace(PROD, secrets=secrets), chosen=LABELS)
    assert plan.complete is is_complete
