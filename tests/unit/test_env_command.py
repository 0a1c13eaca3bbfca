"""`airkeep env` and `airkeep up` over a journal: what a place becomes."""

from __future__ import annotations

import dataclasses
import json
import shlex
import socket
import threading
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from airkeep.cli.main import cli
from airkeep.cli.output import Output
from airkeep.cli.travellers import show_foreseen
from airkeep.environment.events import (
    Began,
    Ended,
    Event,
    Kept,
    LocalPlace,
    MwaaPlace,
    Place,
    Placed,
    Recorded,
    Stepped,
)
from airkeep.environment.ground import Pulse
from airkeep.environment.journal import Journal
from airkeep.environment.local.folder import Folder
from airkeep.environment.means import Foreseen
from airkeep.errors import (
    AirkeepError,
    ConfigError,
    HeldError,
    JourneyError,
    LocalAirflowError,
    NoSuchSnapshotError,
    NoWayError,
)
from airkeep.snapshot.lake import Lake
from airkeep.store.local import LocalStore
from airkeep.tables.revisions import revisions_of
from fake_lake import commit, make_manifest, save_files, snapshot_name
from running import free_port

PROD = MwaaPlace("prod", "eu-central-1", None, "arn:aws:iam::123456789012:role/it", "x", "here")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def local(tmp_path: Path) -> LocalPlace:
    return LocalPlace(str(tmp_path / "env"), "3.1.8", str(tmp_path), "/needs.txt", "/plugins", 8090)


def say(lake: Path, environment: str, *events: Event) -> None:
    journal = Journal(LocalStore(lake), environment)
    journal.read()
    for event in events:
        journal.append(event)


def wake(lake: Path, environment: str, place: Place) -> None:
    say(lake, environment, Placed(place), Began("up", datetime.now(UTC)), Ended("done"))


