"""Jobs elsewhere: what they are made of, and what they may not hold."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import botocore.session
import click
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from airkeep.aws import glue_jobs
from airkeep.aws.policies import JOBS
from airkeep.aws.policy import Names
from airkeep.aws.session import HERE
from airkeep.aws.wait import Patience
from airkeep.cli.job_words import with_lake, with_name
from airkeep.cli.main import COMMANDS, cli, run
from airkeep.database.address import Address
from airkeep.errors import AddressError, ConfigError, JobError, JobFailedError
from airkeep.jobs.connection import from_jdbc, to_jdbc
from airkeep.jobs.dag import run_on_dag
from airkeep.jobs.glue import _Job, run_on_glue
from airkeep.jobs.glue_plan import (
    CONNECTION,
    ENVIRONMENT,
    SCRIPT,
    TOKEN,
    GlueShape,
    job_definition,
    run_arguments,
    script_name,
)
from airkeep.jobs.here import run_command, run_here
from airkeep.jobs.inside import run_inside
from airkeep.jobs.job import (
    INSIDE,
    OUTSIDE,
    Outcome,
    Result,
    as_json,
    check_command,
    check_token,
    cut_bytes,
    make_token,
    read_result,
    told_of_cut,
)  # fmt: skip
from airkeep.jobs.record import Record, document_at, jobs_of, run_once
from airkeep.store.local import LocalStore
from told_glue import JSON, VARIABLES, told_glue
from told_http import Answer, Asked, told_http

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)


@given(
    host=st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True),
    port=st.none() | st.integers(1, 65535),
    database=TEXT.filter(bool),
    user=TEXT,
    password=TEXT,
    sslmode=st.none() | st.sampled_from(["require", "verify-full"]),
)
def test_an_address_comes_back_from_jdbc_and_its_url_shows_no_password(
    host: str, port: int | None, database: str, user: str, password: str, sslmode: str | None
) -> None:
    options = (("sslmode", sslmode),) if sslmode else ()
    address = Address("postgresql", database, host, port, user, password, options)
    url = to_jdbc(address)
    assert from_jdbc(url, user, password) == address
    assert "@" not in url


@pytest.mark.parametrize(
    "address", [Address("sqlite", "a.db"), Address("postgresql", "airflow", "/run/postgresql"),
                Address("postgresql", "airflow")],
)  # fmt: skip
def test_what_no_other_machine_reaches_is_no_address_for_a_job(address: Address) -> None:
    with pytest.raises(AddressError, match="on this machine"):
        to_jdbc(address)


def test_a_connection_to_another_database_is_said_so() -> None:
    with pytest.raises(AddressError, match="none to PostgreSQL"):
        from_jdbc("jdbc:mysql://host/db", "u", "p")


def test_every_command_is_a_jobs_or_is_not_for_a_reason() -> None:
    assert {*INSIDE, *OUTSIDE} == set(COMMANDS)
    assert not {*INSIDE} & {*OUTSIDE}


def leaves(command: click.Command) -> list[click.Command]:
    """The command itself, or those of a group."""
    return list(command.commands.values()) if isinstance(command, click.Group) else [command]


@pytest.mark.parametrize("name", INSIDE)
def test_every_command_of_a_job_speaks_json(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for leaf in leaves(command):
        assert "--json" in {option for parameter in leaf.params for option in parameter.opts}


def test_a_job_is_told_the_lake_that_its_caller_means() -> None:
    url = "s3://b/lake"
    for words, told in [
        (["export", "env:", "-"], ["export", "env:", url]),
        (["export", "-", "-"], ["export", "-", url]),
        (["cost", "by-dag", "--since", "7d", "-"], ["cost", "by-dag", "--since", "7d", url]),
        (["query", "--json", "--", "-", "-"], ["query", "--json", "--", url, "-"]),
        (["export", "-", "s3://o/lake"], ["export", "-", "s3://o/lake"]),
        (["cost", "estimate"], ["cost", "estimate"]),
    ]:
        assert with_lake(words, lambda: url) == told


def test_a_job_is_told_our_name_of_an_environment_before_its_own_flags() -> None:
    for words, told in [
        (["export", "env:", "-"], ["export", "--environment", "prod", "env:", "-"]),
        (["cost", "by-dag", "-"], ["cost", "by-dag", "--environment", "prod", "-"]),
        (["snapshots", "-"], ["snapshots", "-"]),
    ]:
        assert with_name(words, "prod", "acme-prod") == told


def test_a_command_is_asked_for_json_before_its_bare_words() -> None:
    assert as_json(["cost", "by-dag", "-"]) == ["cost", "by-dag", "-", "--json"]
    assert as_json(["query", "--", "-", "SELECT 1"]) == ["query", "--json", "--", "-", "SELECT 1"]
    assert as_json(["verify", "--json", "-"]) == ["verify", "--json", "-"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ([], "needs a command"),
        (None, "needs a command"),
        ("verify -", "needs a command, a list of words"),
        (["verify", 1], "needs a command, a list of words"),
        (["verify", "a\0b"], "needs a command, a list of words"),
        (["exprot"], "did you mean export"),
        (["sh", "-c", "true"], "'sh' is no command for a job"),
        (["--version"], "is no command for a job"),
        (["shell", "-"], "it waits for somebody"),
        (["key"], "its answer is a secret"),
        (["job", "run"], "starts no other"),
        (["down", "prod"], "run it where you are"),
        (["export", "postgresql://u:secret@host/db"], "holds a password"),
        (["export", "postgresql://u:s/e@secret@host/db"], "holds a password"),
        (["export", "postgresql://host/db?Password=secret"], "holds a password"),
        (["export", "host=x password=secret"], "holds a password"),
        (["export", "PASSWORD=secret"], "holds a password"),
    ],
)
def test_what_is_no_command_of_a_job_is_refused_with_the_reason(command: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        check_command(command)
    assert "secret" not in str(refused.value).replace("its answer is a secret", "")


def test_a_command_without_a_password_is_taken_as_it_is() -> None:
    command = ["export", "env:", "s3://bucket/lake", "--since", "30d", "postgresql://u@h/db"]
    assert check_command(command) == check_command(tuple(command)) == command


def test_a_token_is_a_name_of_a_folder() -> None:
    assert check_token(make_token(NOW, "1f0c9a3e")) == "20261121T143000Z-1f0c9a3e"
    for odd in ("", "a/b", "..", "a b", "x" * 81):
        with pytest.raises(ConfigError, match="is no token"):
            check_token(odd)


def test_a_result_needs_a_status_only() -> None:
    assert read_result('{"status": 0}', "x") == Result(0)
    whole = Result(41, {"rows": 7}, "no key")
    assert read_result(whole.json(), "x") == whole
    for odd in ("", "[]", "{}", '{"status": "0"}'):
        with pytest.raises(JobError, match="s3://x is no result"):
            read_result(odd, "s3://x")


def shapes(operation: str) -> Any:
    model = botocore.session.get_session().get_service_model("glue")
    return model.operation_model(operation).input_shape


def test_a_definition_is_what_glue_takes() -> None:
    definition = job_definition(
        GlueShape(), role="r", script="s3://b/x.py", connection="c", environment="prod"
    )
    for operation, asked in (
        ("CreateJob", {"Name": "j", **definition}),
        ("UpdateJob", {"JobName": "j", "JobUpdate": definition}),
    ):
        report = ParamValidator().validate(asked, shapes(operation))
        assert not report.has_errors(), report.generate_report()


def test_a_job_is_by_default_two_small_workers_for_an_hour() -> None:
    made = job_definition(GlueShape(), role="r", script="s", connection="c", environment="prod")
    told = (made["WorkerType"], made["NumberOfWorkers"], made["MaxRetries"], made["Timeout"])
    assert told == ("G.1X", 2, 1, 60)
    assert made["DefaultArguments"]["--additional-python-modules"].startswith("airkeep[aws]==")


def test_the_script_is_named_by_its_content_and_is_python() -> None:
    compile(SCRIPT, script_name(), "exec")
    assert script_name().startswith("airkeep-")
    assert run_arguments(["x"], token="t", result="s3://r", region="r", secret=None).keys() == {
        "--AIRKEEP_JOB_COMMAND", "--AIRKEEP_JOB_TOKEN", "--AIRKEEP_JOB_RESULT",
        "--AIRKEEP_JOB_REGION",
    }  # fmt: skip


def test_policies_and_jobs_speak_of_the_same_folder(tmp_path: Any) -> None:
    names = Names(environment="prod", bucket="b", prefix="lake")
    assert jobs_of("s3://b/lake/") == "s3://b/lake/jobs"
    assert names.objects(JOBS, "*") == "arn:aws:s3:::b/lake/jobs/*"


def test_one_token_is_one_job(tmp_path: Any) -> None:
    record = Record(LocalStore(tmp_path), "t")
    assert record.ask("dag", "prod", ["verify", "x"], NOW)
    assert not record.ask("dag", "prod", ["verify", "x"], NOW)
    assert record.result() is None
    with pytest.raises(JobError, match="another job was asked for"):
        record.ask("dag", "prod", ["prune", "x"], NOW)


@pytest.mark.parametrize("on", ["glue", "dag"])
def test_a_token_that_is_used_up_answers_no_other_command(
    on: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    folder, patience = LocalStore(tmp_path), Patience(0)
    record = Record(folder, "t")
    record.ask(on, "prod", ["clean"], NOW)
    assert record.kept.save(Result(0, {"files": 7}).json())

    def ask(environment: str, command: str) -> Outcome:
        given: dict[str, Any] = {"environment": environment, "folder": folder, "token": "t"}
        if on == "dag":
            return run_on_dag([command], patience=patience, **given)
        return run_on_glue([command], role="r", patience=patience, **given)

    with told_glue({"GetJobRuns": [{"JobRuns": []}]}) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert ask("prod", "clean").result.summary == {"files": 7}
        for other in (("prod", "prune"), ("dev", "clean")):
            with pytest.raises(JobError, match="another job was asked for"):
                ask(*other)


def test_a_result_is_made_once_and_is_what_a_refusal_said(tmp_path: Any) -> None:
    kept, told = document_at(f"{tmp_path}/results/one.json", {}), list[str]()

    def refuse() -> Result:
        raise AddressError("found no database")

    refused = Result(11, None, "found no database")
    assert run_once(kept, refuse, told.append) == refused
    assert run_once(kept, partial(Result, 0), told.append) == refused
    assert told == [f"{kept.url} is there: the job has been done, and is not done again"]
    assert read_result(kept.load() or b"", kept.url) == refused


def test_of_two_that_do_a_job_at_once_both_have_one_result(tmp_path: Any) -> None:
    kept = document_at(f"{tmp_path}/results/one.json", {})

    def slow() -> Result:
        kept.save(Result(0, "of the faster").json())
        return Result(0, "of the slower")

    assert run_once(kept, slow, print) == Result(0, "of the faster")


def test_what_is_no_result_is_not_taken_for_one(tmp_path: Any) -> None:
    (tmp_path / "one.json").write_text('{"state": "success"}')
    with pytest.raises(JobError, match="no result"):
        run_once(document_at(f"{tmp_path}/one.json", {}), partial(Result, 0), print)


def test_a_command_here_gives_its_document_and_its_status(tmp_path: Any) -> None:
    lines: list[str] = []
    good = run_here(["iam", "--for", "bucket"], os.environ, tell=lines.append)
    assert good.result.status == 0
    assert "put-bucket-encryption" in good.result.summary
    assert lines == ["placeholders are left, for --bucket"]
    bad = run_here(["show", str(tmp_path / "none"), "x"], os.environ)
    assert bad.result.status == 34
    assert bad.result.error.startswith("there is no folder")


def test_a_job_here_with_a_token_is_not_run_again(tmp_path: Any) -> None:
    lake, record = tmp_path / "lake", Record(LocalStore(tmp_path / "jobs"), "t")
    command = ["snapshots", "--json", str(lake)]
    lake.mkdir()
    first = run_here(command, os.environ, record=record)
    assert first.result == Result(0, [])
    lake.rmdir()  # it would fail now
    assert run_here(command, os.environ, record=record) == first
    with pytest.raises(JobError, match="another job was asked for"):
        run_here(["clean", str(lake)], os.environ, record=record)


def test_a_job_here_that_was_killed_is_run_again(tmp_path: Any) -> None:
    record = Record(LocalStore(tmp_path / "jobs"), "t")
    command = ["snapshots", "--json", str(tmp_path)]
    record.ask("here", "", command, NOW)
    assert run_here(command, os.environ, record=record).result == Result(0, [])


def test_a_command_here_that_takes_too_long_is_stopped(tmp_path: Any) -> None:
    with deaf_server() as (_, url), pytest.raises(JobError, match="not done within 1 s and was st"):
        run_here(["export", url, str(tmp_path), "-e", "prod"], os.environ, timeout_s=1)


def test_a_folder_named_airkeep_is_not_run_in_place_of_airkeep(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "airkeep").mkdir()
    (tmp_path / "airkeep" / "__init__.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    assert run_here(["snapshots", str(tmp_path)], os.environ).result.status == 0


def test_what_a_command_prints_is_whole_or_said_to_be_cut(tmp_path: Any) -> None:
    """A short limit in place of a long output."""
    lines: list[str] = []
    command = ["iam", "--for", "bucket", "--bucket", "b"]
    whole = run_command(command, os.environ, lines.append)
    cut = run_command(command, os.environ, lines.append, most_bytes=100)
    bytes_ = cut.summary["cut"]
    assert (cut.status, cut.summary) == (0, {"cut": bytes_})
    assert lines == [told_of_cut(bytes_)]
    assert cut_bytes(cut) == bytes_ > 100 > cut_bytes(whole) == 0
    assert "put-bucket-encryption" in whole.summary
    assert run_command(command, os.environ, print, most_bytes=bytes_) == whole


def test_a_long_output_comes_through_from_here(capsys: pytest.CaptureFixture[str]) -> None:
    bucket = "b" * 120_000  # it is in several of the resources
    command = ["iam", "--for", "deploy", "--dags-bucket", bucket]
    assert run(["job", "run", "--on", "here", "--", *command]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(json.dumps(told)) > 240_000


@contextmanager
def deaf_server() -> Iterator[tuple[socket.socket, str]]:
    """What takes connections and says nothing, and the URL of a database there."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        deaf.settimeout(30)
        port = deaf.getsockname()[1]
        yield deaf, f"postgresql://me@127.0.0.1:{port}/db?connect_timeout=60"


