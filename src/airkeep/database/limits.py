"""What reading a database may take."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from airkeep.config import DEFAULT_MEMORY_BYTES, Settings, check_setting

_QUESTION_BYTES = 2_000_000_000
# What a container may take, by cgroup 2 and 1; both say so in other words where it is unbounded.
_CONTAINER = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True)
class ReadLimits:
    """Limits of one reader; each is the setting of that name.

    Attributes:
        memory_bytes: for the whole process, about.
        threads: scan threads; more than cores costs twice the CPU and gains nothing (measured).

    Raises:
        ConfigError: a limit that could not be kept.
    """

    memory_bytes: int = DEFAULT_MEMORY_BYTES
    threads: int = 2
    lock_timeout_s: int = 30
    statement_timeout_s: int = 3600

    def __post_init__(self) -> None:
        for limit in fields(self):
            check_setting(limit.name, getattr(self, limit.name))


def limits_of(settings: Settings, memory_bytes: int) -> ReadLimits:
    """The limits of these settings.

    Args:
        memory_bytes: where nobody said.
    """
    s = settings
    return ReadLimits(
        s.memory_bytes or memory_bytes, s.threads, s.lock_timeout_s, s.statement_timeout_s
    )


def question_bytes(machine_bytes: int | None = None) -> int:
    """What SQL over a lake may take where nobody said: half of the machine, from 400 MB to 2 GB.

    Args:
        machine_bytes: the memory of the machine or its container; looked up when None.
    """
    half = (machine_memory() if machine_bytes is None else machine_bytes) // 2
    return max(DEFAULT_MEMORY_BYTES, min(half, _QUESTION_BYTES))


def machine_memory(limits: Sequence[Path] = _CONTAINER) -> int:
    """The machine's memory in bytes, or its container's where that is less.

    Args:
        limits: files that hold the container's, those that are not there are passed over.
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in limits:
        try:
            found.append(int(file.read_text(encoding="ascii")))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min(found)
