"""The whole journey at Google and at Azure, through the command line as its user types it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from azure_server import AzureServer
from command import AIRKEEP
from compare import AS_IT_WAS_FLAGS
from gs_server import GsServer
from sqlite_files import content

ODD_PREFIX = "lakes of üñï/a b+c%20"


@pytest.fixture(params=["gs", "az"])
def place(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """A lake's URL, and the environment that reaches it."""
    if request.param == "gs":
        google: GsServer = request.getfixturevalue("gs_server")
        return f"gs://{google.new_bucket()}/{ODD_PREFIX}", google.environ()
    azure: AzureServer = request.getfixturevalue("azure_server")
    return f"az://{azure.new_container()}/{ODD_PREFIX}", azure.environ()


def test_out_and_back_under_an_odd_prefix(
    place: tuple[str, dict[str, str]], airflow_file: Callable[[str], Path], tmp_path: Path
) -> None:
    lake, environ = place
    source, target = airflow_file("airflow-3.3.2"), tmp_path / "new.db"

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*AIRKEEP, *arguments],
            env=environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("export", f"sqlite:///{source}", lake, "-e", "prod", "--allow-plain")
    with closing(sqlite3.connect(source)) as database, database:
        assert database.execute("UPDATE dag SET is_paused = NOT is_paused").rowcount > 0
    run("export", f"sqlite:///{source}", lake, "-e", "prod", "--allow-plain")
    listed = json.loads(run("snapshots", lake, "--json", "--all"))
    assert len(listed) == 2
    run("verify", lake)
    run("restore", lake, "prod/latest", f"sqlite:///{target}", "--create-schema", *AS_IT_WAS_FLAGS)
    assert content(target) == content(source)
    run("clean", lake, "--keep-last", "1", "--grace", "0s")
    assert len(json.loads(run("snapshots", lake, "--json", "--all"))) == 1
