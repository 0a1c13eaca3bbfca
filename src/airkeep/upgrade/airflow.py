"""Airflows in virtual environments, and one run of their command line.

One that the user names is taken as it is. Else one is made with uv in a cache folder: with the
release's official constraints where the network has them, else with what was the newest two days
after the release, which is what the constraints were made of. It is byte-compiled, for a call
takes 3 s then rather than up to 25, and believed only when its last step has left a mark.

An Airflow runs with nothing of ours but its database: an AIRFLOW_HOME of its own in a private
folder, no DAGs, no plugins, no examples, no telemetry. What it prints is shown only where it fails,
and of that only what it complains about.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from airkeep.errors import ConfigError, MigrationError
from airkeep.tables.revisions import last_releases, version_order
from airkeep.upgrade.complaints import complaints

# Two days after each release, when the packages that it was tested with were the newest.
RELEASED = {
    "2.6.3": "2023-07-12", "2.7.2": "2023-10-14", "2.8.1": "2024-01-21", "2.9.2": "2024-06-12",
    "2.10.5": "2025-02-14", "2.11.2": "2026-03-18", "3.0.6": "2025-09-03", "3.1.8": "2026-03-15",
    "3.2.2": "2026-06-02", "3.3.2": "2026-09-22",
}  # fmt: skip
_GIVE = "Give a virtual environment that has it with --airflow"
PYTHON = "3.11"
OLDEST = "2.6.0"  # the first that runs on it
CONSTRAINTS = (
    "https://raw.githubusercontent.com/apache/airflow/constraints-{version}/"
    f"constraints-{PYTHON}.txt"
)
DRIVERS = ("psycopg2-binary", "asyncpg")
FAB = "apache-airflow-providers-fab"

# On SQLite a migration makes a table anew and drops the old one; with foreign keys enforced, as
# Airflow sets it, that deletes every row that points there: 2.11 -> 3.3 loses all task instances.
# 3.0 hands sqlite3 a UUID, which it does not take, where a task was tried again; and 2.11 asks for
# Session.select, which never was, where a SQLite file has rows without a run.
_LOCAL_SETTINGS = """\
import sqlite3
import uuid

from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

try:
    import uuid6
except ImportError:
    uuid6 = None


def _no_cascades(connection, _record, _proxy):
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute("PRAGMA foreign_keys=OFF")


for _kind in (uuid.UUID, getattr(uuid6, "UUID", uuid.UUID)):
    sqlite3.register_adapter(_kind, str)
if not hasattr(Session, "select"):
    Session.select = Session.query
