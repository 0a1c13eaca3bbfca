"""What the provider decides without an Airflow: jobs, values, connections, reports."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest

from airkeep.cli import main
from airkeep.config import load_settings
from airkeep.errors import AddressError, ConfigError
from airkeep.jobs.job import INSIDE
from airkeep.provider.connection import address_of
from airkeep.provider.info import get_provider_info
from airkeep.provider.process import (
    Finished,
    Outcome,
    read_job,
    run_command,
    variables_of,
)
from airkeep.provider.reports import newest_report, save_report
from airkeep.provider.values import days, yes
from airkeep.store import open_store
from servers import PROJECT

LOG = logging.getLogger("test")


# What is for one person, and what is done to an environment from outside of it.
NOT_INSIDE = {
    "shell", "key", "up", "down", "status", "env", "schedule", "plan-sleep", "cost", "iam", "job",
}  # fmt: skip


def test_a_task_may_run_every_command_on_databases_and_lakes() -> None:
    assert set(INSIDE) == set(main.COMMANDS) - NOT_INSIDE


@pytest.mark.parametrize("name", INSIDE)
def test_every_command_that_a_task_may_run_speaks_json(name: str) -> None:
    command = main.cli.get_command(click.Context(main.cli), name)
    assert command is not None
    assert "--json" in {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize(
    ("conf", "told"),
    [
        (None, "conf"),
        ({"command": ["verify"], "shell": True}, "conf"),
        ({"command": "verify -"}, "list of words"),
        ({"command": ["verify", 1]}, "list of words"),
        ({"command": []}, "cannot be run"),
        ({"command": ["exprot"]}, "did you mean export"),
        ({"command": ["shell", "-"]}, "cannot be run"),
        ({"command": ["key"]}, "cannot be run"),
        ({"command": ["--version"]}, "cannot be run"),
        ({"command": ["verify", "-"], "result": "one.json"}, "result"),
        ({"command": ["verify", "a\0b"]}, "command"),
        ({"command": ["export", "postgresql://me:secret@host/db", "-"]}, "password"),
        ({"command": ["export", "postgresql://host/db?password=secret", "-"]}, "password"),
    ],
)
def test_a_conf_that_is_not_understood_is_refused_and_repeats_no_password(
    conf: Any, told: str
) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        read_job(conf)
    assert "secret" not in str(refused.value)


def test_a_conf_becomes_words_and_a_place() -> None:
    job = read_job({"command": ["export", "env:", "-"], "result": "s3://b/r.json"})
    assert job.words == ("export", "env:", "-")
    assert job.result == "s3://b/r.json"
    assert read_job({"command": ("verify", "-")}).result == ""


def test_a_command_runs_in_a_process_and_its_document_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        done = run_command(["snapshots", str(tmp_path)], environ=os.environ, log=LOG)
    assert done == Finished(0, [])
    assert "airkeep snapshots" in caplog.text


def test_a_command_that_fails_says_why_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        done = run_command(["verify", str(tmp_path / "none")], environ=os.environ, log=LOG)
    assert (done.status, done.summary) == (34, None)
    assert "there is no folder" in done.error
    assert done.error in caplog.text


STANDBY, PROD = "postgresql://keeper@standby/airflow", "postgresql://keeper@prod/airflow"


@pytest.mark.parametrize(
    ("argument", "variable", "connection", "meant"),
    [
        (STANDBY, PROD, "", STANDBY),
        (None, PROD, "", PROD),
        (STANDBY, None, "", STANDBY),
        (STANDBY, PROD, "postgresql://me@third/airflow", "postgresql://me@third/airflow"),
        (None, None, "", "env:"),
    ],
)
def test_a_command_is_of_the_same_database_as_its_task(
    argument: str | None, variable: str | None, connection: str, meant: str
) -> None:
    environ = {"AIRKEEP_DATABASE": variable} if variable else {}
    settings = load_settings({"database": argument}, environ, None)
    told = variables_of(settings, environ, address=connection)
    assert load_settings({}, told, None).database == meant


class _KilledError(BaseException):
    """As Airflow ends a task."""


def test_a_task_that_is_killed_ends_its_command(tmp_path: Path) -> None:
    def kill(*_: object) -> None:
        raise _KilledError

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"postgresql://me@127.0.0.1:{deaf.getsockname()[1]}/db?connect_timeout=60"
        words = ["export", url, str(tmp_path / "lake"), "-e", "prod"]
        old = signal.signal(signal.SIGALRM, kill)
        signal.setitimer(signal.ITIMER_REAL, 1.5)
        began = time.monotonic()
        try:
            with pytest.raises(_KilledError):
                run_command(words, environ=os.environ, log=LOG)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        assert time.monotonic() - began < 30
        deaf.settimeout(5)
        connection, _ = deaf.accept()
        with connection:
            connection.settimeout(5)
            while connection.recv(1024):  # what it asked; then the end, as it is gone
                pass


def test_an_outcome_is_saved_once_and_read_back(tmp_path: Path) -> None:
    place = Outcome.at(f"{tmp_path}/results/one.json", {})
    assert place.load() is None
    assert place.save(Finished(34, {"of": "it"})) == Finished(34, {"of": "it"})
    assert place.save(Finished(0, "of another run")) == Finished(34, {"of": "it"})
    assert Outcome.at(f"{tmp_path}/results/one.json", {}).load() == Finished(34, {"of": "it"})


def test_what_is_no_outcome_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({"state": "success"}))
    with pytest.raises(ConfigError, match="no outcome"):
        Outcome.at(f"{tmp_path}/one.json", {}).load()


def test_days_are_what_a_template_leaves() -> None:
    assert days("since_days", "30") == timedelta(days=30)
    assert days("since_days", 0.5) == timedelta(hours=12)
    assert days("since_days", "") is days("since_days", "0") is None
    for odd in ("many", "-1", "1e30", "nan"):
        with pytest.raises(ConfigError, match="since_days"):
            days("since_days", odd)


def test_yes_and_no_are_what_a_template_leaves() -> None:
    assert yes("dry_run", "True")
    assert not yes("dry_run", value=False)
    with pytest.raises(ConfigError, match="dry_run"):
        yes("dry_run", "perhaps")


@dataclass
class Kept:
    """A connection as Airflow keeps it."""

    conn_type: str
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    extra_dejson: Mapping[str, Any] = field(default_factory=dict)


def test_a_connection_is_an_address_with_the_options_that_libpq_knows() -> None:
    extra = {"sslmode": "require", "cursor": "dictcursor", "connect_timeout": 5}
    kept = Kept("postgres", "db.example", 5433, "me", "p@ss/word", "airflow", extra)
    address = address_of("meta", kept)
    assert address.reveal() == (
        "postgresql://me:p%40ss%2Fword@db.example:5433/airflow?connect_timeout=5&sslmode=require"
    )
    assert address_of("file", Kept("sqlite", "/data/airflow.db")).database == "/data/airflow.db"


@pytest.mark.parametrize("kept", [Kept("aws"), Kept("postgres", "db", password="secret")])
def test_a_connection_of_another_kind_is_refused_by_name(kept: Kept) -> None:
    with pytest.raises(AddressError, match="connection meta") as refused:
        address_of("meta", kept)
    assert "secret" not in str(refused.value)


def test_the_newest_report_is_shown_and_old_ones_go(tmp_path: Path) -> None:
    store, file = open_store(str(tmp_path / "lake")), tmp_path / "report.html"
    file.write_text("<!doctype html>")
    assert newest_report(store) is None
    at = datetime(2026, 11, 22, tzinfo=UTC)
    saved = [save_report(store, file, at=at + timedelta(days=n), keep=2) for n in (0, 2, 1, 3)]
    store.save("reports/mine.html", b"not ours")
    assert newest_report(store) == saved[3]
    assert sorted(e.path for e in store.list("reports/")) == sorted(
        [saved[1], saved[3], "reports/mine.html"]
    )


def test_the_provider_names_modules_that_are_there() -> None:
    info = get_provider_info()
    kinds = ("operators", "hooks", "triggers")
    named = [module for kind in kinds for module in info[kind][0]["python-modules"]]
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]
    assert points["apache_airflow_provider"] == {
        "provider_info": f"{get_provider_info.__module__}:{get_provider_info.__name__}"
    }
    named.append(points["airflow.plugins"]["airkeep"].partition(":")[0])
    assert all(find_spec(module) for module in named)
