"""airkeep's command line as a process of its own, as its user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
