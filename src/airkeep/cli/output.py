"""What a command prints: text for people, JSON for programs, progress for whoever waits.

Results go to standard output, progress and notes to standard error. On a terminal progress
is a bar with rows per second and the time left; in a log it is a plain line now and then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import click

from airkeep.hidden import hidden
from airkeep.snapshot.progress import Progress, Step, silent

LOG_EVERY_S = 10.0
# Of all rows, before the pace so far says when it will be done: small tables, which take a
# round trip for a row, come first.
SOUND_PART = 0.05
SHORTEST_CELL = 8


@dataclass(frozen=True)
class Output:
    """How a command speaks.

    Attributes:
        as_json: one JSON document on standard output, nothing else.
        quiet: no progress and no notes.
        verbosity: 1 for what is done in a log too, 2 for where time goes.
        clock: seconds that pass.
    """

    as_json: bool = False
    quiet: bool = False
    verbosity: int = 0
    clock: Callable[[], float] = monotonic

    def result(self, document: Any, text: Callable[[], None]) -> None:
        """Print the document as JSON, or let `text` print it for people."""
        if self.as_json:
            self.document(document)
        else:
            text()

    def document(self, document: Any) -> None:
        """Print JSON, whatever --json says."""
        import msgspec

        encoded = msgspec.json.encode(document)
        click.echo(msgspec.json.format(encoded, indent=2).decode())

    def line(self, text: str) -> None:
        click.echo(text)

    def note(self, text: str) -> None:
        """Something worth knowing that is no result."""
        if not self.quiet:
            # Not by click, which writes past a bar that is shown, and so behind it.
            sys.stderr.write(f"{hidden(text)}\n")

    def warn(self, text: str) -> None:
        """Something that may be wrong, and that nothing stops for."""
        self.note(f"warning: {text}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Aligned columns; numbers to the right, `-` where there is none; nothing without rows."""
        if rows:
            self.answer(columns, rows)

    def answer(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None
    ) -> None:
        """The same, and the columns also where there are no rows.

        Args:
            width: of the terminal, in characters: long cells are cut for it, the longest most.
        """
        known = [[r[i] for r in rows if r[i] != "-"] for i in range(len(columns))]
        right = [bool(cells) and all(map(_is_number, cells)) for cells in known]
        widths = [max(len(r[i]) for r in [columns, *rows]) for i in range(len(columns))]
        if width is not None:
            most = _most(widths, width)
            widths = [min(one, most) for one in widths]
            columns, *rows = ([_cut(cell, most) for cell in row] for row in [columns, *rows])
        for number, row in enumerate([columns, *rows]):
            cells = (
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row, widths, right, strict=True)
            )
            text = _cut("  ".join(cells).rstrip(), width)
            click.echo(click.style(text, bold=True) if number == 0 else text)

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress]:
        """A callback for long work."""
        if self.quiet:
            yield silent
        elif sys.stderr.isatty():
            with _bar(what, self.clock) as progress:
                yield progress
        else:
            yield _Log(what, self.clock, verbose=self.verbosity > 0)


def _most(widths: Sequence[int], width: int) -> int:
    """How long a cell may be, so that a row fits; no less than one can make sense of."""
    most = max(widths, default=0)
    while most > SHORTEST_CELL and sum(min(w, most) + 2 for w in widths) - 2 > width:
        most -= 1
    return most


def _cut(text: str, most: int | None) -> str:
    return text if most is None or len(text) <= most else f"{text[: most - 1]}…"


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace(" ", "").rstrip("%kMGTBs").isdigit()


@contextmanager
def _bar(what: str, clock: Callable[[], float]) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[told]}"),
        console=Console(stderr=True),
        transient=True,
    )
    began = clock()
    with bar:
        bar.add_task(what, total=None, told="")
        [task] = bar.tasks

        def show(step: Step) -> None:
            is_told = 0 < step.total_rows >= step.rows
            task.total = step.total_rows if is_told else None  # without one the bar pulses
            bar.update(
                task.id,
                description=f"{what} {step.doing}",
                completed=step.rows,
                told=_told(step, "", clock() - began),
            )

        yield show


class _Log:
    """A line when work has gone on for a while, or at every table with -v."""

    def __init__(self, what: str, clock: Callable[[], float], *, verbose: bool) -> None:
        self._what, self._clock, self._verbose = what, clock, verbose
        self._began = self._said = clock()
        self._doing = ""

    def __call__(self, step: Step) -> None:
        now = self._clock()
        is_new = self._verbose and step.doing != self._doing
        if not is_new and now - self._said < LOG_EVERY_S:
            return
        self._said, self._doing = now, step.doing
        of = f" of about {step.total_rows:,}" if step.total_rows > step.rows else ""
        told = _told(step, f"{of},", now - self._began)
        click.echo(f"{self._what} {step.doing}{told and f': {told}'}", err=True)


def _told(step: Step, of: str, took_s: float) -> str:
    """How far a step is; empty where nobody counts its rows."""
    is_counted = step.rows or step.total_rows
    return f"{step.rows:,} rows{of} {_pace(step, took_s)}" if is_counted else ""


def _pace(step: Step, took_s: float) -> str:
    """Rows a second so far, and the time left where that can be said."""
    speed = f"{step.rows / max(took_s, 0.001):,.0f} rows/s"
    if not step.total_rows * SOUND_PART <= step.rows < step.total_rows:
        return speed
    return f"{speed}, {seconds((step.total_rows - step.rows) / step.rows * took_s)} left"


def counted(count: int, what: str) -> str:
    """`1, "table"` -> `1 table`, `2120, "row"` -> `2,120 rows`."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def size(count: int) -> str:
    """`1234567` -> `1.2 MB`."""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def seconds(count: float) -> str:
    """`0.42` -> `0.4 s`, `75` -> `1 min 15 s`."""
    if count < 60:
        return f"{count:.1f} s"
    return f"{int(count // 60)} min {int(count % 60)} s"
