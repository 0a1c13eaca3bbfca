"""What the provider decides without an Airflow: jobs, values, connections, reports."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airkeep.config import load_settings
from airkeep.errors import AddressError, ConfigError
from airkeep.jobs.job import Result, check_token
from airkeep.jobs.record import Record
from airkeep.provider.conf import Asked, check_no_folder, read_conf, variables_of
from airkeep.provider.connection import address_of
from airkeep.provider.info import get_provider_info
from airkeep.provider.reports import newest_report, save_report
from airkeep.provider.tokens import next_token
from airkeep.provider.values import days, yes
from airkeep.store.local import LocalStore
from servers import PROJECT


@pytest.mark.parametrize(
    ("conf", "told"),
    [
        (None, "conf"),
        ({"command": ["verify"], "shell": True}, "conf"),
        ({"command": ["verify", "-"], "result": "one.json"}, "result"),
        ({"command": ["verify", "-"], "result": "s3://b/results/"}, "result"),
        ({"command": ["verify", "-"], "result": 1}, "result"),
    ],
)
def test_a_conf_that_is_not_understood_is_refused(conf: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_conf(conf)


def test_a_conf_is_a_command_and_a_place() -> None:
    given = {"command": ["export", "env:", "-"], "result": "s3://b/r.json"}
    assert read_conf(given) == Asked(["export", "env:", "-"], "s3://b/r.json")
    assert read_conf({"command": ("verify", "-")}) == Asked(("verify", "-"))


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


def test_a_try_goes_on_with_a_run_that_has_no_result_and_takes_another_one_then(
    tmp_path: Path,
) -> None:
    record_of = partial(Record, LocalStore(tmp_path))
    names = ("dag", "export all", "manual__1", -1)
    first = next_token("export all", names, record_of)
    assert check_token(first).startswith("export-all-")
    assert next_token("export all", names, record_of) == first
    assert record_of(first).kept.save(Result(77, None, "it died").json())
    second = next_token("export all", names, record_of)
    assert check_token(second) != first
    assert next_token("export all", (*names[:3], 0), record_of).rpartition("-")[0] not in second


def test_a_job_on_glue_is_given_no_path_of_its_own_disk() -> None:
    for path in ("/tmp/lake", "./lake", "../lake", ".", "~/lake", "FILE:///lake"):
        with pytest.raises(ConfigError, match=rf"^{re.escape(path)} is a folder or a file of the"):
            check_no_folder(["export", "env:", path, "--json"])
    for words in (["clean", "--dry-run", "/lake"], ["diff", "-", "/lake"], ["report", "-o", "/x"]):
        with pytest.raises(ConfigError, match="of the job's own machine"):
            check_no_folder(words)
    check_no_folder(["query", "s3://b/lake", "/* all */ SELECT 1", "--spool", "/tmp"])


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
    store, file = LocalStore(tmp_path / "lake"), tmp_path / "report.html"
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
