"""What reading a database may take."""

from __future__ import annotations

from dataclasses import dataclass, fields

from airkeep.config import check_setting


@dataclass(frozen=True)
class ReadLimits:
    """Limits of one reader; each is the setting of that name.

    Attributes:
        memory_bytes: for the whole process, about.
        threads: scan threads; more than cores costs twice the CPU and gains nothing (measured).

    Raises:
        ConfigError: a limit that could not be kept.
    """

    memory_bytes: int = 400_000_000
    threads: int = 2
    lock_timeout_s: int = 30
    statement_timeout_s: int = 3600

    def __post_init__(self) -> None:
        for limit in fields(self):
            check_setting(limit.name, getattr(self, limit.name))
