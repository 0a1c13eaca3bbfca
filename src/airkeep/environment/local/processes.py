"""An Airflow's processes: started as groups of their own, watched, ended in order.

A small shell beside each waits for our end, however it comes, and ends the group then. Tasks are in
groups of their own, so what may have outlived its group is looked for by its variables: when all
are stopped, and by the next one that runs the environment. One that ends by itself is started
again, a few times.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from airkeep.errors import LocalAirflowError

END_S = 15
_KILLED_S = 5  # what the system may take to end what is killed
_STARTS = 5  # in a row, of one process that keeps ending
_STEADY_S = 120  # after which it is believed to run

# Reads until our end closes its input; told "done", the group has been ended already. (No `--`
# before the group: dash takes that for a number.)
_GUARD = 'read -r done && exit 0; kill -TERM "-$1"; sleep 5; kill -KILL "-$1"'


@dataclass
class _Process:
    name: str
    words: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    starts: int = 0
    began: float = 0.0
    group: subprocess.Popen[bytes] | None = None
    guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.group = subprocess.Popen(  # noqa: S603 - a path of ours, and no shell
                self.words, env=dict(self.environment), cwd=self.environment["AIRFLOW_HOME"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.guard = subprocess.Popen(  # noqa: S603 - a script of ours, its words as arguments
            ["/bin/sh", "-c", _GUARD, "airkeep-guard", str(self.group.pid)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd="/", env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        self.starts, self.began = self.starts + 1, time.monotonic()

    def signal(self, sign: signal.Signals) -> None:
        if self.group is not None:
            try:
                os.killpg(self.group.pid, sign)
            except ProcessLookupError:
                return

    def wait(self, until: float) -> bool:
        """Whether it has ended by then."""
        if self.group is None:
            return True
        try:
            self.group.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def release(self) -> None:
        if self.guard is not None:
            self.guard.communicate(b"done\n")
            self.guard = None


@dataclass
class Processes:
    """The processes of one environment.

    Attributes:
        airflow: its program.
        variables: of a component, the whole environment.
        logs: the folder of files that they write to.
        warn: is told of each that has ended by itself.
    """

    airflow: Path
    variables: Callable[[str], Mapping[str, str]]
    logs: Path
    warn: Callable[[str], None]
    _all: list[_Process] = field(default_factory=list)

    def start(self, commands: Mapping[str, Sequence[str]]) -> None:
        """Start them all; those that run already are left alone."""
        known = {p.name for p in self._all}
        for name, words in commands.items():
            if name not in known:
                process = _Process(
                    name, [str(self.airflow), *words], self.variables(name), self._log(name)
                )
                process.start()
                self._all.append(process)

    def look(self) -> None:
        """Start those again that have ended.

        Raises:
            LocalAirflowError: one of them ends again and again.
        """
        for process in self._all:
            if process.group is None or process.group.poll() is None:
                continue
            process.signal(signal.SIGKILL)  # its children; a new one has its own
            process.release()
            if time.monotonic() - process.began > _STEADY_S:
                process.starts = 0
            if process.starts >= _STARTS:
                raise LocalAirflowError(
                    f"Airflow's {process.name} has ended {_STARTS} times in a row, the last time "
                    f"with status {process.group.returncode}: {process.log} says why"
                )
            self.warn(
                f"Airflow's {process.name} has ended with status {process.group.returncode} and is "
                f"started again: {process.log} says why"
            )
            process.start()

    def stop(self) -> None:
        """End them all: in good order, then at once."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for process in self._all:
                process.signal(sign)
            until = time.monotonic() + END_S
            if all(p.wait(until) for p in self._all):
                break
        for process in self._all:
            process.signal(signal.SIGKILL)  # what of its group has outlived it
            process.release()
        homes = {Path(process.environment["AIRFLOW_HOME"]) for process in self._all}
        self._all.clear()
        for home in homes:
            end_leftovers(home)

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def end_leftovers(home: Path) -> None:
    """End every component and task of an environment that nobody runs any more.

    A process that wrote its title over its variables is known by its words and its folder. Their
    ports are free when this returns, unless the system takes longer than seconds to end them.
    """
    killed: list[Path] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if _is_of(folder, home):
                os.kill(int(folder.name), signal.SIGKILL)
                killed.append(folder)
    until = time.monotonic() + _KILLED_S
    while any(map(_lives, killed)) and time.monotonic() < until:
        time.sleep(0.01)


def _lives(process: Path) -> bool:
    """Whether it has not ended; one that nobody has asked for yet (a zombie) has."""
    try:
        told = (process / "stat").read_text()
    except OSError:
        return False
    return told.rpartition(")")[2].split()[0] not in ("Z", "X")


def _is_of(process: Path, home: Path) -> bool:
    variables = (process / "environ").read_bytes().split(b"\0")
    if b"AIRFLOW_HOME=" + bytes(home) in variables:  # a user's own shell has no component
        return any(v.startswith(b"MWAA_AIRFLOW_COMPONENT=") for v in variables)
    words = (process / "cmdline").read_bytes()
    return words.startswith(b"airflow ") and (process / "cwd").readlink() == home.resolve()
