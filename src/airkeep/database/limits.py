"""What reading a database may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadLimits:
    """Limits of one reader.

    Attributes:
        memory_bytes: for the whole process, about.
        threads: scan threads; more than cores costs twice the CPU and gains nothing (measured).
    """

    memory_bytes: int = 400_000_000
    threads: int = 2
    lock_timeout_s: int = 30
    statement_timeout_s: int = 3600
