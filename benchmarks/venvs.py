"""A virtual environment per peer under `.cache/bench/venvs`, made by uv from the package index."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data import CACHE, PROJECT

REQUIREMENTS = {
    "psycopg": ("psycopg[binary]==3.3.9",),
    "connectorx": ("connectorx==0.4.6", "pyarrow==26.0.1"),
    "csv": ("sqlalchemy==2.1.9", "psycopg2-binary==2.9.13"),
    "dlt": (
        "dlt[parquet,filesystem,sql_database]==1.31.0",
        "connectorx==0.4.6",
        "psycopg2-binary==2.9.13",
    ),
    "pandas": ("pandas==3.1.1", "pyarrow==26.0.1"),
    "spark": ("pyspark==3.5.6", "setuptools<81"),
}
JARS = ("/usr/share/java/postgresql.jar",)  # Debian's libpostgresql-jdbc-java
INSTALL_TIMEOUT_S = 600


class MissingError(Exception):
    """A peer cannot be had here, and why."""


def python_of(name: str) -> str:
    """Give the interpreter of a peer's environment, made when it is not there.

    Raises:
        MissingError: it could not be installed.
    """
    wanted = REQUIREMENTS[name]
    mark = hashlib.sha256(f"{sys.version} {wanted}".encode()).hexdigest()[:8]
    folder = CACHE / "venvs" / f"{name}-{mark}"
    if not (folder / "ready").exists():
        print(f"installing {', '.join(wanted)}", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        uv = _uv()
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        # Compiled at once, as an installer does: else the first run pays for it.
        given = [uv, "pip", "install", "--quiet", "--compile-bytecode"]
        _run([*given, "--python", str(folder / "bin" / "python"), *wanted])
        (folder / "ready").touch()
    return str(folder / "bin" / "python")


def java_and_jar() -> str:
    """Give the JDBC driver's jar where there is a Java to run it.

    Raises:
        MissingError: one of them is not here.
    """
    java = shutil.which("java")
    if java is None:
        raise MissingError("not here: no java on the PATH")
    own = os.environ.get("AIRKEEP_BENCH_JDBC_JAR")
    for jar in (own, *JARS):
        if jar and Path(jar).is_file():
            return jar
    raise MissingError(
        "not here: no PostgreSQL JDBC jar (Debian: libpostgresql-jdbc-java, or its path in "
        "AIRKEEP_BENCH_JDBC_JAR)"
    )


def _uv() -> str:
    for found in (os.environ.get("UV"), shutil.which("uv"), str(PROJECT / ".cache/uv/bin/uv")):
        if found and Path(found).is_file():
            return found
    raise MissingError("not here: no uv to install it with")


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"not here: {type(error).__name__} while installing") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise MissingError(f"not here: {lines[-1][:120]}")
