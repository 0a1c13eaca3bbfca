"""docs/library.md and the README are true: what they show is run, as it stands there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import airkeep
from docs.pages import PROJECT, blocks, page
from servers import FERNET_KEY, Databases, query

# What differs from run to run: an id, a day, a time of day, a size, a duration, a place.
_VARIES = (
    (r"\d{8}T\d{6}\.\d{6}Z", "ID"),
    (r"\d{4}-\d\d-\d\d", "DAY"),
    (r"[\d.]+ s\b", "TIME"),
    (r"[\d.]+ [kM]?B\b", "SIZE"),
    (r"postgresql://\S+/\w+", "URL"),
    (r"sha256 [0-9a-f]{12}", "HASH"),
    (r" +", " "),
)


@pytest.fixture
def names(
    databases: Databases, airflow_dump: Callable[[str], str], tmp_path: Path
) -> dict[str, Any]:
    """What the pages say is there beforehand."""
    return {
        "database": airflow_dump("airflow-332"),
        "new_database": databases.empty(),
        "living_database": databases.airflow("airflow-332"),
        "lake": str(tmp_path / "lake"),
        "older_lake": _exported(airflow_dump("airflow-263"), tmp_path / "older"),
        "fernet_key": FERNET_KEY,
    }


def _exported(url: str, lake: Path) -> str:
    airkeep.export(url, lake, environment="old")
    return str(lake)


def test_the_library_page_runs_as_written(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for number, block in enumerate(blocks(page("docs/library.md"), "python"), start=1):
        exec(compile(block, f"docs/library.md, block {number}", "exec"), names)
    said = capsys.readouterr().out
    assert "prod/2" in said
    assert "3 the lake has an environment 'prod' already" in said
    assert names["database"] not in said


def test_the_readme_example_runs_as_written(names: dict[str, Any]) -> None:
    [block] = blocks(page("README.md"), "python")
    exec(compile(block, "README.md", "exec"), names)


def test_the_readme_session_prints_what_it_shows(names: dict[str, Any], tmp_path: Path) -> None:
    [session] = blocks(page("README.md"), "console")
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": names["database"],
        "NEW_DATABASE": names["new_database"],
    }
    for command, *shown in re.findall(r"^\$ (.*)\n((?:[^$\n].*\n|\n)*)", session, re.MULTILINE):
        done = subprocess.run(
            ["bash", "-c", f"{command}\n"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert _same(done.stdout) == _same(shown[0]), command


def test_the_playground_holds_the_sessions_databases_until_it_is_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tools.playground"], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as playground:
        assert playground.stdout is not None
        exported = {}
        for line in playground.stdout:
            if found := re.fullmatch(r"export (\w+)=(\S+)\n", line):
                exported[found[1]] = found[2]
            if len(exported) == 2:
                break
        source = exported["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        assert query(source, "SELECT count(*) FROM dag_run") == [(78,)]
        assert query(exported["NEW_DATABASE"], "SELECT count(*) FROM pg_tables "
                     "WHERE schemaname = 'public'") == [(0,)]  # fmt: skip
        playground.send_signal(signal.SIGINT)
        assert "are gone" in playground.stdout.read()
    assert playground.returncode == 0
    with pytest.raises(Exception, match="refused"):
        query(source, "SELECT 1")


def _same(text: str) -> list[str]:
    """The lines with what varies taken out; `...` stands for lines that are left out.

    How far a command is, which it says where it takes its time, is left out, too.
    """
    for pattern, word in _VARIES:
        text = re.sub(pattern, word, text)
    return [line.strip() for line in text.splitlines() if line.strip() and "rows/s" not in line]
