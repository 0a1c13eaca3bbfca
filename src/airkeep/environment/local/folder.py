"""What a local environment keeps on its machine, and whether somebody is running it.

<folder>/postgres/      the server's data, gone while the environment sleeps
<folder>/postgres.part/ one that is being made; only its rename makes it a database
<folder>/postgres.gone/ one whose deletion has begun, and its rename began it
<folder>/airflow/       AIRFLOW_HOME: logs, plugins
<folder>/logs/          what each process said
<folder>/secrets.json   its Fernet key and others; they outlive its sleep
<folder>/running.json   the ports and the process that runs it
<folder>/lock           held by that process, however it ends
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from airkeep.database.programs import unprivileged_user
from airkeep.errors import HeldError, LocalAirflowError


class Running(msgspec.Struct, frozen=True):
    """Who runs it, and where it listens."""

    pid: int
    port: int
    database_port: int


class Secrets(msgspec.Struct, frozen=True):
    """What only this environment knows."""

    fernet_key: str
    jwt_secret: str
    secret_key: str


@dataclass(frozen=True)
class Folder:
    """The folder of one environment."""

    path: Path

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def part(self) -> Path:
        return self.path / "postgres.part"

    @property
    def gone(self) -> Path:
        return self.path / "postgres.gone"

    @property
    def home(self) -> Path:
        return self.path / "airflow"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def has_database(self) -> bool:
        return (self.postgres / "data" / "PG_VERSION").exists()

    def make(self) -> None:
        """Make what is not there, closed to others.

        Where PostgreSQL runs as another user, he may pass through to its data, and no further.
        """
        for place in (self.path, self.home, self.logs):
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(0o700)
        if unprivileged_user() is not None:
            self.path.chmod(0o711)
        (self.path / ".gitignore").write_text("*\n")

    def make_secrets(self) -> None:
        """Those of an environment that is new; what has been made stays."""
        from cryptography.fernet import Fernet

        file = self.path / "secrets.json"
        if not file.exists():
            made = Secrets(
                Fernet.generate_key().decode(), secrets.token_hex(32), secrets.token_hex(32)
            )
            _write_private(file, msgspec.json.encode(made))

    def secrets(self) -> Secrets:
        """Those that were made when it was new.

        Raises:
            LocalAirflowError: they are not there.
        """
        file = self.path / "secrets.json"
        try:
            return msgspec.json.decode(file.read_bytes(), type=Secrets)
        except FileNotFoundError:
            raise LocalAirflowError(
                f"{file} is missing: the environment is not on this machine, or was moved: "
                f"airkeep env add ENVIRONMENT --kind local --folder FOLDER says where to"
            ) from None
        except msgspec.DecodeError:
            raise LocalAirflowError(
                f"{file} cannot be read: put it back from a copy. Without it the environment's "
                f"secrets do not open"
            ) from None

    # Running it.

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Be the one process that runs it.

        Raises:
            HeldError: another one does.
        """
        with (self.path / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HeldError(self._taken()) from None
            # Of one that was killed: its process id may be anybody's by now.
            (self.path / "running.json").unlink(missing_ok=True)
            try:
                yield
            finally:
                (self.path / "running.json").unlink(missing_ok=True)

    def check_free(self) -> None:
        """Refuse to run what a process runs already.

        Raises:
            HeldError: one does.
        """
        if self.is_held():
            raise HeldError(self._taken())

    def is_held(self) -> bool:
        """Whether a process runs it."""
        if not (self.path / "lock").exists():
            return False
        with (self.path / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def tell(self, running: Running) -> None:
        """Say where it is to be found; the one who holds it does."""
        _write_private(self.path / "running.json", msgspec.json.encode(running))

    def running(self) -> Running | None:
        """Where it runs; None where nobody runs it, or not yet."""
        if not self.is_held():
            return None
        try:
            return msgspec.json.decode((self.path / "running.json").read_bytes(), type=Running)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _taken(self) -> str:
        running = self.running()
        told = "" if running is None else f" by process {running.pid}, at port {running.port}"
        return f"{self.path} is being run{told}: end that one first"


def _write_private(path: Path, data: bytes) -> None:
    """Whole or not at all, also when the power goes: a Fernet key is nowhere else."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
