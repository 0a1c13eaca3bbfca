"""An Airflow on this machine: a PostgreSQL of its own, its processes, its database's way to sleep.

Whoever runs it (`airkeep up`) holds the folder's lock and ends everything when he ends, however he
does. `airkeep down` in another terminal works on the same database, tells that process to end, and
deletes the data last.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

from airkeep.database.address import Address, parse_address
from airkeep.database.server import Server
from airkeep.environment.events import LocalPlace, Recorded
from airkeep.environment.ground import Pulse
from airkeep.environment.local.check import check_place, check_port, has_tables_of
from airkeep.environment.local.folder import Folder, Running
from airkeep.environment.local.migration import migrate
from airkeep.environment.local.packages import lay_out_plugins
from airkeep.environment.local.processes import Processes, end_leftovers
from airkeep.environment.local.variables import WEBSERVER_CONFIG, Given, commands, variables
from airkeep.environment.metadata import Metadata
from airkeep.errors import LocalAirflowError, TooLongError
from airkeep.export.run import export
from airkeep.restore.run import restore
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.manifest import SecretsMode
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.upgrade.airflow import Airflows
from airkeep.upgrade.into import restore_upgraded

DATABASE = "airflow"
_MAKING = "airflow_making"  # becomes the database when all of it is there
# Unlike a scratch server's, what is in there is the only one of its kind.
_DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
_TAKE_PLACE = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{_MAKING}';
ALTER DATABASE {_MAKING} RENAME TO {DATABASE};
"""
_END_S = 90
_LOOK_S = 1.0
_HEALTH_S = 5


