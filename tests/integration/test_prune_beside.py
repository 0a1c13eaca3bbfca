"""A prune beside others: writers, another prune, a signal; and what the lake knows afterwards."""

from __future__ import annotations

import json
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import airkeep
from airkeep.cli.main import cli
from airkeep.database.address import parse_address
from airkeep.errors import (
    ConfigError,
    NoSuchSnapshotError,
    OtherDatabaseError,
    PrivilegeError,
    PruneError,
    SnapshotError,
)
from airkeep.prune.plan import PrunePlan
from airkeep.snapshot.progress import Step
from command import start
from compare import data_of
from rewound import Rewound, an_old_run, is_there, prune, runs_are_whole
from servers import Databases, Templates, query


@contextmanager
def transaction(url: str, *statements: str) -> Iterator[Any]:
    """Another session's open transaction that has run these; rolled back at the end."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executescript("; ".join(["BEGIN", *statements]))
        yield cursor
        cursor.executescript("ROLLBACK")


def test_a_run_that_somebody_has_locked_is_passed_over_and_nobody_waits(world: Rewound) -> None:
    url = world.again()
    run, _, _ = an_old_run(url)
    with transaction(url, f"SELECT 1 FROM dag_run WHERE id = {run} FOR UPDATE"):
        result = prune(url, world, batch_rows=100)
        assert is_there(url, run)
    assert (result.left, result.rows["dag_run"]) == (0, result.plan.units["dag_run"] - 1)
    assert prune(url, world).rows["dag_run"] == 1
    world.gone(world.rows, url)


def test_a_batch_with_a_row_that_somebody_has_locked_is_left_for_another_time(
    world: Rewound,
) -> None:
    url = world.again()
    run, _, _ = an_old_run(url)
    with transaction(url, f"SELECT 1 FROM xcom WHERE dag_run_id = {run} FOR UPDATE"):
        result = prune(url, world, batch_rows=100)
        assert is_there(url, run)
    assert result.left == 1
    assert result.rows["dag_run"] > 10
    runs_are_whole(world.then, url)
    assert prune(url, world).left == 0
    assert not is_there(url, run)


CHANGES = [
    "UPDATE xcom SET value = '\"other\"' WHERE dag_run_id = {run}",
    "UPDATE dag_run SET state = 'queued' WHERE id = {run}",
    "UPDATE task_instance SET state = NULL WHERE run_id = '{name}' AND dag_id = '{dag}'",
    "DELETE FROM xcom WHERE dag_run_id = {run}; UPDATE dag_run SET conf = '{{}}' WHERE id = {run}",
    "INSERT INTO dag_run_note (dag_run_id, content, created_at, updated_at) "
    "VALUES ({run}, 'seen', now(), now())",
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_the_plan_and_the_deed_stays(change: str, world: Rewound) -> None:
    url = world.again()
    run, dag, name = an_old_run(url)
    before: dict[str, list[str]] = {}

    def meanwhile(_: PrunePlan) -> bool:
        world.psql(url, change.format(run=run, dag=dag, name=name))
        before.update(data_of(url))
        return True

    result = prune(url, world, confirm=meanwhile)
    assert is_there(url, run)
    assert result.rows["dag_run"] == result.plan.units["dag_run"] - 1
    assert world.gone(before, url)["dag_run"] == result.rows["dag_run"]


def test_who_says_no_keeps_everything(world: Rewound) -> None:
    url = world.again()
    assert prune(url, world, confirm=lambda _: False).total == 0
    assert data_of(url) == world.rows


def test_two_prunes_at_once_share_the_work(world: Rewound, tmp_path: Path) -> None:
    url = world.again()
    usual = prune(url, world).rows
    url = world.again()
    flags = ("--older-than", "0s", "--batch-rows", "20", "--pause-ms", "5", "--json", "-q")
    both = [start(tmp_path, url, "prune", "env:", world.lake, *flags) for _ in range(2)]
    done = [process.communicate(timeout=120) for process in both]
    assert [p.returncode for p in both] == [0, 0], done
    gone = world.gone(world.rows, url)
    assert gone == {t: n for t, n in usual.items() if n}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_between_batches_and_another_run_goes_on(
    number: signal.Signals, world: Rewound, tmp_path: Path
) -> None:
    url = world.again()
    process = start(tmp_path, url, *COMMAND, world.lake, "--batch-rows", "20", "--pause-ms", "50")
    wait_until_less(url, "dag_run", 78)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (143 if number == signal.SIGTERM else 130)
    assert "rows are deleted, every batch whole: run it again to go on" in said
    gone = world.gone(world.rows, url)
    assert 0 < gone["dag_run"] < 50
    runs_are_whole(world.then, url)
    rest = prune(url, world)
    assert rest.rows["dag_run"] + gone["dag_run"] == 56
    assert prune(url, world).total == 0


COMMAND = ("prune", "env:", "--older-than", "0s")


def wait_until_less(url: str, table: str, rows: int) -> None:
    deadline = time.monotonic() + 60
    while query(url, f"SELECT count(*) < {rows} FROM {table}") == [(False,)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_snapshot_that_does_not_verify_proves_nothing(
    templates: Templates, tmp_path: Path
) -> None:
    world = Rewound(templates, "airflow-2112", tmp_path)
    url = world.again()
    airkeep.verify(world.lake)  # an older verify does not count
    [file] = Path(world.lake).glob("tables/slot_pool/*/*/*.parquet")
    kept = file.read_bytes()
    file.write_bytes(bytes([*kept[:-9], kept[-9] ^ 1, *kept[-8:]]))
    with pytest.raises(SnapshotError, match=r"does not verify, so nothing was deleted.*slot_pool"):
        prune(url, world)
    file.unlink()
    with pytest.raises(SnapshotError, match="does not verify"):
        prune(url, world)
    assert data_of(url) == world.rows
    world.drop()


def test_another_database_is_refused_even_where_its_rows_are_equal(
    databases: Databases, world: Rewound
) -> None:
    url = databases.airflow("airflow-332")
    with pytest.raises(OtherDatabaseError, match="another database of the server"):
        prune(url, world)
    assert data_of(url) == world.rows


def test_the_snapshot_is_chosen_by_environment_or_name(world: Rewound) -> None:
    url = world.again()
    with pytest.raises(NoSuchSnapshotError, match="no environment 'test'"):
        prune(url, world, environment="test")
    plan = prune(url, world, environment="prod", dry_run=True).plan
    assert prune(url, world, snapshot=plan.snapshot, dry_run=True).plan.rows == plan.rows


def test_only_named_tables_and_what_hangs_on_them(world: Rewound) -> None:
    url = world.again()
    usual = prune(url, world, dry_run=True).plan
    expected = {t.table: t.rows for t in usual.tables}
    result = prune(url, world, tables=["xcom"])
    assert world.gone(world.rows, url) == {"xcom": expected["xcom"]}
    assert result.vacuum == "VACUUM (ANALYZE) public.xcom"
    url = world.again()
    prune(url, world, tables=["task_instance", "log"])
    gone = world.gone(world.rows, url)
    assert "dag_run" not in gone
    assert {"task_instance", "task_instance_history", "xcom", "log"} <= gone.keys()
    with pytest.raises(ConfigError, match=r"--tables task_instnce.*did you mean task_instance"):
        prune(url, world, tables=["task_instnce"])
    with pytest.raises(ConfigError, match="--tables connection"):
        prune(url, world, tables=["connection"])


def test_an_age_that_is_still_to_come_is_a_mistake(world: Rewound) -> None:
    with pytest.raises(ConfigError, match="still to come"):
        prune("postgresql://nowhere", world, older_than=-timedelta(days=1))


def test_the_next_increments_note_it_and_the_history_still_holds_every_row(
    templates: Templates, tmp_path: Path
) -> None:
    world = Rewound(templates, "airflow-332", tmp_path)
    url = world.again()
    result = prune(url, world)
    name = airkeep.export(url, world.lake, environment="prod", increment=True)
    assert all(r.ok for r in airkeep.verify(world.lake))
    assert airkeep.compare(world.lake, name, url).equal
    for table in ("task_instance", "dag_run", "xcom", "log"):
        [now] = airkeep.query(world.lake, f"SELECT count(*) AS n FROM {table}").to_pylist()
        [ever] = airkeep.query(world.lake, f"SELECT count(*) AS n FROM history.{table}").to_pylist()
        assert now["n"] == len(world.rows[table]) - result.rows[table]
        assert ever["n"] == len(world.rows[table])
    world.psql(url, "UPDATE dag_run SET conf = conf")
    airkeep.export(url, world.lake, environment="prod", increment=True)
    assert prune(url, world).total == 0
    assert all(r.ok for r in airkeep.verify(world.lake))
    world.drop()


def test_orphans_leave_by_their_own_dates(templates: Templates, tmp_path: Path) -> None:
    world = Rewound(
        templates, "airflow-332", tmp_path, "SET session_replication_role = replica",
        "DELETE FROM dag_run WHERE id IN (SELECT min(id) FROM dag_run GROUP BY dag_id LIMIT 3)",
        "DELETE FROM task_instance WHERE id = (SELECT ti.id FROM task_instance ti JOIN xcom x "
        "USING (dag_id, task_id, run_id, map_index) WHERE NOT EXISTS (SELECT FROM dag_run r WHERE "
        "r.dag_id = ti.dag_id AND r.run_id = ti.run_id) LIMIT 1)",
    )  # fmt: skip
    url = world.again()
    orphans = (
        "SELECT count(*) FROM {} c WHERE NOT EXISTS (SELECT FROM dag_run r "
        "WHERE r.dag_id = c.dag_id AND r.run_id = c.run_id)"
    )
    for table in ("task_instance", "xcom"):
        assert query(url, orphans.format(table)) != [(0,)]
    plan = prune(url, world).plan
    assert "task_instance without a run" in plan.units
    world.gone(world.rows, url)
    for table in ("task_instance", "xcom", "task_instance_history"):
        assert query(url, orphans.format(table)) == [(0,)]
    world.drop()


def test_who_may_not_delete_leaves_no_mark(world: Rewound) -> None:
    url = world.again()
    world.psql(
        url, "CREATE ROLE looker LOGIN PASSWORD 'sees'",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker",
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO looker",
    )  # fmt: skip
    marks = list(Path(world.lake).glob("snapshots/*/*/pruned/*"))
    try:
        looker = replace(parse_address(url), user="looker", password="sees").reveal()
        assert prune(looker, world, dry_run=True).plan.rows > 100
        with pytest.raises(PrivilegeError, match="prune as the owner"):
            prune(looker, world)
    finally:
        world.psql(url, "DROP OWNED BY looker", "DROP ROLE looker")
    assert list(Path(world.lake).glob("snapshots/*/*/pruned/*")) == marks
    assert data_of(url) == world.rows


def test_neither_a_retention_nor_a_compaction_takes_what_was_pruned(
    templates: Templates, tmp_path: Path
) -> None:
    world = Rewound(templates, "airflow-2112", tmp_path)
    url = world.again()
    assert prune(url, world, dry_run=True).plan.rows > 100
    assert not list(Path(world.lake).glob("snapshots/*/*/pruned/*"))
    result = prune(url, world)
    assert len(list(Path(world.lake).glob("snapshots/*/*/pruned/*.json"))) == 1
    for number in range(2):
        query(url, f"UPDATE slot_pool SET description = 'round {number}'")
        airkeep.export(url, world.lake, environment="prod", increment=True)
    query(url, "UPDATE slot_pool SET description = 'last'")
    airkeep.export(url, world.lake, environment="prod")

    told = CliRunner().invoke(cli, ["clean", world.lake, "--keep-last", "1", "--dry-run"])
    assert f"kept {result.plan.snapshot}: what was pruned" in told.stderr
    airkeep.clean(world.lake, keep_last=1, grace=timedelta(0))
    folded = airkeep.compact(world.lake)
    assert [str(n) for n in airkeep.Lake(world.lake).names()][-1] == result.plan.snapshot
    assert not folded.compacted
    [ever] = airkeep.query(world.lake, "SELECT count(*) AS n FROM history.xcom").to_pylist()
    assert ever["n"] == len(world.rows["xcom"])
    world.drop()


def test_a_chain_with_a_mark_is_not_folded(templates: Templates, tmp_path: Path) -> None:
    world = Rewound(templates, "airflow-2112", tmp_path)
    url = world.again()
    prune(url, world)
    airkeep.export(url, world.lake, environment="prod", increment=True)
    plan = airkeep.compact(world.lake).plan
    assert "holds what was pruned, left as it is" in plan.warnings[0]
    assert len(airkeep.Lake(world.lake).names()) == 2
    world.drop()


IDENTITY = {
    "xcom": "dag_run_id || '/' || task_id || '/' || map_index || '/' || key",
    "task_instance": "id::text",
    "dag_run": "id::text",
}
DEEDS = {
    "INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_result, dag_id, run_id, value, "
    "timestamp) SELECT r.id, t.task_id, t.map_index, '{key}', false, t.dag_id, t.run_id, '1', "
    "now() FROM task_instance t JOIN dag_run r USING (dag_id, run_id) "
    "ORDER BY random() LIMIT 1": "xcom",
    "UPDATE xcom SET value = '1' WHERE ctid = "
    "(SELECT ctid FROM xcom ORDER BY random() LIMIT 1)": "xcom",
    "UPDATE task_instance SET hostname = '{key}' WHERE id = "
    "(SELECT id FROM task_instance ORDER BY random() LIMIT 1)": "task_instance",
    "UPDATE dag_run SET triggering_user_name = '{key}' WHERE id = "
    "(SELECT id FROM dag_run ORDER BY random() LIMIT 1)": "dag_run",
}


def write_wildly(url: str, seed: int, stop: threading.Event, kept: list[tuple[str, str]]) -> None:
    """Change and add rows of runs that are about to leave; `kept` is what was committed."""
    from adbc_driver_postgresql import dbapi

    chance = random.Random(seed)
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        number = 0
        while not stop.wait(0.01):  # else every run is changed before it could leave
            number += 1
            deed, table = chance.choice(list(DEEDS.items()))
            done = f"{deed.format(key=f'w{seed}-{number}')} RETURNING {IDENTITY[table]} AS row"
            try:
                cursor.execute(done)
                rows = cursor.fetchall()
            except dbapi.Error:
                continue  # its run has just left
            kept += [(table, row) for (row,) in rows]


@pytest.mark.parametrize(
    "rounds", [pytest.param(1, id="once"), pytest.param(20, id="often", marks=pytest.mark.slow)]
)
def test_whatever_is_written_while_it_deletes_stays(rounds: int, world: Rewound) -> None:
    for number in range(rounds):
        url, stop, kept = world.again(), threading.Event(), list[tuple[str, str]]()
        writers = [
            threading.Thread(target=write_wildly, args=(url, 10 * number + n, stop, kept))
            for n in range(2)
        ]

        def begin(step: Step, waiting: list[threading.Thread] = [*writers]) -> None:  # noqa: B006
            while step.doing.startswith("deleting") and waiting:
                waiting.pop().start()

        try:
            result = prune(url, world, progress=begin, batch_rows=15)
        finally:
            stop.set()
            for writer in writers:
                writer.join(60)
        assert result.rows["dag_run"] > 3
        assert len(kept) > 5
        for table, identity in IDENTITY.items():
            there = {row for (row,) in query(url, f"SELECT {identity} FROM {table}")}
            assert {row for written, row in kept if written == table} <= there


def test_the_command_says_what_would_go_what_went_and_what_stayed(
    world: Rewound, tmp_path: Path
) -> None:
    url = world.again()

    def run(*words: str) -> tuple[int, str, str]:
        process = start(tmp_path, url, *COMMAND, world.lake, *words)
        said, beside = process.communicate(timeout=120)
        return process.returncode, said, beside

    status, said, _ = run("--dry-run")
    assert status == 0
    assert re.search(r"^table +old +to delete +about +changed +not in it +held", said)
    assert re.search(r"^task_instance +357 +357 ", said, re.MULTILINE)
    assert "holds unchanged" in said
    assert data_of(url) == world.rows
    run_id, _, _ = an_old_run(url)
    with transaction(url, f"SELECT 1 FROM xcom WHERE dag_run_id = {run_id} FOR UPDATE"):
        status, said, beside = run("--pause-ms", "0", "--batch-rows", "100")
    assert status == 15
    assert re.match(r"[\d,]+ rows, about [\d.]+ \wB, deleted from", said)
    assert "1 part of" in beside
    assert "run it again" in beside
    assert "VACUUM (ANALYZE) public.dag_run" in beside
    status, said, _ = run("--pause-ms", "0", "--json")
    assert status == 0
    assert json.loads(said)["rows"]["dag_run"] > 0
    assert run("--older-than", "0s", "--environment", "prod", "--snapshot", "latest")[0] == 2


def test_whoever_does_not_ask_is_told_the_plan_before_the_first_row_goes(
    world: Rewound, tmp_path: Path
) -> None:
    plan = re.compile(
        r"to delete: [\d,]+ rows older than \S+ that prod/\S+ holds unchanged, [\d.]+ \wB, "
        r"in \d+ batches: about a minute"
    )
    for words in ((), ("--yes",), ("--json",)):
        url = world.again()
        run, _, _ = an_old_run(url)
        process = start(tmp_path, url, *COMMAND, world.lake, "--batch-rows", "100", *words)
        assert process.stderr is not None
        with transaction(url, f"SELECT 1 FROM xcom WHERE dag_run_id = {run} FOR UPDATE"):
            assert plan.match(process.stderr.readline())
        said, beside = process.communicate(timeout=60)
        assert process.returncode == 0
        assert len(plan.findall(beside)) == 0
        assert json.loads(said)["rows"]["dag_run"] > 10 if words == ("--json",) else said
    url = world.again()
    process = start(tmp_path, url, *COMMAND, world.lake, "--yes", "-q")
    said, beside = process.communicate(timeout=60)
    assert (process.returncode, beside) == (0, "")
    assert " deleted from " in said


def test_a_lake_of_several_environments_wants_one_named(world: Rewound, tmp_path: Path) -> None:
    lake = str(tmp_path / "lake")
    for environment in ("one", "two"):
        airkeep.export(world.again(), lake, environment=environment)
    with pytest.raises(NoSuchSnapshotError, match=r"of 2 environments, one, two: .* --environment"):
        airkeep.prune(world.again(), lake, older_than=timedelta(0))


def test_a_sqlite_file_is_refused(world: Rewound, tmp_path: Path) -> None:
    file = tmp_path / "airflow.db"
    file.write_bytes(b"")
    with pytest.raises(PruneError, match="PostgreSQL only"):
        prune(str(file), world)


def test_a_row_that_is_named_since_the_plan_stays_though_no_foreign_key_says_so(
    world: Rewound,
) -> None:
    url = world.again()
    prune(url, world)
    jobs = "SELECT id FROM job"
    [gone] = {j for (j,) in query(world.then, jobs)} - {j for (j,) in query(url, jobs)}
    [(latest,)] = query(url, "SELECT id::text FROM task_instance LIMIT 1")
    url = world.again()

    def name_it(_: PrunePlan) -> bool:
        query(url, f"UPDATE task_instance SET queued_by_job_id = {gone} WHERE id = '{latest}'")
        return True

    result = prune(url, world, confirm=name_it)
    assert result.plan.units["job"] == 1
    assert (gone,) in query(url, jobs)
