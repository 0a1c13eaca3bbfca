"""airkeep[airflow], and what it needs, fit beside every Airflow that they are made for.

As on MWAA, an Airflow's own versions come first (what was the newest two days after its
release, standing in for its constraints file), and ours must fit them.
"""

from __future__ import annotations

import subprocess
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

    both = tmp_path / "both.txt"
    both.write_text(f"{airflow.read_text()}airkeep[airflow] @ {PROJECT.as_uri()}\n")
    resolve(both, tmp_path / "resolved.txt", "--constraints", str(pins))

    resolved = (tmp_path / "resolved.txt").read_text()
    assert f"\napache-airflow=={version}\n" in resolved
    assert "\nboto3==" in resolved
    assert "\nduckdb-extension-postgres-scanner==" in resolved


def resolve(wanted: Path, into: Path, *options: str) -> None:
    done = subprocess.run(
        [find_uv(), "pip", "compile", "--quiet", "--python-version", "3.11", *options,
         str(wanted), "--output-file", str(into)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
