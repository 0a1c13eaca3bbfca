"""Run one command and say what it and all its children took.

A program of its own, and a small one: the kernel counts the memory of whoever starts a process into
that process's peak, so the least that can be shown is this program's size (about 10 MB).
Children that outlive the command (a JVM) are adopted and counted too.

    python -I -S meter.py REPORT LIMIT_S COMMAND...

writes {"status", "wall_s", "cpu_s", "peak_bytes"} to REPORT. `measure` does that for a harness.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

_SET_CHILD_SUBREAPER, _SET_PDEATHSIG = 36, 1
STRAYS_S = 20  # for children that outlive the command


def main() -> None:
    report, limit_s, *command = sys.argv[1:]
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_CHILD_SUBREAPER, 1)
    libc.prctl(_SET_PDEATHSIG, signal.SIGTERM)
    began = monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def end(*_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    for sign in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, end)
    signal.alarm(int(float(limit_s)))
    result: dict[str, Any] = {"status": None, "wall_s": 0.0, "cpu_s": 0.0, "peak_bytes": 0}
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        result["cpu_s"] += usage.ru_utime + usage.ru_stime
        result["peak_bytes"] = max(result["peak_bytes"], usage.ru_maxrss * 1024)
        if pid == child.pid:
            result["wall_s"] = monotonic() - began
            result["status"] = child.returncode = os.waitstatus_to_exitcode(status)
            signal.alarm(STRAYS_S)
    Path(report).write_text(json.dumps(result))


def measure(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, limit_s: float
) -> dict[str, Any]:
    """Measure a command; its output goes to `log`, at its end."""
    with tempfile.TemporaryDirectory(prefix="airkeep-meter-") as folder:
        report = Path(folder, "report")
        with log.open("ab") as out:
            subprocess.run(
                [sys.executable, "-I", "-S", __file__, str(report), str(limit_s), *command],
                env=environment, stdout=out, stderr=out, cwd=folder, check=True,
                timeout=limit_s + STRAYS_S + 10,
            )  # fmt: skip
        result: dict[str, Any] = json.loads(report.read_text())
        return result


if __name__ == "__main__":
    main()
