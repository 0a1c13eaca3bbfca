"""airkeep's dependencies go into the environment of every Airflow that it is made for.

As on MWAA, an Airflow's own versions come first (what was the newest two days after its
release, standing in for its constraints file), and ours must fit them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from servers import PROJECT

RELEASES = [
    ("2.10.5", "2025-02-14"),
    pytest.param("2.11.2", "2026-03-18", marks=pytest.mark.slow),
    pytest.param("3.0.6", "2025-09-03", marks=pytest.mark.slow),
    ("3.3.2", "2026-09-22"),
]


@pytest.mark.parametrize(("version", "date"), RELEASES)
def test_it_installs_beside_airflow(version: str, date: str, tmp_path: Path) -> None:
    airflow = tmp_path / "airflow.txt"
    airflow.write_text(f"apache-airflow=={version}\napache-airflow-providers-amazon\n")
    pins = tmp_path / "pins.txt"
    resolve(airflow, pins, "--exclude-newer", date)

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    both = tmp_path / "both.txt"
    both.write_text(airflow.read_text() + "\n".join(project["dependencies"]) + "\n")
    resolve(both, tmp_path / "resolved.txt", "--constraints", str(pins))

    assert "duckdb-extension-postgres-scanner==" in (tmp_path / "resolved.txt").read_text()


def resolve(wanted: Path, into: Path, *options: str) -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "run the tests through make, or put uv on the PATH"
    done = subprocess.run(
        [uv, "pip", "compile", "--quiet", "--python-version", "3.11", *options,
         str(wanted), "--output-file", str(into)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
