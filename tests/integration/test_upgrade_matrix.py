"""Every way that is promised, on rows that real Airflows wrote: minutes long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

import airkeep
from airflows import ENVIRONMENTS, Airflow
from airkeep.database.server import Cluster
from airkeep.errors import MigrationError, NoWayError, ProofError, UnfitError
from airkeep.snapshot.manifest import Manifest, UpgradedEntry
from airkeep.tables.revisions import revisions_of
from servers import FERNET_KEY, Databases, psql, query

pytestmark = pytest.mark.slow

ROWS = {
    "airflow-263": (69, 544, 350),
    "airflow-2112": (55, 314, 244),
    "airflow-2105-xcompickle": (66, 434, 0),  # every XCom of it is pickled
    "airflow-306": (64, 399, 250),
}


def upgraded(lake: str, to: str, **wishes: object) -> tuple[Manifest, UpgradedEntry]:
    done = airkeep.upgrade(lake, "source/latest", to=to, cache=ENVIRONMENTS, **wishes)  # type: ignore[arg-type]
    assert done.snapshot is not None
    manifest = done.snapshot.manifest
    assert manifest.upgraded is not None
    return manifest, manifest.upgraded


@pytest.mark.parametrize(
    ("dump", "to"),
    [
        ("airflow-263", "2.11.2"),
        ("airflow-263", "3.3.2"),
        ("airflow-2112", "3.0.6"),
        ("airflow-2112", "3.1.8"),
        ("airflow-2112", "3.3.2"),
        ("airflow-2105-xcompickle", "3.3.2"),
        ("airflow-306", "3.1.8"),
        ("airflow-306", "3.3.2"),
    ],
)
def test_every_run_task_and_xcom_is_there_afterwards(
    dump: str, to: str, databases: Databases, tmp_path: Path
) -> None:
    lake = str(tmp_path / "lake")
    airkeep.export(databases.airflow(dump), lake, environment="source")

    manifest, made = upgraded(lake, to)

    assert frozenset(manifest.revisions) == revisions_of(to)
    assert manifest.complete
    equal = {p.what: p.equal for p in made.proof}
    assert (equal["runs"], equal["task instances"], equal["XComs"]) == ROWS[dump]
    assert (equal["connections"], equal["variables"]) == (2, 3)
    assert equal.get("users", 1) == 1  # of 3.0 without FAB there are none
    assert all(result.ok for result in airkeep.verify(lake, f"source-{to}/latest"))
    back = databases.empty()
    asked: dict[str, Any] = {"in_flight": "keep", "missed_runs": "make"}
    airkeep.restore(lake, f"source-{to}/latest", back, create_schema=True, **asked)
    assert query(back, "SELECT count(*) FROM task_instance") == [(ROWS[dump][1],)]


# Found in public, masked: what is odd about each is in its name.
WILD = {
    "airflow-1.7.1": (0, 0),  # 71 task instances, none with a run: set aside
    "airflow-1.10.5-three-heads": (76, 195),
    "airflow-2.0.0-foreign-table": (60, 299),
    "airflow-2.2.4": (0, 0),
    "airflow-2.3.3-pickled-xcom": (2, 4),
    "airflow-2.6.0": (11, 11),
    "airflow-2.9.2-mixed-encryption": (40, 165),
    "airflow-2.10.3": (14, 19),
    "airflow-3.0.3": (15, 19),
    "airflow-3.1.0": (7, 14),
    "airflow-3.1.0-live-wal": (81, 366),
}


@pytest.mark.parametrize("name", WILD)
def test_a_file_that_was_found_in_public_is_upgraded_whole(
    name: str, shared: Path, tmp_path: Path
) -> None:
    lake = str(tmp_path / "lake")
    file = shared / "data" / "wild" / f"{name}.db"
    airkeep.export(str(file), lake, environment="source", allow_plain=True)

    _, made = upgraded(lake, "3.3.2")

    equal = {p.what: p.equal for p in made.proof}
    assert (equal["runs"], equal["task instances"]) == WILD[name]


def test_airflow_s_sqlite_file_keeps_what_airflow_s_own_command_would_delete(
    airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    """3.3.2's `db migrate` deletes every task instance, XCom and note of such a file."""
    lake = str(tmp_path / "lake")
    airkeep.export(str(airflow_file("airflow-2.11.2")), lake, environment="source")

    _, made = upgraded(lake, "3.3.2")

    equal = {p.what: p.equal for p in made.proof}
    assert (equal["task instances"], equal["attempts"], equal["XComs"]) == (80, 14, 46)
    assert (equal["run notes"], equal["task notes"]) == (3, 2)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("airflow-no-alembic", "no revision in alembic_version"),
        ("airflow-2.9.2-without-log-table", "not in the snapshot: log"),
        ("airflow-odd-revision", "not in the snapshot: dag_tag, task_reschedule"),
    ],
)
def test_what_cannot_be_upgraded_says_why_before_anything_is_installed(
    name: str, why: str, shared: Path, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    lake, file = str(tmp_path / "lake"), shared / "data" / "wild" / name
    place = str(file.with_name(f"{name}.db"))
    if not Path(place).exists():
        place = databases.empty()
        text = file.with_name(f"{name}.sql").read_text(encoding="utf-8")
        name = place.rpartition("/")[2].partition("?")[0]
        server.run("psql", "-q", "-v", "ON_ERROR_STOP=0", stdin=text, database=name)
    airkeep.export(place, lake, environment="source", allow_plain=True)

    with pytest.raises((NoWayError, UnfitError), match=why):
        airkeep.upgrade(lake, "source/latest", to="3.3.2", cache=tmp_path / "no airflows")

    assert not (tmp_path / "no airflows").exists()


def test_only_the_window_goes_on_and_the_lake_keeps_the_rest(
    databases: Databases, tmp_path: Path
) -> None:
    lake = str(tmp_path / "lake")
    url = databases.airflow("airflow-2112")
    source = airkeep.export(url, lake, environment="source")
    last = "greatest(end_date, start_date, queued_at, execution_date)"
    [(cut,)] = query(
        url, f"SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY {last}) FROM dag_run"
    )
    [(wanted, all_runs)] = query(
        url, f"SELECT count(*) FILTER (WHERE {last} >= '{cut}' "
             "OR state NOT IN ('success', 'failed')), count(*) FROM dag_run"
    )  # fmt: skip
    assert 0 < wanted < all_runs

    manifest, made = upgraded(lake, "3.3.2", since=cut)

    assert {p.what: p.equal for p in made.proof}["runs"] == wanted
    assert manifest.complete, "it is all that the new environment begins with"
    assert manifest.window is not None
    assert any(f"{wanted:,} of {all_runs:,} runs" in note for note in made.notes), made.notes
    assert source.manifest.table("dag_run").rows == all_runs  # type: ignore[union-attr]
    assert airkeep.Lake(lake).find("source-3.3.2/latest", complete=True).id == manifest.id


def test_a_sealed_snapshot_needs_no_key_and_stays_sealed(
    databases: Databases, tmp_path: Path
) -> None:
    lake, key = str(tmp_path / "lake"), Fernet.generate_key().decode()
    url = databases.airflow("airflow-263")  # its trigger is from before 2.9 encrypted them
    airkeep.export(
        url, lake, environment="source", secrets="seal", fernet_key=FERNET_KEY, archive_key=key
    )
    airkeep.export(url, lake, environment="kept")

    sealed, _ = upgraded(lake, "3.3.2")
    airkeep.upgrade(lake, "kept/latest", to="3.3.2", cache=ENVIRONMENTS)

    assert (sealed.secrets.mode, len(sealed.secrets.archive_keys)) == ("seal", 1)
    diff = airkeep.diff(
        lake, "source-3.3.2/latest", "kept-3.3.2/latest", fernet_key=FERNET_KEY, archive_key=key
    )
    tables = {t.label: t for t in diff.tables}
    assert all(tables[t].equal for t in ("connection", "variable", "trigger", "ab_user"))
    assert diff.not_compared == 0
    assert diff.unopened == ()


def test_nan_and_nul_are_told_and_a_lone_surrogate_is_refused(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    lake, url = str(tmp_path / "lake"), databases.airflow("airflow-2112")
    some = "(SELECT ctid FROM xcom LIMIT 1 OFFSET {n})"
    for n, text in enumerate((r'{"a": [NaN, -Infinity]}', r'"x\u0000y"')):
        packed = text.encode().hex()
        where = f"ctid = {some.format(n=n)}"
        psql(server, url, f"UPDATE xcom SET value = decode('{packed}', 'hex') WHERE {where}")
    airkeep.export(url, lake, environment="source")

    _, made = upgraded(lake, "3.0.6")

    [xcoms] = [p for p in made.proof if p.what == "XComs"]
    assert xcoms.equal == 244
    assert sorted(xcoms.converted.values()) == [1, 1]

    lone = rb'"\ud800"'.hex()
    where = f"ctid = {some.format(n=3)}"
    psql(server, url, f"UPDATE xcom SET value = decode('{lone}', 'hex') WHERE {where}")
    airkeep.export(url, lake, environment="source")
    with pytest.raises(UnfitError, match="1 XComs are neither JSON nor a pickle"):
        airkeep.upgrade(lake, "source/latest", to="3.3.2", dry_run=True)


def meddling(real: Airflow, folder: Path, statement: str) -> Path:
    """A virtual environment whose Airflow does something to the database after its migration."""
    (folder / "bin").mkdir(parents=True)
    python = real.folder / "bin" / "python"
    code = (
        "import os, psycopg2; d = psycopg2.connect(os.environ["
        "'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN'].replace('+psycopg2', '')); "
        f'd.cursor().execute(\\"{statement}\\"); d.commit()'
    )
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    (folder / "bin" / "airflow").write_text(
        f'#!/bin/sh\n{real.folder}/bin/airflow "$@" && {python} -c "{code}"\n'
    )
    for file in (folder / "bin").iterdir():
        file.chmod(0o755)
    return folder


def test_a_difference_that_nothing_explains_is_an_error_and_no_snapshot(
    databases: Databases, tmp_path: Path
) -> None:
    real = Airflow("3.3.2")
    real.install()
    lake = str(tmp_path / "lake")
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="source")
    lost = "DELETE FROM dag_run_note; UPDATE task_instance SET state = NULL WHERE try_number = 1"
    airflow = meddling(real, tmp_path / "meddling", lost)

    with pytest.raises(ProofError) as told:
        airkeep.upgrade(lake, "source/latest", to="3.3.2", airflows=[airflow])

    assert "of 3 run notes 3 are gone" in str(told.value)
    assert "differ in state" in str(told.value)
    assert airkeep.Lake(lake).environments() == ["source"]


@pytest.mark.parametrize("since", [None, timedelta(days=3650)])
def test_sealed_values_that_come_back_in_no_row_are_counted(
    since: timedelta | None, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    real, key = Airflow("3.3.2"), Fernet.generate_key().decode()
    real.install()
    lake, url = str(tmp_path / "lake"), databases.airflow("airflow-2112")
    psql(
        server,
        url,
        "INSERT INTO ab_register_user (id, first_name, last_name, username, password, email, "
        "registration_hash) VALUES (1, 'a', 'b', 'c', 'a hash', 'd', 'a token')",
    )
    airkeep.export(
        url, lake, environment="source", secrets="seal", fernet_key=FERNET_KEY, archive_key=key
    )
    airflow = meddling(real, tmp_path / "meddling", "DELETE FROM ab_register_user")

    done = airkeep.upgrade(lake, "source/latest", to="3.3.2", airflows=[airflow], since=since)

    [told] = [note for note in done.notes if "sealed values are in no row" in note]
    assert told.startswith("2 of ")


def test_a_migration_that_fails_says_what_it_complained_about_and_leaves_nothing(
    databases: Databases, tmp_path: Path
) -> None:
    real = Airflow("3.3.2")
    real.install()
    lake = str(tmp_path / "lake")
    airkeep.export(databases.airflow("airflow-2112"), lake, environment="source")
    back = meddling(real, tmp_path / "meddling", "UPDATE alembic_version SET version_num = '0'")

    with pytest.raises(MigrationError, match="the database is at 0, expected d2f4e1b3c5a7") as told:
        airkeep.upgrade(lake, "source/latest", to="3.3.2", airflows=[back])

    assert "postgresql" not in str(told.value)
    assert airkeep.Lake(lake).environments() == ["source"]
