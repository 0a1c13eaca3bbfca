"""Several contestants take turns, each in a process of its own.

They run in rounds; every round begins with another of them, so a slow minute of the machine hits
all alike. Ratios are of two runs of one round; what is shown of them is their median.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.data import CACHE
from benchmarks.meter import measure

LOG = CACHE / "last.log"
SLOW_RUNS = 3
LIMIT_S = 1800


@dataclass(frozen=True)
class Contestant:
    """Who takes part.

    Attributes:
        command: its words; `{out}` is an empty folder that is removed afterwards.
        is_slow: takes part in three rounds at most.
        missing: why it cannot take part.
        before: what makes the ground ready, not measured.
        check: says what is wrong with the result, not measured, after its first run.
        read_bytes: shown where nothing is written: what a restore reads.
    """

    name: str
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    is_slow: bool = False
    missing: str = ""
    before: Callable[[], object] = lambda: None
    check: Callable[[], str] = lambda: ""
    read_bytes: int = 0


@dataclass(frozen=True)
class Run:
    """What one run took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    bytes: int


@dataclass
class Result:
    """A contestant's runs by round, or why there are none."""

    name: str
    runs: dict[int, Run] = field(default_factory=dict)
    failed: str = ""

    def median(self, what: str) -> float:
        return median(float(getattr(run, what)) for run in self.runs.values())

    def ratio(self, other: Result, what: str) -> float | None:
        """The median of the ratios of the rounds that both took part in."""
        rounds = sorted(self.runs.keys() & other.runs.keys())
        pairs = [(getattr(self.runs[n], what), getattr(other.runs[n], what)) for n in rounds]
        return median(a / b for a, b in pairs) if pairs and all(b for _, b in pairs) else None


def hold(title: str, contestants: Sequence[Contestant], *, rounds: int) -> list[Result]:
    """Let all run `rounds` times and give their results in the order of `contestants`."""
    results = {c.name: Result(c.name, failed=c.missing) for c in contestants}
    for number in range(rounds):
        start = number % len(contestants)
        for contestant in (*contestants[start:], *contestants[:start]):
            result = results[contestant.name]
            if result.failed or (contestant.is_slow and number >= SLOW_RUNS):
                continue
            print(f"{title}: round {number + 1}, {contestant.name} ", file=sys.stderr, end="")
            try:
                result.runs[number] = run = take_turn(contestant, is_first=number == 0)
                print(f"{run.wall_s:.1f} s", file=sys.stderr, flush=True)
            except _FailedError as error:
                result.failed = str(error)
                result.runs.clear()
                print(result.failed, file=sys.stderr, flush=True)
    return list(results.values())


class _FailedError(Exception):
    """A contestant did not do its work."""


def take_turn(contestant: Contestant, *, is_first: bool) -> Run:
    contestant.before()
    with _folder() as out:
        LOG.write_bytes(b"")
        command = [word.replace("{out}", str(out)) for word in contestant.command]
        found = measure(
            command, environment=environment(contestant.environment), log=LOG, limit_s=LIMIT_S
        )
        if found["status"] != 0:
            lines = LOG.read_text(errors="replace").strip().splitlines() or ["no reason given"]
            raise _FailedError(f"failed (status {found['status']}): {lines[-1][:160]}")
        if is_first and (wrong := contestant.check()):
            raise _FailedError(f"wrong: {wrong}")
        size = contestant.read_bytes or folder_bytes(out)
        return Run(found["wall_s"], found["cpu_s"], found["peak_bytes"], size)


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """What a contestant sees: the machine's paths and nothing that changes how Python runs."""
    own = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**own, "TMPDIR": str(_scratch()), **more}


def folder_bytes(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="out-", dir=_scratch()) as folder:
        yield Path(folder)


def _scratch() -> Path:
    folder = CACHE / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
