"""airkeep's command line as a process of its own, as its user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from airkeep.cli.main import cli

AIRKEEP = (sys.executable, "-m", "airkeep.cli")
VARIABLE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


def start(
    folder: Path,
    url: str,
    *arguments: str,
    temporary: Path | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.Popen[str]:
    """Start a command in a folder, with `env:` a database and temporary files where one can look.

    Args:
        temporary: the folder of temporary files, by default `folder`.
        before: runs in the child before the command: limits, a mask.
    """
    return subprocess.Popen(
        [*AIRKEEP, *arguments],
        env={**os.environ, VARIABLE: url, "TMPDIR": str(temporary or folder)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        preexec_fn=before,  # noqa: PLW1509 - the tests have no threads then
    )  # fmt: skip


def commands(
    group: click.Group = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command by its words, those of a group after it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