event.listen(Pool, "checkout", _no_cascades)
__all__ = []
"""

INSTALL_TIMEOUT_S = 1_800
CALL_TIMEOUT_S = 120
MIGRATION_TIMEOUT_S = 6 * 3_600

_WIDE = 240

# What uv may know, and the build scripts of packages with it: no key of ours is among it.
_TOLD = re.compile(
    r"PATH|HOME|LANG|LC_\w+|TMPDIR|NETRC|((ALL|HTTPS?|NO)_PROXY)|((all|https?|no)_proxy)|"
    r"SSL_CERT_\w+|REQUESTS_CA_BUNDLE|(UV|PIP|XDG)_\w+"
)


@dataclass(frozen=True)
class Airflow:
    """One release in a virtual environment.

    Attributes:
        fab: FAB's provider is in it, so that 3.x migrates users and roles too.
    """

    version: str
    folder: Path
    fab: bool = False

    @property
    def package(self) -> Path:
        """The folder of the module `airflow`, where its `alembic.ini` is."""
        found = next(self.folder.glob("lib/python3*/site-packages/airflow/alembic.ini"), None)
        if found is None:
            raise MigrationError(f"{self.folder}: Airflow {self.version} has no alembic.ini")
        return found.parent

    def run(
        self, home: Path, variables: Mapping[str, str], *words: str, hide: Sequence[str] = ()
    ) -> Run:
        """Run a program of it to its end, whatever its status.

        Args:
            words: `airflow`, or `alembic` for its own migrations; and its arguments.
            home: private; its AIRFLOW_HOME is made in it.
            variables: its settings, secrets among them: they reach nothing but its environment.
            hide: texts that are never shown.

        Raises:
            MigrationError: it cannot be run, or took too long and was ended.
        """
        place = home / self.version
        for name in ("dags", "plugins", "local"):
            (place / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / "local" / "airflow_local_settings.py").write_text(_LOCAL_SETTINGS)
        environment = {
            "PATH": f"{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "HOME": str(place),
            "AIRFLOW_HOME": str(place),
            "PYTHONPATH": str(place / "local"),
            **_settings(place),
            **variables,
        }
        command = [str(self.folder / "bin" / words[0]), *words[1:]]
        cwd = self.package if words[0] == "alembic" else place  # whose ini is relative to it
        status, output = _run(command, environment, timeout_s=MIGRATION_TIMEOUT_S, cwd=cwd)
        return Run(status, tuple(complaints(output, hide)))


@dataclass(frozen=True)
class Run:
    """How a run ended, and what it complained about; no value of a row is in it."""

    status: int
    complaints: tuple[str, ...]


def _settings(place: Path) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__DAGS_FOLDER": str(place / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(place / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        # What a migrated database must not get from a configuration that is nobody's.
        "AIRFLOW__CORE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__WEBSERVER__UPDATE_FAB_PERMS": "False",
        "AIRFLOW__FAB__UPDATE_FAB_PERMS": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SCARF_NO_ANALYTICS": "true",
        "DO_NOT_TRACK": "1",
    }


class Airflows:
    """Where Airflows come from: the user's own first, then the cache, then uv.

    Args:
        given: virtual environments, or their `airflow` programs.
        cache: the folder of those that are made here.
        constraints: where official constraints are, `{version}` in it.
        otherwise: what to do where none can be made.
        without_uv: what to do where nothing could make one.
    """

    def __init__(
        self,
        given: Sequence[Path],
        cache: Path,
        *,
        constraints: str = CONSTRAINTS,
        otherwise: str = _GIVE,
        without_uv: str = _GIVE,
    ) -> None:
        self._given = [_opened(place) for place in given]
        self._cache, self._constraints = cache.absolute(), constraints
        self._otherwise, self._without_uv = otherwise, without_uv

    @property
    def given_versions(self) -> tuple[str, ...]:
        """The releases that the user named."""
        return tuple(a.version for a in self._given)

    def get(self, version: str, *, fab: bool, requirements: Path | None = None) -> Airflow:
        """An Airflow of this release.

        Args:
            fab: with FAB's provider; of a given one it is taken as it is.
            requirements: a file of more packages, beside the release's constraints unless it names
                its own, as MWAA installs them; of a given one it is not looked at.

        Raises:
            MigrationError: there is none and none can be made.
        """
        for one in self._given:
            if one.version == version:
                return one
        folder = self._folder(version, fab=fab)
        more = None if requirements is None else _Requirements.read(requirements)
        if more is not None:
            folder = folder.with_name(f"{folder.name}-{more.digest[:12]}")
        if not (folder / "complete").exists():
            separate = fab and version_order(version) >= (3,)
            uv = self._find_uv(version)
            try:
                self._make(uv, version, folder, fab=separate, more=more)
            except MigrationError as error:
                raise MigrationError(f"{error}. {_unheard_of(version)}{self._otherwise}") from None
        return Airflow(version, folder, fab=fab)

    def _folder(self, version: str, *, fab: bool) -> Path:
        separate = fab and version_order(version) >= (3,)
        return self._cache / (f"{version}-fab" if separate else version)

    def to_be_made(self, version: str, *, fab: bool) -> str:
        """What `get` would do first, and whether it could; nothing where it has one."""
        made = (self._folder(version, fab=fab) / "complete").exists()
        if made or version in self.given_versions:
            return ""
        try:
            self._find_uv(version)
        except MigrationError as error:
            return str(error)
        return f"Airflow {version} is installed with uv first"

    def _find_uv(self, version: str) -> str:
        beside = str(Path(sys.executable).parent)
        # `uv run` names itself in UV.
        uv = shutil.which("uv") or shutil.which("uv", path=beside) or os.environ.get("UV")
        if uv is None:
            raise MigrationError(
                f"there is no uv to install Airflow {version} with: put it on the PATH (pip "
                f"install uv). {self._without_uv}"
            )
        return uv

    def _make(
        self, uv: str, version: str, folder: Path, *, fab: bool, more: _Requirements | None
    ) -> None:
        if version_order(version) < version_order(OLDEST):
            raise MigrationError(f"Airflow {version} runs on no Python that still is")
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self._cache / f"{folder.name}.lock"):
            if (folder / "complete").exists():
                return  # another run has made it meanwhile
            _uv([uv, "venv", "--quiet", "--clear", "--python", PYTHON, str(folder)], version)
            self._install(uv, version, folder, fab=fab, more=more)
            (folder / "complete").touch()

    def _install(
        self, uv: str, version: str, folder: Path, *, fab: bool, more: _Requirements | None
    ) -> None:
        wanted = [f"apache-airflow=={version}", *DRIVERS, *([FAB] if fab else [])]
        if version.startswith("2.8."):
            wanted.append("flask-session<0.6")
        if more is not None:
            wanted += ["--requirement", str(more.file)]
        command = [
            uv, "pip", "install", "--quiet", "--compile-bytecode",
            "--python", str(folder / "bin" / "python"),
        ]  # fmt: skip
        failed = ""
        ways = self._ways(version) if more is None or not more.has_constraints else [()]
        for how in ways:
            try:
                _uv([*command, *how, *wanted], version)
            except MigrationError as error:
                failed = str(error)
            else:
                return
        raise MigrationError(
            failed or f"Airflow {version} cannot be installed: its constraints are not to be had"
        )

    def _ways(self, version: str) -> Iterator[list[str]]:
        """Official constraints, then the date; a local copy of them may be meant, too."""
        yield ["--constraint", self._constraints.format(version=version)]
        if version in RELEASED:
            yield ["--exclude-newer", RELEASED[version]]


def _unheard_of(version: str) -> str:
    """Whether there may be no such release, for a failure that does not tell."""
    known = last_releases()
    order = version_order(version)
    if any(order[:2] == version_order(k)[:2] and order <= version_order(k) for k in known):
        return ""
    return f"There may be no such release: the newest that this airkeep knows is {known[-1]}. "


@dataclass(frozen=True)
class _Requirements:
    """A user's requirements.txt.

    Attributes:
        has_constraints: it names constraints, or has them in a comment, by which users of MWAA
            say that they want none.
    """

    file: Path
    digest: str
    has_constraints: bool

    @classmethod
    def read(cls, file: Path) -> _Requirements:
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ConfigError(f"--requirements {file}: {error.strerror}") from None
        named = re.search(rb"(-c|--constraint)[ =]", data)
        return cls(file.absolute(), sha256(data).hexdigest(), named is not None)


def _opened(place: Path) -> Airflow:
    """A virtual environment as the user named it, asked for its version."""
    place = place.absolute()  # it runs in another folder than ours
    folder = place.parent.parent if place.name == "airflow" and place.is_file() else place
    python = folder / "bin" / "python"
    if not (folder / "bin" / "airflow").is_file() or not python.is_file():
        raise ConfigError(
            f"--airflow {place}: there is no bin/airflow in it. Name the folder of a virtual "
            f"environment that has apache-airflow"
        )
    asked = (
        "from importlib.metadata import version, PackageNotFoundError as E\n"
        "def v(n):\n try: return version(n)\n except E: return '-'\n"
        f"print(v('apache-airflow'), v('apache-airflow-core'), v('{FAB}'))"
    )
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    status, output = _run([str(python), "-I", "-c", asked], environment, timeout_s=CALL_TIMEOUT_S)
    words = output.split()
    found = next((w for w in words[:2] if re.fullmatch(r"\d+\.\d+\.\d+", w)), "")
    if status != 0 or not found:
        raise ConfigError(f"--airflow {place}: no released apache-airflow is installed in it")
    return Airflow(found, folder, fab=words[2] != "-")


def _uv(command: Sequence[str], version: str) -> None:
    environment = {name: value for name, value in os.environ.items() if _TOLD.fullmatch(name)}
    status, output = _run(command, environment, timeout_s=INSTALL_TIMEOUT_S)
    if status != 0:
        last = [re.sub(r"^\W+", "", line) for line in output.splitlines() if line.strip()]
        told = dict.fromkeys((*last[:2], *last[-1:]))  # what it met first, and what it came to
        said = "; ".join(line[:_WIDE].rstrip(".") for line in told) or f"status {status}"
        raise MigrationError(f"Airflow {version} cannot be installed with uv: {said}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other one's installation is bounded
        yield


def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
) -> tuple[int, str]:
    """Run a program; it and all that it started end with us, however we end."""
    try:
        process = subprocess.Popen(  # noqa: S603 - a path of ours, and no shell
            command,
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise MigrationError(f"{command[0]} cannot be run: {error.strerror}") from None
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _end(process)
        name = Path(command[0]).name
        raise MigrationError(f"{name} took longer than {timeout_s:g} s and was ended") from None
    except BaseException:
        _end(process)
        raise
    return process.returncode, output


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
