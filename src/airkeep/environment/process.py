"""Which process a run is, so that another one of this machine can see that it has ended.

A name and a process id do not tell that: containers and CI runners share names, each counts its
processes from 1, and an id is given away again. So a process is known by the start of its kernel,
its namespace of ids, and its own start, as Linux tells them; elsewhere nobody is seen to have
ended, and the end of a hold is waited for.
"""

from __future__ import annotations

import os
from pathlib import Path

_START = 19  # field 22 of stat, counted from the one after the command's name


def machine() -> str:
    """The space in which process ids mean something; empty where that cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def started(pid: int) -> int:
    """When a process began, in ticks of its kernel; 0 where that cannot be known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[_START])


def has_ended(pid: int, since: int) -> bool:
    """Whether the process of that id, of this machine, that began then is there no more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # another user's, whom /proc may hide
    return bool(since) and started(pid) not in (0, since)
