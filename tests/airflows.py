"""Real Airflows, each in a virtual environment of its own under `.cache/airflow`.

Made once with what was the newest two days after the release, standing in for the constraints
file that an index of packages alone does not have.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from servers import PROJECT

ENVIRONMENTS = PROJECT / ".cache" / "airflow"
# Two days after each release.
RELEASED = {
    "2.10.5": "2025-02-14",
    "2.11.2": "2026-03-18",
    "3.0.6": "2025-09-03",
    "3.3.2": "2026-09-22",
}
PYTHON = "3.11"  # which all of them run on


def find_uv() -> str:
    """The uv that runs the tests, else the one on the PATH."""
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "run the tests through make, or put uv on the PATH"
    return uv


class Airflow:
    """One release; its command line works on the database that it is given."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.folder = ENVIRONMENTS / version

    def install(self) -> None:
        """Make the environment unless it is there; other workers wait."""
        ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
        with (ENVIRONMENTS / f"{self.version}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (self.folder / "complete").exists():
                return
            _run([find_uv(), "venv", "--quiet", "--clear", "--python", PYTHON, str(self.folder)])
            _run([
                find_uv(), "pip", "install", "--quiet", "--compile-bytecode",
                "--python", str(self.folder / "bin" / "python"),
                "--exclude-newer", RELEASED[self.version],
                f"apache-airflow=={self.version}", "psycopg2-binary", "asyncpg",
            ])  # fmt: skip
            (self.folder / "complete").touch()

    def run(self, home: Path, database: str, *words: str) -> str:
        """Run `airflow ...` on a database; `home` is its AIRFLOW_HOME."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        return _run([str(self.folder / "bin" / "airflow"), *words], environment)

    def migrate(self, home: Path, database: str) -> None:
        """Make a fresh database as this Airflow makes it."""
        self.run(home, database, "db", "migrate")


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