def _quiet(_: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class LocalMeans:
    """What the command line hands over.

    Attributes:
        cache: where Airflows are kept.
        own: the user's variables that reach Airflow: `AIRFLOW__...`, `AIRFLOW_VAR_...`, `AWS_...`.
        source_fernet_key: of a snapshot from elsewhere.
        is_new: it never was awake, and may be given secrets of its own.
        warn: is told what people should know.
    """

    lake: Lake
    cache: Path
    own: Mapping[str, str] = field(default_factory=dict)
    secrets: SecretsMode = "keep"
    archive_key: str | None = None
    source_fernet_key: str | None = None
    spool: Path | None = None
    progress: Progress = silent
    is_new: bool = False
    warn: Callable[[str], None] = _quiet


class LocalGround:
    """One local environment; a context manager that ends what it started."""

    wake_steps = ("create", "restore", "start", "ready")

    def __init__(self, environment: str, place: LocalPlace, means: LocalMeans) -> None:
        self.environment, self.place, self.means = environment, place, means
        self.folder = Folder(Path(place.folder))
        self._stack = ExitStack()
        self._server: Server | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def name(self) -> str:
        return f"{self.environment} ({self.folder.path})"

    # Looking.

    def exists(self) -> bool:
        return self.folder.postgres.exists()

    def beside(self) -> tuple[str, ...]:
        return ()

    def doubts(self) -> tuple[str, ...]:
        return ()

    def record(self) -> Recorded:
        definition = {"airflow": self.place.airflow}
        return Recorded(self._metadata().active_dags(), json.dumps(definition))

    def pulse(self, since: datetime | None = None) -> Pulse:
        """Where nobody runs its Airflow, nothing is at work, whatever the rows say."""
        pulse = self._metadata().pulse(since)
        if self._server is None:  # another process runs it
            return pulse
        return replace(pulse, running=0, closing=0, orphaned=pulse.running)

    # Going down.

    def to_pause(self) -> tuple[str, ...]:
        return self._metadata().active_dags()

    def pause(self, dags: Collection[str]) -> None:
        self._metadata().set_paused(dags, paused=True)

    def unpause(self, dags: Collection[str]) -> None:
        self._metadata().set_paused(dags, paused=False)

    def export(self, token: str) -> Snapshot:
        means = self.means
        return export(
            self._address(),
            means.lake,
            environment=self.environment,
            secrets=means.secrets,
            fernet_key=self.fernet_key,
            archive_key=means.archive_key,
            spool=means.spool,
            progress=means.progress,
        )

    @property
    def fernet_key(self) -> str:
        return self.folder.secrets().fernet_key

    def delete(self) -> None:
        running = None if self._server is not None else self.folder.running()
        if running is not None:
            with suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGTERM)
            self._wait_for_end()
        self._stack.close()
        self._server = None
        if self.folder.path.exists():
            with self.folder.hold():  # nobody's server is over it, nor will be
                self._remove()

    def _remove(self) -> None:
        """Its rename is all or nothing; what has another name is no database of anybody's."""
        folder = self.folder
        try:
            if folder.postgres.exists():
                if folder.gone.exists():
                    shutil.rmtree(folder.gone)
                folder.postgres.rename(folder.gone)
            if folder.gone.exists():
                shutil.rmtree(folder.gone)
        except OSError as error:
            raise LocalAirflowError(
                f"{error.filename or folder.path} cannot be removed: {error.strerror}. Remove it, "
                f"then run this again"
            ) from None

    def is_whole(self) -> bool:
        return self.folder.postgres.exists()

    def is_gone(self) -> bool:
        return not (self.folder.postgres.exists() or self.folder.gone.exists())

    def _wait_for_end(self) -> None:
        until = time.monotonic() + _END_S
        while self.folder.is_held():
            if time.monotonic() > until:
                raise TooLongError(
                    f"{self.name}: the process that runs it has not ended within {_END_S} s: end "
                    f"it, then run this again"
                )
            time.sleep(_LOOK_S / 5)

    # Coming up.

    def create(self, recorded: Recorded | None, snapshot: Snapshot | None) -> None:
        """A server with an empty database."""
        self.folder.make()
        if self.means.is_new:
            self.folder.make_secrets()
        self._hold()
        # Written by the Airflow that ran here last, whose defaults may not be this one's: 2.11
        # names an auth manager that 3.x has as a provider only.
        self.folder.home.joinpath("airflow.cfg").unlink(missing_ok=True)
        self._server = self._server or self._started()

    def check(self, snapshot: Snapshot | None) -> None:
        if self._server is None:
            self.folder.check_free()
        check_place(self.environment, self.place, snapshot, self.means.warn)

    def end_leftovers(self) -> None:
        """End what a run that was killed has left, so that its port is free.

        Raises:
            HeldError: a process runs it.
        """
        if self.folder.has_database:
            with self.folder.hold():
                end_leftovers(self.folder.home)

    def install(self) -> None:
        """Make its Airflow's packages.

        Raises:
            MigrationError: they cannot be had.
        """
        self.venv  # noqa: B018 - made when it is asked for

    def start(self) -> None:
        check_port(self.environment, self.place.port)
        self.folder.home.joinpath("webserver_config.py").write_text(WEBSERVER_CONFIG)
        plugins = self.place.plugins
        lay_out_plugins(Path(plugins) if plugins else None, self.folder.home / "plugins")
        if not self._metadata().is_made():
            with self._replaced() as address:
                self._migrate(address)
        assert self._server is not None  # noqa: S101 - `create` comes first
        self.folder.tell(Running(os.getpid(), self.place.port, self._server.port))
        self._stack.callback(self._processes.stop)
        self._processes.start(commands(self._given))

    def is_ready(self) -> bool:
        self._processes.look()
        path = "health" if self._given.is_major_2 else "api/v2/monitor/health"
        url = f"http://127.0.0.1:{self.place.port}/{path}"
        try:
            with urllib.request.urlopen(url, timeout=_HEALTH_S) as answer:
                found = json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            return False
        states = [part.get("status") for part in found.values() if isinstance(part, dict)]
        return len(states) > 1 and all(state in ("healthy", None) for state in states)

    def is_restored(self, snapshot: Snapshot) -> bool:
        return self._metadata().is_made()

    def restore(self, snapshot: Snapshot, active: Collection[str] | None, token: str) -> None:
        """As it was; for another Airflow into tables that this one made."""
        means = self.means
        given: dict[str, Any] = {
            "active": active,
            "in_flight": "keep",
            "fernet_key": self.fernet_key,
            "source_fernet_key": means.source_fernet_key,
            "archive_key": means.archive_key,
            "spool": means.spool,
            "progress": means.progress,
        }
        with self._replaced() as address:
            if has_tables_of(self.place.airflow, snapshot):
                restore(means.lake, snapshot, address, create_schema=True, **given)
            else:
                self._migrate(address)
                restore_upgraded(means.lake, snapshot, address, cache=means.cache, **given)

    def settle(self) -> None: ...

    def serve(self, told_to_end: threading.Event) -> None:
        """Watch over its processes until told to end.

        Raises:
            LocalAirflowError: one of them ends again and again.
        """
        while not told_to_end.wait(_LOOK_S):
            self._processes.look()

    # Its parts.

    @cached_property
    def venv(self) -> Path:
        named = self.place.requirements
        requirements = Path(named) if named else None
        otherwise = f"Name another: airkeep up {self.environment} --airflow VERSION"
        if requirements is not None:
            otherwise += f", or mend {requirements}"
        self.means.progress(Step(f"making Airflow {self.place.airflow}'s packages", 0, 0))
        airflows = Airflows(
            [], self.means.cache, otherwise=otherwise, without_uv="Then run this again"
        )
        return airflows.get(self.place.airflow, fab=False, requirements=requirements).folder

    @cached_property
    def _given(self) -> Given:
        return Given(
            environment=self.environment,
            version=self.place.airflow,
            folder=self.folder,
            dags=Path(self.place.dags),
            venv=self.venv,
            port=self.place.port,
            database=_of_sqlalchemy(self._address()),
            secrets=self.folder.secrets(),
            own=self.means.own,
        )

    @cached_property
    def _processes(self) -> Processes:
        return Processes(
            self.venv / "bin" / "airflow",
            partial(variables, self._given),
            self.folder.logs,
            self.means.warn,
        )

    def _hold(self) -> None:
        if self._server is None:
            self._stack.enter_context(self.folder.hold())
            end_leftovers(self.folder.home)

    def _started(self) -> Server:
        if not self.folder.postgres.exists():
            self._make_server()
        server = self._stack.enter_context(Server.start(self.folder.postgres, options=_DURABLE))
        there = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"
        if not server.run("psql", "-At", stdin=there).strip():
            server.create(DATABASE)
        return server

    def _make_server(self) -> None:
        """Beside its place, so that what lies there is whole."""
        part = self.folder.part
        if part.exists():
            shutil.rmtree(part)  # its making was cut short
        with Server.start(part, options=_DURABLE) as server:
            server.create(DATABASE)
        part.rename(self.folder.postgres)

    @contextmanager
    def _replaced(self) -> Iterator[Address]:
        """An empty database that takes the place of ours when the block is done.

        What fails or is killed leaves no tables there that look whole.
        """
        server = self._server
        assert server is not None  # noqa: S101 - `create` comes first
        server.drop(_MAKING)
        yield parse_address(server.create(_MAKING))
        server.drop(DATABASE)
        server.run("psql", stdin=_TAKE_PLACE)

    def _address(self) -> Address:
        if self._server is None and (running := self.folder.running()) is not None:
            password = (self.folder.postgres / "password").read_text()
            known = parse_address(
                f"postgresql://airkeep@127.0.0.1:{running.database_port}/{DATABASE}"
            )
            return replace(known, password=password)
        if self._server is None:
            self._hold()
            self._server = self._started()
        return parse_address(self._server.address(DATABASE))

    def _metadata(self) -> Metadata:
        return Metadata(self._address(), self.means.spool)

    def _migrate(self, address: Address) -> None:
        given = replace(self._given, database=_of_sqlalchemy(address))
        migrate(
            self.venv / "bin" / "airflow",
            self.place.airflow,
            variables(given, "migrate-db"),
            self.folder.logs / "migrate.log",
        )


def _of_sqlalchemy(address: Address) -> str:
    return address.reveal().replace("postgresql:", "postgresql+psycopg2:", 1)
