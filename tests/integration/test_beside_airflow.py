"""airkeep's dependencies go into the environment of every Airflow that it is made for.

As on MWAA, an Airflow's own versions come first (what was the newest two days after its
release, standing in for its constraints file), and ours must fit them.
"""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from airflows import RELEASED, find_uv
from servers import PROJECT

VERSIONS = [
    "2.10.5",
    pytest.param("2.11.2", marks=pytest.mark.slow),
    pytest.param("3.0.6", marks=pytest.mark.slow),
    "3.3.2",
]


@pytest.mark.parametrize("version", VERSIONS)
def test_it_installs_beside_airflow(version: str, tmp_path: Path) -> None:
    airflow = tmp_path / "airflow.txt"
    airflow.write_text(f"apache-airflow=={version}\napache-airflow-providers-amazon\n")
    pins = tmp_path / "pins.txt"
    resolve(airflow, pins, "--exclude-newer", RELEASED[version])

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    both = tmp_path / "both.txt"
    both.write_text(airflow.read_text() + "\n".join(project["dependencies"]) + "\n")
    resolve(both, tmp_path / "resolved.txt", "--constraints", str(pins))

    assert "duckdb-extension-postgres-scanner==" in (tmp_path / "resolved.txt").read_text()


def resolve(wanted: Path, into: Path, *options: str) -> None:
    done = subprocess.run(
        [find_uv(), "pip", "compile", "--quiet", "--python-version", "3.11", *options,
         str(wanted), "--output-file", str(into)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
