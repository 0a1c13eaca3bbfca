"""Airflows with the provider and Amazon's, in environments of their own under `.cache/provider`.

Airflow is of its release's days, as its constraints would have it; what airkeep needs beside it is
what the index has now. airkeep itself is a wheel of this tree, made anew when the tree has changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from airflows import PYTHON, RELEASED, Airflow, find_uv
from running import for_airflow
from servers import FERNET_KEY, PROJECT

ENVIRONMENTS = PROJECT / ".cache" / "provider"
EXAMPLES = PROJECT / "examples" / "dags"
OLDEST, NEWEST = "2.10.5", "3.3.2"


class Provided(Airflow):
    """One release with airkeep's provider in it."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.folder = ENVIRONMENTS / version

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self) -> None:
        """Make the environment, and put the tree as it is into it; other workers wait."""
        ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
        with (ENVIRONMENTS / f"{self.version}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.folder / "complete").exists():
                self._install_airflow()
                (self.folder / "complete").touch()
            tree = tree_hash()
            mark = self.folder / "airkeep.sha256"
            if not mark.exists() or mark.read_text() != tree:
                mark.unlink(missing_ok=True)
                self._install_airkeep()
                mark.write_text(tree)

    def _install_airflow(self) -> None:
        uv("venv", "--quiet", "--clear", "--python", PYTHON, str(self.folder))
        self._uv_pip(
            "install", "--compile-bytecode", "--exclude-newer", RELEASED[self.version],
            f"apache-airflow=={self.version}", "apache-airflow-providers-amazon",
            "psycopg2-binary", "asyncpg",
        )  # fmt: skip
        pins = self.folder / "pins.txt"
        pins.write_text(self._uv_pip("freeze"))

    def _install_airkeep(self) -> None:
        """As a user does it: Airflow's versions stay what they are."""
        self._uv_pip(
            "install", "--compile-bytecode", "--constraints", str(self.folder / "pins.txt"),
            "--reinstall-package", "airkeep", f"{PROJECT}[airflow]",
        )  # fmt: skip

    def _uv_pip(self, *words: str) -> str:
        return uv("pip", words[0], "--quiet", "--python", str(self.python), *words[1:])


def uv(*words: str) -> str:
    done = subprocess.run(
        [find_uv(), *words], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tree_hash() -> str:
    """Of all that is installed."""
    found = hashlib.sha256((PROJECT / "pyproject.toml").read_bytes())
    for file in sorted((PROJECT / "src").rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            found.update(str(file.relative_to(PROJECT)).encode() + file.read_bytes())
    return found.hexdigest()


class Trial:
    """An Airflow on one database, whose DAGs are run as `airflow dags test` does.

    Args:
        home: its AIRFLOW_HOME.
        variables: more of its environment.
    """

    def __init__(self, airflow: Provided, home: Path, url: str, **variables: str) -> None:
        self.airflow, self.url = airflow, url
        home.mkdir(exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": for_airflow(url),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
            "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW_ENV_NAME": "prod",
            **variables,
        }

    def run_dag(self, dag: str, conf: str = "{}") -> tuple[bool, str]:
        """Run a DAG once in one process: whether it went well, and what was said."""
        return self.call("airflow", "dags", "test", dag, "--conf", conf)

    def call(self, program: str, *words: str) -> tuple[bool, str]:
        done = subprocess.run(
            [str(self.airflow.folder / "bin" / program), *words],
            env=self.environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        return done.returncode == 0, done.stdout + done.stderr


def main() -> None:
    """Make them all: `make provider`."""
    for version in sys.argv[1:] or (OLDEST, NEWEST):
        Provided(version).install()


if __name__ == "__main__":
    main()
