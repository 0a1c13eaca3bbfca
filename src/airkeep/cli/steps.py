"""What is said of a journey's steps: each as it ends with -v, and where time went with -vv."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from airkeep.cli.output import Output, seconds
from airkeep.snapshot.progress import Progress, Step

if TYPE_CHECKING:
    from airkeep.environment.means import Arrived, StepTaken


def step_teller(out: Output, environment: str) -> Callable[[StepTaken], None]:
    """Tells of each step that is done."""

    def tell(taken: StepTaken) -> None:
        if out.verbosity:
            out.note(f"{environment}: {taken.name} took {seconds(taken.took_s)}")

    return tell


@contextmanager
def step_before(
    name: str, progress: Progress, tell: Callable[[StepTaken], None]
) -> Iterator[list[StepTaken]]:
    """What takes its time before a journey sets out is told of, and kept, as one of its steps."""
    from airkeep.environment.means import StepTaken

    began = monotonic()
    progress(Step(name, 0, 0))
    kept: list[StepTaken] = []
    yield kept
    kept.append(StepTaken(name, round(monotonic() - began, 3)))
    tell(kept[0])


def tell_times(out: Output, arrived: Arrived) -> None:
    """Where a journey's time went, the longest step first."""
    if out.verbosity < 2 or not arrived.steps:
        return
    longest = sorted(arrived.steps, key=lambda step: -step.took_s)
    rest_s = arrived.took_s - sum(step.took_s for step in longest)
    parts = [f"{step.name} {seconds(step.took_s)}" for step in longest]
    out.note(f"of {seconds(arrived.took_s)}: {', '.join(parts)}, between them {seconds(rest_s)}")
