"""A command line of ours in a process of its own: here, and inside of a job.

Its standard output is what it found, and is kept; its standard error goes to the log line by line,
of which the last one is kept. It asks nobody anything: its standard input is closed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from airkeep.jobs.job import MAX_SUMMARY_BYTES, Outcome, Result, check_command


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
    command: Sequence[str], environ: Mapping[str, str], tell: Callable[[str], None]
) -> Result:
    """Run `airkeep COMMAND` with this interpreter and its modules."""
    modules = {"PYTHONPATH": ":".join(path for path in sys.path if path)}  # Glue adds to it itself
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            [sys.executable, "-m", "airkeep.cli", *command],
            env={**environ, **modules},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=Path.cwd(),
        )
        last = ""
        with process:
            for line in process.stderr or ():
                last = line.rstrip() or last
                tell(line.rstrip())
        output.seek(0)
        printed = output.read(MAX_SUMMARY_BYTES + 1)
    error = last.removeprefix("airkeep: ") if process.returncode else ""
    return Result(process.returncode, _summary(printed), error)


def _summary(printed: bytes) -> Any:
    text = printed[:MAX_SUMMARY_BYTES].decode(errors="replace")
    if len(printed) <= MAX_SUMMARY_BYTES:
        try:
            return json.loads(text)
        except ValueError:
            pass
    return text.strip() or None