def ask(lake: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--lake", str(lake)])


def place(lake: Path, environment: str) -> Place | None:
    return Journal(LocalStore(lake), environment).read().state.place


def database(local: LocalPlace) -> None:
    data = Path(local.folder) / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").touch()


def test_what_is_not_given_again_stays_as_it_was(lake: Path, local: LocalPlace) -> None:
    wake(lake, "here", local)
    wake(lake, "prod", PROD)
    ask(lake, "env", "add", "here", "--kind", "local", "--port", "9000")
    ask(lake, "env", "add", "prod", "--kind", "mwaa", "--region", "eu-west-1")
    assert place(lake, "here") == LocalPlace(
        local.folder, "3.1.8", local.dags, "/needs.txt", "/plugins", 9000
    )
    assert place(lake, "prod") == MwaaPlace(
        "prod", "eu-west-1", None, PROD.role_arn, PROD.external_id, "here"
    )


def test_what_is_given_empty_is_taken_away(lake: Path) -> None:
    wake(lake, "prod", replace(PROD, name="production"))
    empty = (f"--{flag}=" for flag in ("name", "region", "role-arn", "external-id"))
    ask(lake, "env", "add", "prod", "--kind", "mwaa", *empty)
    assert place(lake, "prod") == MwaaPlace("prod", jobs="here")


@pytest.mark.parametrize(
    ("kind", "flag"), [("mwaa", "--airflow=3.1.8"), ("mwaa", "--port=9"), ("local", "--region=x")]
)
def test_a_flag_of_the_other_kind_is_refused(lake: Path, kind: str, flag: str) -> None:
    refused = ask(lake, "env", "add", "prod", "--kind", kind, flag)
    assert isinstance(refused.exception, SystemExit)
    assert f"{flag.partition('=')[0]} has no meaning with --kind {kind}" in refused.output
    assert place(lake, "prod") is None


def test_of_mwaa_is_told_at_once_that_its_workers_do_not_reach_a_folder(lake: Path) -> None:
    add = ("env", "add", "prod", "--kind", "mwaa")
    told = f"{lake} is a folder of this machine, which prod's workers do not reach"
    assert told in ask(lake, *add).stderr
    assert ask(lake, *add, "--jobs", "here").stderr == ""
    assert place(lake, "prod") == MwaaPlace("prod", jobs="here")


def test_what_sleeps_is_not_looked_for_where_it_is_not_made_again(lake: Path) -> None:
    arn = "arn:aws:airflow:eu-central-1:123456789012:environment/prod"
    definition = json.dumps({"Name": "prod", "Arn": arn})
    wake(lake, "prod", MwaaPlace("prod"))
    say(lake, "prod", Began("down", datetime.now(UTC)), Recorded((), definition), Ended("done"))
    add = ("env", "add", "prod", "--kind", "mwaa")
    for elsewhere in (
        ("--name", "prod2"),
        ("--region", "eu-west-1"),
        ("--role-arn", "arn:aws:iam::210987654321:role/it"),
    ):
        error = ask(lake, *add, *elsewhere).exception
        assert isinstance(error, JourneyError)
        assert "what sleeps is prod in eu-central-1 of the account 123456789012" in str(error)
    assert place(lake, "prod") == MwaaPlace("prod")
    assert PROD.region is not None
    assert PROD.role_arn is not None
    there = ("--region", PROD.region, "--role-arn", PROD.role_arn, "--external-id", "x")
    ask(lake, *add, *there, "--jobs", "here")
    assert place(lake, "prod") == PROD
    wake(lake, "prod", PROD)
    ask(lake, *add, "--name", "prod2")
    assert isinstance(found := place(lake, "prod"), MwaaPlace)
    assert found.name == "prod2"


def test_a_lake_without_environments_says_so(lake: Path) -> None:
    lake.mkdir()
    for question in (("status",), ("env", "list")):
        assert "knows no environment yet: airkeep env add" in ask(lake, *question).output
    unscheduled = ask(lake, "schedule", "run", "-q")  # silent, nothing would ever sleep
    assert isinstance(unscheduled.exception, JourneyError)


@pytest.mark.parametrize(
    "words",
    ["status", "status prod", "env list", "env show prod", "schedule run", "schedule prod",
     "schedule run prod", "down local", "up prod"],
)  # fmt: skip
def test_a_lake_that_is_not_there_is_an_error(lake: Path, words: str) -> None:
    mistyped = ask(lake, *words.split())
    assert isinstance(mistyped.exception, NoSuchSnapshotError)
    assert str(mistyped.exception).startswith(f"there is no folder {lake}")
    assert not lake.exists()


def test_the_first_environment_makes_the_lake(lake: Path) -> None:
    assert ask(lake, "env", "add", "prod", "--kind", "mwaa").exit_code == 0
    assert ask(lake, "env", "list").stdout.splitlines()[-1].split() == [
        "prod",
        "new",
        "mwaa,",
        "prod",
    ]


def test_a_local_one_is_foreseen_and_not_made(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("dags").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    port = str(free_port())
    foresee = ("up", "local", "--airflow", "3.1.8", "--port", port, "--dry-run")
    done = ask(lake, *foresee)
    steps = "create, start, ready"
    assert done.stdout == f"local would take these steps: {steps}\n"
    assert done.stderr == ""
    assert sorted(tmp_path.rglob("*")) == before
    assert place(lake, "local") is None
    tmp_path.joinpath("dags").rmdir()
    warned = ask(lake, *foresee).stderr
    assert f"warning: there is no folder {tmp_path}/dags: Airflow has no DAGs until" in warned


def test_an_airflow_2_without_a_dag_file_is_not_begun(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("dags", "lib").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    done = ask(lake, "up", "local", "--airflow", "2.11.2")
    assert isinstance(done.exception, LocalAirflowError)
    assert "dags holds no DAG file, and Airflow 2.11.2's DAG processor ends" in str(done.exception)
    assert not tmp_path.joinpath(".airkeep", "local").exists()


def test_what_is_awake_does_not_become_another_kind(lake: Path, local: LocalPlace) -> None:
    wake(lake, "here", local)
    wake(lake, "prod", PROD)
    for name, kind in (("here", "mwaa"), ("prod", "local")):
        refused = ask(lake, "env", "add", name, "--kind", kind)
        assert isinstance(refused.exception, JourneyError)
        assert "forget it first" in str(refused.exception)
    say(lake, "new", Placed(PROD))
    assert ask(lake, "env", "add", "new", "--kind", "local").exception is None
    assert isinstance(place(lake, "new"), LocalPlace)


@pytest.mark.parametrize("command", [["env", "add", "here", "--kind", "local"], ["up", "here"]])
def test_a_database_that_is_there_keeps_its_airflow_however_its_journal_stands(
    lake: Path, local: LocalPlace, command: list[str]
) -> None:
    say(lake, "here", Placed(local))
    database(local)
    refused = ask(lake, *command, "--airflow", "3.3.2")
    assert isinstance(refused.exception, ConfigError)
    assert "its database is of Airflow 3.1.8" in str(refused.exception)


@pytest.mark.parametrize("is_run", [True, False])
def test_an_up_that_is_not_let_moves_nothing(
    lake: Path, local: LocalPlace, *, is_run: bool
) -> None:
    wake(lake, "here", local)
    folder = Folder(Path(local.folder))
    folder.make()
    folder.make_secrets()
    with folder.hold() if is_run else nullcontext():
        if not is_run:
            say(lake, "here", Began("down", datetime.now(UTC) + timedelta(minutes=5)))
        refused = ask(lake, "up", "here", "--port", "9000")
    assert isinstance(refused.exception, HeldError)
    assert place(lake, "here") == local


@pytest.mark.parametrize("command", ["up", "down"])
def test_one_that_is_not_on_this_machine_gets_no_new_secrets(
    lake: Path, local: LocalPlace, command: str
) -> None:
    wake(lake, "here", local)
    refused = ask(lake, command, "here")
    assert isinstance(refused.exception, LocalAirflowError)
    assert "is not on this machine, or was moved" in str(refused.exception)
    assert not Path(local.folder).exists()


def test_one_that_was_moved_is_told_where_it_is(
    lake: Path, local: LocalPlace, tmp_path: Path
) -> None:
    wake(lake, "here", local)
    moved = tmp_path / "moved"
    moved.mkdir()
    ask(lake, "env", "add", "here", "--kind", "local", "--folder", str(moved))
    found = place(lake, "here")
    assert isinstance(found, LocalPlace)
    assert (found.folder, found.airflow) == (str(moved), "3.1.8")


def test_a_status_is_watched_until_the_journey_has_ended(lake: Path, local: LocalPlace) -> None:
    wake(lake, "here", local)
    wake(lake, "prod", PROD)
    journey = Journal(LocalStore(lake), "prod")
    journey.read()
    journey.append(Began("down", datetime.now(UTC) + timedelta(minutes=5)))
    ending = threading.Timer(1.5, journey.append, [Ended("failed", "the gate is shut")])
    ending.start()
    watched = ask(lake, "status", "--watch")
    ending.join()
    assert "prod: down: begun, 0 of 0 done" in watched.stderr
    assert "prod: its last journey failed: the gate is shut" in watched.stderr
    assert [line.split()[:3] for line in watched.stdout.splitlines()[-2:]] == [
        ["here", "local", "awake"], ["prod", "mwaa", "awake"],
    ]  # fmt: skip
    unknown = ask(lake, "status", "prd")
    assert isinstance(unknown.exception, JourneyError)
    assert "no environment 'prd' (did you mean prod?), but here, prod: " in str(unknown.exception)
    ask(lake, "env", "forget", "prod", "--force")
    forgotten = ask(lake, "down", "prod")
    assert "knows no environment 'prod', but here: airkeep env add" in str(forgotten.exception)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ("up local --airflow 2.99.0", 88, "2.99.0"),
        ("env add local --kind local --airflow 2.99.0", 88, "2.99.0"),
        ("up local --airflow 3.1.8 --plugins needs.txt", 3, "expected a zip file or a folder"),
        ("up local --dags ''", 3, "--dags '': there is nothing of that name"),
        ("up local --port {port}", 99, "cannot be had (Address already in use)"),
    ],
)
def test_a_flag_that_cannot_be_is_not_remembered(
    lake: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    status: int,
    told: str,
) -> None:
    tmp_path.joinpath("dags").mkdir()
    tmp_path.joinpath("dags", "one.py").touch()
    tmp_path.joinpath("needs.txt").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no uv there
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ask(lake, *shlex.split(words.format(port=port)))
    assert isinstance(done.exception, AirkeepError)
    assert (done.exception.exit_status, told in str(done.exception)) == (status, True)
    assert place(lake, "local") is None
    assert not tmp_path.joinpath(".airkeep").exists()


def asleep(lake: Path, local: LocalPlace, *revisions: str) -> None:
    """A journal that ends with its sleep as a snapshot of an Airflow."""
    name = snapshot_name(0, "here")
    manifest = dataclasses.replace(make_manifest(name), revisions=revisions)
    save_files(LocalStore(lake), manifest)
    commit(LocalStore(lake), manifest)
    kept = Kept(str(name), Lake(lake).get(name).manifest_sha256)
    say(lake, "here", Placed(local), Began("down", datetime.now(UTC)), kept)
    say(lake, "here", Stepped("gone", is_done=True), Ended("done"))
    folder = Folder(Path(local.folder))
    folder.make()
    folder.make_secrets()


def test_an_older_airflow_than_what_sleeps_is_refused_at_once_and_not_remembered(
    lake: Path, local: LocalPlace
) -> None:
    newer = replace(local, airflow="3.3.2", plugins=None)
    asleep(lake, newer, *revisions_of("3.3.2"))
    told = (
        "here cannot wake in Airflow 3.1.8: the snapshot is of Airflow 3.3.0 or later, which is "
        "newer than 3.1.8: an upgrade goes up only. Choose another: airkeep up here --airflow "
        "VERSION"
    )
    foreseen = ask(lake, "up", "here", "--airflow", "3.1.8", "--dry-run")
    assert f"it would be refused: {told}\n" in foreseen.stdout
    refused = ask(lake, "up", "here", "--airflow", "3.1.8")
    assert (type(refused.exception), str(refused.exception)) == (NoWayError, told)
    assert place(lake, "here") == newer
    assert not Path(newer.folder, "postgres").exists()
    assert "refused" not in ask(lake, "up", "here", "--dry-run").output


def test_what_is_newer_than_what_is_known_its_own_airflow_judges(
    lake: Path, local: LocalPlace
) -> None:
    asleep(lake, replace(local, airflow="3.9.0", plugins=None), "deadbeef0001")
    foreseen = ask(lake, "up", "here", "--dry-run").stdout
    assert "restore" in foreseen
    assert "refused" not in foreseen


def test_what_somebody_runs_is_foreseen_to_be_refused(lake: Path, local: LocalPlace) -> None:
    asleep(lake, replace(local, plugins=None), *revisions_of("3.1.8"))
    with Folder(Path(local.folder)).hold():
        assert "it would be refused: " in ask(lake, "up", "here", "--dry-run").stdout
    say(lake, "here", Began("up", datetime.now(UTC) + timedelta(minutes=5)))
    waiting = ask(lake, "down", "here", "--dry-run").stdout
    assert waiting.startswith("it would be refused: an `airkeep up here` is at work")


def test_a_dry_run_tells_of_tasks_whose_airflow_has_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = Foreseen("here", ("record",), pulse=Pulse(0, None, orphaned=1))
    show_foreseen(found, Output())
    assert "warning: tasks at work when Airflow was ended: 1. They sleep" in capsys.readouterr().err


def test_what_never_was_is_not_to_be_woken_from_a_snapshot(lake: Path, local: LocalPlace) -> None:
    say(lake, "here", Placed(local))
    folder = Folder(Path(local.folder))
    folder.make()
    folder.make_secrets()
    told = str(ask(lake, "down", "here").exception)
    assert told.endswith("If it never was: airkeep up here makes it")


def test_what_is_not_known_here_is_told_how_to_make_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["status"], ["status", "local"], ["down", "local"]):
        nothing = CliRunner().invoke(cli, words)
        assert isinstance(nothing.exception, ConfigError)
        told = "there is no .airkeep/lake here, which airkeep up local makes"
        assert told in str(nothing.exception)
    tmp_path.joinpath(".airkeep", "lake").mkdir(parents=True)
    unknown = CliRunner().invoke(cli, ["down", "prod"])
    assert str(unknown.exception) == (
        f"{tmp_path}/.airkeep/lake knows no environment 'prod': airkeep env add prod --kind mwaa, "
        f"or local"
    )
    unmade = CliRunner().invoke(cli, ["status", "local"])
    assert str(unmade.exception) == (
        f"{tmp_path}/.airkeep/lake knows no environment 'local': airkeep up local"
    )


def test_no_environment_takes_the_name_of_a_command_that_is_to_reach_it(lake: Path) -> None:
    refused = ask(lake, "env", "add", "run", "--kind", "mwaa")
    assert isinstance(refused.exception, ConfigError)
    assert "`airkeep schedule run` is a command" in str(refused.exception)
    assert place(lake, "run") is None


def test_a_status_tells_of_one_here_that_no_process_runs(lake: Path, local: LocalPlace) -> None:
    wake(lake, "here", local)
    assert "awake, not running" not in ask(lake, "status").output  # it is on another machine
    database(local)
    told = ask(lake, "status")
    assert "awake, not running" in told.stdout
    assert "here: no process runs it: airkeep up here goes on where it was" in told.stderr
    with Folder(Path(local.folder)).hold():
        assert "awake, not running" not in ask(lake, "status").output
