"""A command line of ours in a process of its own: here, and inside of a job, on Glue or in a task.

Its standard output is what it found, and is kept; its standard error goes to the log line by line,
of which the last one is kept. It asks nobody anything: its standard input is closed.
It ends when its starter does, however that ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer
from typing import Any

from airkeep.errors import JobError
from airkeep.jobs.job import (
    MAX_SUMMARY_BYTES,
    Outcome,
    Result,
    check_command,
    check_token,
    told_of_cut,
)
from airkeep.jobs.record import Record, run_once

# The command line itself gives up after 20 s; Airflow kills a task after 60 s.
STOP_S = 30.0
# Linux ends the command with its starter, also after a SIGKILL, which nobody can pass on.
_BEGIN = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv.pop(1)):
    sys.exit(143)
from airkeep.cli.main import main
main()
"""


def run_here(
    command: Sequence[str],
    environ: Mapping[str, str],
    *,
    environment: str = "",
    record: Record | None = None,
    timeout_s: float | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run one of our commands in this machine.

    Args:
        command: without `airkeep` itself.
        environ: the variables of its process.
        environment: whose job it is; goes into the record.
        record: makes it one job: once it has ended, it is not run again. One that was killed is.
        tell: is given each line of its standard error.

    Raises:
        ConfigError: the command or the token cannot be a job's.
        JobError: with this token another job was asked for, or it took too long and was stopped.
        StoreError: the record could not be read or saved.
    """
    words = check_command(command)
    if record is None:
        done = run_command(words, environ, tell, timeout_s=timeout_s)
        return Outcome("here", "", "", "printed here", done)

    def do() -> Result:
        return run_command(words, environ, tell, most_bytes=MAX_SUMMARY_BYTES, timeout_s=timeout_s)

    check_token(record.token)
    record.ask("here", environment, words, datetime.now(UTC))
    result = run_once(record.kept, do, tell)
    return Outcome("here", record.token, "", "printed here", result)


def run_command(
    command: Sequence[str],
    environ: Mapping[str, str],
    tell: Callable[[str], None],
    *,
    most_bytes: int | None = None,
    timeout_s: float | None = None,
) -> Result:
    """Run `airkeep COMMAND` with this interpreter and its modules.

    Args:
        most_bytes: of what it prints that are kept; None for all.
        timeout_s: after which it is stopped; None for never.

    Raises:
        JobError: it was stopped.
    """
    modules = {"PYTHONPATH": ":".join(path for path in sys.path if path)}  # Glue adds to it itself
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            # -P: else a folder named airkeep, where we stand, would be run in place of this one.
            [sys.executable, "-P", "-c", _BEGIN, str(os.getpid()), *command],
            env={**environ, **modules},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=Path.cwd(),
            start_new_session=True,
        )
        last = ""
        with process, _stopped_after(timeout_s, process):
            try:
                for line in process.stderr or ():
                    last = line.rstrip() or last
                    tell(line.rstrip())
                process.wait()
            except BaseException:
                stop(process)
                raise
        printed_bytes = output.seek(0, os.SEEK_END)
        output.seek(0)
        is_cut = most_bytes is not None and printed_bytes > most_bytes
        summary = {"cut": printed_bytes} if is_cut else _summary(output.read())
    if is_cut:
        tell(told_of_cut(printed_bytes))
    error = last.removeprefix("airkeep: ") if process.returncode else ""
    return Result(process.returncode, summary, error)


@contextmanager
def _stopped_after(timeout_s: float | None, process: subprocess.Popen[str]) -> Iterator[None]:
    is_late = []

    def stop_late() -> None:
        is_late.append(process.pid)
        stop(process)

    if timeout_s is None:
        yield
        return
    timer = Timer(timeout_s, stop_late)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if is_late:
        raise JobError(f"the command was not done within {timeout_s:g} s and was stopped")


def stop(process: subprocess.Popen[str]) -> None:
    """Let it clean up, then end it and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _summary(printed: bytes) -> Any:
    text = printed.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text.strip() or None
