"""What an Airflow and its installation are told, and what is shown of what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from airkeep.errors import MigrationError
from airkeep.upgrade.airflow import Airflows
from airkeep.upgrade.complaints import complaints

UV = """#!/bin/sh
env >> "{folder}/environment"
if [ "$1" = venv ]; then for last; do :; done; mkdir -p "$last"; fi
"""


def test_what_installs_an_airflow_gets_no_key_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(UV.format(folder=tmp_path))
    uv.chmod(0o755)
    needed = {
        "PATH": f"{uv.parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "HTTPS_PROXY": "http://proxy:1",
        "no_proxy": "localhost",
        "SSL_CERT_FILE": "/certificates",
        "UV_INDEX_URL": "https://mirror",
        "PIP_INDEX_URL": "https://mirror",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    secret = {
        "AIRKEEP_FERNET_KEY": "hunter2",
        "AIRKEEP_ARCHIVE_KEY": "hunter2",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://me:hunter2@host/db",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "PGPASSWORD": "hunter2",
        "ANY_TOKEN": "hunter2",
    }
    for name, value in {**needed, **secret}.items():
        monkeypatch.setenv(name, value)

    Airflows([], tmp_path / "made").get("3.3.2", fab=False)

    said = (tmp_path / "environment").read_text()
    assert "hunter2" not in said
    assert said.count("PATH=") >= 2, "it ran for the environment and for the packages"
    for name, value in needed.items():
        assert f"{name}={value}\n" in said


def test_an_airflow_that_cannot_be_made_says_why_and_what_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho 'error: no airflow 9.9.9.'; exit 1\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(MigrationError) as for_an_upgrade:
        Airflows([], tmp_path / "made").get("9.9.9", fab=False)
    with pytest.raises(MigrationError) as for_a_laptop:
        Airflows([], tmp_path / "made", otherwise="Name another").get("9.9.9", fab=False)

    why = "Airflow 9.9.9 cannot be installed with uv: error: no airflow 9.9.9"
    why += ". There may be no such release: the newest that this airkeep knows is 3.3.2"
    assert str(for_an_upgrade.value) == (
        f"{why}. Give a virtual environment that has it with --airflow"
    )
    assert str(for_a_laptop.value) == f"{why}. Name another"


CONFLICT = """\
error: No solution found when resolving dependencies
  cause: Because apache-airflow-core>=3.3.2 depends on pendulum>=3.1.0, we can conclude that
         apache-airflow>=3.3.2 depends on pendulum>=3.1.0.
         And because you require pendulum==1.0, your requirements are unsatisfiable.
"""


def test_of_packages_that_do_not_fit_together_ones_own_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\ncat <<END\n{CONFLICT}END\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(MigrationError, match=r"when resolving .*; .*you require pendulum==1\.0, "):
        Airflows([], tmp_path / "made").get("3.3.2", fab=False)


def test_where_no_uv_is_no_other_version_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("UV", raising=False)
    airflows = Airflows([], tmp_path, otherwise="Name another", without_uv="Then run this again")
    with pytest.raises(MigrationError) as error:
        airflows.get("9.9.9", fab=False)
    assert str(error.value) == (
        "there is no uv to install Airflow 9.9.9 with: put it on the PATH (pip install uv). Then "
        "run this again"
    )


FAILED = """\
INFO  [alembic.runtime.migration] Running upgrade 1 -> 2, error handling
Traceback (most recent call last):
  File "/venv/base.py", line 1967, in _exec_single_context
    raise ValueError("error in the code
psycopg2.errors.NotNullViolation: null value in column "key" of relation "xcom" violates a rule
DETAIL:  Failing row contains (1, first-secret
error: second-secret
ValueError: third-secret

, null).

The above exception was the direct cause of the following exception:

sqlalchemy.exc.IntegrityError: (psycopg2.errors.NotNullViolation) null value in column "key"
DETAIL:  Failing row contains (1, first-secret
failed: second-secret).

[SQL: DELETE FROM import_error
WHERE error = %(value)s]
[parameters: {'value': 'fourth-secret
error fifth-secret'}]
(Background on this error at: https://sqlalche.me/e/20/gkpj)
"""


def test_a_log_s_complaints_have_no_row_in_them_however_many_lines_it_has() -> None:
    said = complaints(FAILED)

    assert said[-1] == (
        "sqlalchemy.exc.IntegrityError: (psycopg2.errors.NotNullViolation) null value in column "
        '"key"'
    )
    assert "secret" not in " ".join(said)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            'psycopg2.Error: invalid input syntax for type integer: "hunter2"',
            "psycopg2.Error: invalid input syntax for type integer: (a value)",
        ),
        (
            'psycopg2.Error: error of type integer: "a"hunter2" b',
            "psycopg2.Error: error of type integer: (a value)",
        ),
        ('psycopg2.Error: error: "a\nerror hunter2"', "psycopg2.Error: error: (a value)"),
        ("ValueError: could not convert 'hunter2'", "ValueError: could not convert (a value)"),
        ("ValueError: no bytes b'hunter2'", "ValueError: no bytes b(a value)"),
        ("ValueError: it isn't so, 'hunter2'", "ValueError: it isn't so, (a value)"),
        (f'ValueError: "{"x" * 80} hunter2 error"', "ValueError: (a value)"),
        (
            'psycopg2.Error: relation "team" already exists',
            'psycopg2.Error: relation "team" already exists',
        ),
        (
            'sqlite3.Error: on table "a" violates foreign key constraint "a_b_fkey"',
            'sqlite3.Error: on table "a" violates foreign key constraint "a_b_fkey"',
        ),
        (
            "alembic.util.exc.CommandError: Can't locate revision identified by '937cbd173ca1'",
            "alembic.util.exc.CommandError: Can't locate revision identified by '937cbd173ca1'",
        ),
    ],
)
def test_quoted_values_are_hidden_and_names_of_tables_stay(line: str, shown: str) -> None:
    assert complaints(line) == [shown]


def test_a_quote_in_prose_or_code_hides_no_later_complaint() -> None:
    log = 'INFO - the users\' rows\n    text("""\nRuntimeError: it ended\n'

    assert complaints(log) == ["RuntimeError: it ended"]


def test_every_key_of_a_list_is_hidden() -> None:
    log = f"no key new-key{' ' * 55}fits: error, nor old-key"

    [said] = complaints(log, ["new-key,old-key", ""])

    assert said.endswith("fits: error, nor ***")
    assert "key-" not in said
    assert "-key" not in said
