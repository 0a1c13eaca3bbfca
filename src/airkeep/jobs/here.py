"""A command line of ours in a process of its own: here, and inside of a job.

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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from airkeep.jobs.job import Outcome, Result, check_command, told_of_cut

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
    token: str,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run one of our commands in this machine.

    Args:
        command: without `airkeep` itself.
        environ: the variables of its process.
        tell: is given each line of its standard error.

    Raises:
        ConfigError: the command cannot be a job's.
    """
    result = run_command(check_command(command), environ, tell)
    return Outcome("here", token, "", "printed here", result)


def run_command(
    command: Sequence[str],
    environ: Mapping[str, str],
    tell: Callable[[str], None],
    *,
    most_bytes: int | None = None,
) -> Result:
    """Run `airkeep COMMAND` with this interpreter and its modules.

    Args:
        most_bytes: of what it prints that are kept; None for all.
    """
    modules = {"PYTHONPATH": ":".join(path for path in sys.path if path)}  # Glue adds to it itself
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            [sys.executable, "-c", _BEGIN, str(os.getpid()), *command],
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
        with process:
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
