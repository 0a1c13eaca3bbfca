"""Where a local environment is, and what its Airflow finds in its variables."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from airkeep.cli.environments import own_variables
from airkeep.database.programs import unprivileged_user
from airkeep.environment.events import LocalPlace
from airkeep.environment.local.folder import Folder, Running, Secrets
from airkeep.environment.local.packages import lay_out_plugins
from airkeep.environment.local.place import Said, local_place
from airkeep.environment.local.variables import Given, commands, variables
from airkeep.errors import ConfigError, HeldError, LocalAirflowError

FOLDER = "/project/.airkeep/local"


def place(before: LocalPlace | None, said: Said, *, has_database: bool = False) -> LocalPlace:
    return local_place(before, said, folder=FOLDER, has_database=has_database)


def test_a_new_one_is_the_newest_airflow_over_the_projects_dags() -> None:
    found = place(None, Said())
    assert (found.folder, found.dags, found.port) == (FOLDER, "/project/dags", 8080)
    assert found.airflow == "3.3.2"


def test_what_was_said_before_holds_until_something_else_is_said() -> None:
    first = place(None, Said("3.1.8", "/dags", "/requirements.txt", "/plugins.zip", 9000))
    assert place(first, Said()) == first
    assert place(first, Said(port=9001)).port == 9001
    assert place(first, Said("3.3.2")).airflow == "3.3.2"
    bare = place(first, Said(requirements="", plugins=""))
    assert (bare.requirements, bare.plugins, bare.dags) == (None, None, "/dags")


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("3", "expected a version such as 3.1.8"),
        ("newest", "expected a version such as 3.1.8"),
        ("1.10.12", "no Python that still is runs it; from 2.6.0 on"),
    ],
)
def test_a_version_that_cannot_be_is_refused(version: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"--airflow {version}: {why}"):
        place(None, Said(version))


def test_a_database_of_one_airflow_does_not_become_anothers_awake() -> None:
    first = place(None, Said("3.1.8"))
    with pytest.raises(ConfigError, match=r"is of Airflow 3\.1\.8\. .* down first"):
        place(first, Said("3.3.2"), has_database=True)
    assert place(first, Said("3.1.8"), has_database=True) == first


def given(tmp_path: Path, version: str, **own: str) -> Given:
    return Given(
        environment="local",
        version=version,
        folder=Folder(tmp_path),
        dags=Path("/dags"),
        venv=Path("/venv"),
        port=8081,
        database="postgresql+psycopg2://x",
        secrets=Secrets("fernet", "jwt", "secret"),
        own=own,
    )


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_a_users_variables_win_over_defaults_and_not_over_what_holds_it_together(
    version: str, tmp_path: Path
) -> None:
    own = {
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60.0",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://elsewhere",
        "AIRFLOW_VAR_MINE": "1",
        "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": "mine",
        "AIRFLOW__CORE__MULTI_TEAM": "True",
    }
    found = variables(given(tmp_path, version, **own), "scheduler")
    assert found["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"] == "60.0"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == "postgresql+psycopg2://x"
    assert found["AIRFLOW_VAR_MINE"] == "1"
    assert found["AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES"] == "proxy,proxies"
    assert found["AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS"] == "mine"
    assert found.get("AIRFLOW__CORE__MULTI_TEAM") == ("False" if version == "3.3.2" else "True")
    assert found["AWS_EXECUTION_ENV"] == f"Amazon_MWAA_{version.replace('.', '')}"
    assert found["MWAA_AIRFLOW_COMPONENT"] == "scheduler"


def test_each_major_listens_on_the_loopback_alone(tmp_path: Path) -> None:
    of_2, of_3 = (commands(given(tmp_path, version)) for version in ("2.11.2", "3.3.2"))
    assert of_2["webserver"] == ("webserver", "--hostname", "127.0.0.1", "--port", "8081")
    assert of_3["webserver"][:3] == ("api-server", "--host", "127.0.0.1")
    for found in (of_2, of_3):  # their log servers would listen on all addresses
        assert "--skip-serve-logs" in found["scheduler"]
        assert "--skip-serve-logs" in found["triggerer"]


def test_one_process_runs_it_and_says_where(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "local")
    folder.make()
    assert folder.running() is None
    with folder.hold():
        folder.tell(Running(7, 8080, 5432))
        assert folder.running() == Running(7, 8080, 5432)
        with pytest.raises(HeldError, match="is being run by process 7, at port 8080"):
            folder.check_free()
        with pytest.raises(HeldError), folder.hold():
            pass
        assert folder.running() is not None
    assert folder.running() is None
    folder.check_free()


def test_its_secrets_are_made_once_and_for_its_user_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "local")
    with pytest.raises(LocalAirflowError, match="not on this machine, or was moved"):
        folder.secrets()
    folder.make()
    folder.make_secrets()
    first = folder.secrets()
    folder.make_secrets()
    assert folder.secrets() == first
    file = folder.path / "secrets.json"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("{")
    with pytest.raises(LocalAirflowError, match="cannot be read: put it back from a copy"):
        folder.secrets()


def test_plugins_are_a_zip_or_a_folder_and_nothing_else(tmp_path: Path) -> None:
    source, place = tmp_path / "source", tmp_path / "plugins"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "one.py").write_text("1")
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("two.py", "2")
        made.writestr("../outside.py", "3")
    lay_out_plugins(source, place)
    assert (place / "deep" / "one.py").read_text() == "1"
    lay_out_plugins(archive, place)
    assert sorted(f.name for f in place.rglob("*.py")) == ["outside.py", "two.py"]
    assert not (tmp_path / "outside.py").exists()
    lay_out_plugins(None, place)
    assert list(place.iterdir()) == []
    with pytest.raises(ConfigError, match="expected a zip file or a folder"):
        lay_out_plugins(tmp_path / "none.zip", place)


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA",
        "AIRFLOW__CORE__SQL_ALCHEMY_SCHEMA",
        "AIRFLOW__CORE__FERNET_KEY_CMD",
        "AIRFLOW__CORE__FERNET_KEY_SECRET",
    ],
)
def test_no_variable_leads_airflow_away_from_its_database_and_key(
    name: str, tmp_path: Path
) -> None:
    found = variables(given(tmp_path, "3.3.2", **{name: "elsewhere"}), "scheduler")
    assert name not in found
    assert found["AIRFLOW__CORE__FERNET_KEY"] == "fernet"


def test_a_profile_is_looked_for_in_the_users_home(tmp_path: Path) -> None:
    own = own_variables({"AWS_PROFILE": "mine", "AWS_CONFIG_FILE": "/c", "EDITOR": "vi"}, tmp_path)
    assert own == {
        "AWS_PROFILE": "mine",
        "AWS_CONFIG_FILE": "/c",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / ".aws" / "credentials"),
    }
    assert own_variables({"AWS_REGION": "eu-west-1"}, tmp_path) == {"AWS_REGION": "eu-west-1"}


def test_its_folders_are_closed_but_for_the_way_to_the_data(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "local")
    folder.path.mkdir(mode=0o755)
    folder.make()
    way = 0o700 if unprivileged_user() is None else 0o711
    modes = [place.stat().st_mode & 0o777 for place in (folder.path, folder.home, folder.logs)]
    assert modes == [way, 0o700, 0o700]