def wait_for_its_end(connection: socket.socket) -> None:
    connection.settimeout(30)  # the command line gives up after 20 s
    while connection.recv(1024):  # what it asked; then the end, as it is gone
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_command_ends_with_the_one_that_started_it(number: signal.Signals, tmp_path: Any) -> None:
    with deaf_server() as (deaf, url):
        words = ["export", url, str(tmp_path / "lake"), "-e", "prod"]
        starter = subprocess.Popen(
            [sys.executable, "-m", "airkeep.cli", "job", "run", "--on", "here", "--", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            connection, _ = deaf.accept()
            with connection:
                starter.send_signal(number)
                wait_for_its_end(connection)
        finally:
            starter.kill()
            starter.wait(30)


class _KilledError(BaseException):
    """As Airflow ends a task."""


def test_a_task_that_is_killed_ends_its_command(tmp_path: Any) -> None:
    def kill(*_: object) -> None:
        raise _KilledError

    def send_once_it_asks() -> None:
        connections.append(deaf.accept()[0])
        os.kill(os.getpid(), signal.SIGALRM)

    connections: list[socket.socket] = []
    with deaf_server() as (deaf, url):
        words = ["export", url, str(tmp_path / "lake"), "-e", "prod"]
        old = signal.signal(signal.SIGALRM, kill)
        Thread(target=send_once_it_asks, daemon=True).start()
        try:
            with pytest.raises(_KilledError):
                run_command(words, os.environ, print)
        finally:
            signal.signal(signal.SIGALRM, old)
        with connections[0]:
            wait_for_its_end(connections[0])


def _run_of_glue(state: str) -> dict[str, Any]:
    return {"Id": "jr_1", "JobRunState": state, "StartedOn": 1.0, "Arguments": {TOKEN: "t"}}


@pytest.mark.parametrize(
    ("states", "refused", "said"),
    [
        (["STOPPING", "STOPPED"], False, "was stopped"),
        (["RUNNING"], False, "was asked to stop, and still works"),
        (["SUCCEEDED"], False, "ended as SUCCEEDED meanwhile"),
        (["RUNNING"], True, "could not be stopped .*OperationNotPermitted"),
        (["STOPPED"], True, "was stopped"),
    ],
)
def test_a_run_is_said_to_be_stopped_only_when_it_is(
    states: list[str], refused: bool, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    errors = [{"JobRunId": "jr_1", "ErrorDetail": {"ErrorCode": "OperationNotPermitted"}}]
    replies: dict[str, list[dict[str, Any]]] = {
        "GetJobRun": [{"JobRun": _run_of_glue(state)} for state in states],
        "BatchStopJobRun": [{"Errors": errors} if refused else {}],
    }
    now = [0.0]
    patience = Patience(0, 10, lambda: now[0], lambda s: now.__setitem__(0, now[0] + s))
    with told_glue(replies) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        job = _Job("j", Record(LocalStore(tmp_path), "t"), GlueShape(), patience, HERE, print)
        assert re.search(rf"and {said}", str(job.stop("jr_1", "")))


def test_a_run_that_succeeds_without_a_result_has_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with told_glue({"GetJobRun": [{"JobRun": _run_of_glue("SUCCEEDED")}]}) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        job = _Job("j", Record(LocalStore(tmp_path), "t"), GlueShape(), Patience(9), HERE, print)
        with pytest.raises(JobError, match=r"succeeded, says Glue, and left no result.*CloudWatch"):
            job.wait("jr_1")


@pytest.mark.parametrize(
    ("answers_again", "said"),
    [(True, "was stopped"), (False, "was asked to stop, of which Glue says nothing")],
)
def test_a_run_that_glue_no_longer_tells_of_is_stopped_and_named(
    answers_again: bool, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:

    def answer(asked: Asked) -> Answer:
        if asked.headers["X-Amz-Target"] == "AWSGlue.BatchStopJobRun":
            stopped.append(json.loads(asked.body))
            return Answer(body=b"{}", headers=JSON)
        if stopped and answers_again:
            run = {"JobRun": _run_of_glue("STOPPED")}
            return Answer(body=json.dumps(run).encode(), headers=JSON)
        return Answer(400, b'{"__type": "OperationTimeoutException"}', JSON)

    stopped: list[dict[str, Any]] = []
    now = [0.0]
    patience = Patience(0, 10, lambda: now[0], lambda s: now.__setitem__(0, now[0] + s))
    with told_http(answer) as url:
        for name, value in {**VARIABLES, "AWS_ENDPOINT_URL_GLUE": url}.items():
            monkeypatch.setenv(name, value)
        job = _Job("j", Record(LocalStore(tmp_path), "t"), GlueShape(), patience, HERE, print)
        with pytest.raises(JobError, match=f"the run jr_1 of j was not done within 0 s and {said}"):
            job.wait("jr_1")
    assert stopped == [{"JobName": "j", "JobRunIds": ["jr_1"]}]


@pytest.mark.parametrize(
    ("told", "group"),
    [({}, "/aws-glue/jobs"), ({"LogGroupName": "/aws-glue/jobs"}, "/aws-glue/jobs"),
     ({"LogGroupName": "/aws-glue/jobs-role-conf/"}, "/aws-glue/jobs-role-conf")],
)  # fmt: skip
def test_a_spark_jobs_logs_are_in_two_groups(
    told: dict[str, str], group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told_glue({"GetJobRun": [{"JobRun": _run_of_glue("FAILED") | told}]}) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        run = glue_jobs.find_run("j", "jr_1")
    assert run is not None
    assert run.logs == (
        f"CloudWatch {group}/output and {group}/error, streams that begin with jr_1"
    )


def test_the_result_that_was_saved_first_is_the_jobs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another attempt of the same run ends while this one looks up its database."""
    result = tmp_path / "t" / "result.json"

    def answer(asked: Asked) -> Answer:
        result.parent.mkdir()
        result.write_bytes(Result(7, None, "of the other").json())
        properties = {"JDBC_CONNECTION_URL": "jdbc:postgresql://db/airflow"}
        told = {"Connection": {"Name": "c", "ConnectionProperties": properties}}
        return Answer(body=json.dumps(told).encode(), headers=JSON)

    arguments = run_arguments(
        ["iam", "--for", "bucket"], token="t", result=str(result), region="us-east-1", secret=None
    )
    words = [word for item in arguments.items() for word in item]
    with told_http(answer) as url:
        for name, value in {**VARIABLES, "AWS_ENDPOINT_URL_GLUE": url}.items():
            monkeypatch.setenv(name, value)
        failed = run_inside([*words, CONNECTION, "c", ENVIRONMENT, "prod"], os.environ, print)
    assert failed == "exit status 7: of the other"


def test_a_job_that_was_given_nothing_says_so() -> None:
    assert "was not given --AIRKEEP_JOB_RESULT" in run_inside([], {}, print)


def test_the_command_line_ends_as_the_jobs_command_did(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = str(tmp_path / "none")
    assert run(["job", "run", "--on", "here", "--json", "--", "show", lake, "x"]) == 34
    said = capsys.readouterr()
    assert json.loads(said.out)["result"]["status"] == 34
    [error] = said.err.splitlines()  # once
    assert error.startswith("airkeep: the job's command ended with 34: ")
    assert lake in error
    assert JobFailedError(0, "", "").exit_status == 78


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [(["--on", "here", "--", "exprot"], 3, "did you mean export"),
     (["--on", "here", "--", "up", "local"], 3, "run it where you are"),
     (["--on", "glue", "--", "key"], 3, "its answer is a secret"),
     (["--on", "here", "--workers", "3", "--", "clean"], 2, "--workers has no meaning with --on h"),
     (["--on", "here", "--region", "r", "--", "clean"], 2, "--region has no meaning with --on he"),
     (["--on", "here", "--folder", "s3://b/j", "--", "clean"], 2, "give one"),
     (["--on", "dag", "--glue-role", "r", "--", "clean"], 2, "--glue-role has no meaning"),
     (["--on", "glue", "-e", "p", "--folder", "s3://b/j", "--", "clean"], 3, "AIRKEEP_GLUE_ROLE"),
     (["--on", "glue", "-e", "p", "--folder", "s3://b/j", "--glue-role", "r", "--subnet", "s",
       "--", "clean"], 2, "go together"),
     (["--on", "glue", "--", "export", "env:", "./mylake"], 3, "./mylake is a folder of the job"),
     (["--on", "dag", "--", "export", "--", "env:", "mylake"], 3, "mylake is a folder of the job"),
     (["--on", "glue", "--", "cost", "by-dag", "file:///l"], 3, "file:///l is a folder of the job"),
     (["--on", "dag", "--", "query", "s3://b/l", "x", "-o", "a"], 3, "--output a is a file of th"),
     (["--on", "glue", "--", "report", "-", "-o", "r.html"], 3, "it writes a file"),
     (["--on", "glue", "--", "export", "env:", "-"], 3, "no lake is set"),
     (["--on", "glue", "-e", "p", "--lake", "memory://", "--", "export", "env:", "-"], 3,
      "cannot keep the record of a job on glue"),
     (["--on", "glue", "-e", "p", "--lake", "az://b/l", "--", "clean", "-"], 3,
      "az://b/l/jobs cannot keep the record of a job on glue"),
     (["--on", "dag", "-e", "p", "--lake", "./l", "--", "clean", "s3://b/l"], 3,
      "./l/jobs cannot keep the record of a job on dag, which does not reach it: expected a URL"),
     (["--on", "dag", "-e", "p", "--folder", "file:///l", "--", "clean", "s3://b/l"], 3,
      "file:///l cannot keep the record"),
     (["--on", "here", "--token", "t", "--", "clean"], 3, "no lake is set"),
     (["--on", "dag", "-e", "prod", "--", "clean"], 3, "no lake is set")],
)  # fmt: skip
def test_what_cannot_be_a_job_is_refused_at_once(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["job", "run", *arguments]) == status
    told = capsys.readouterr().err
    assert words in told
    assert "token " not in told
