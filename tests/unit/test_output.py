"""Progress: a bar on a terminal, lines in a log, nothing where nobody wants it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import pytest

from airkeep.cli.output import LOG_EVERY_S, Output
from airkeep.snapshot.progress import Step

WORK = """
import sys, time
from airkeep.cli.output import Output
from airkeep.snapshot.progress import Step
with Output(quiet={quiet}).progress("export") as tell:
    for rows in range(0, 8_000, 500):
        tell(Step("task_instance", rows, 10_000))
        time.sleep(0.1)
"""


def seen_on_a_terminal(script: str) -> str:
    """All that a process writes to a terminal, its colours and movements too."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script], stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    with process, suppress(OSError), os.fdopen(ours, "rb", buffering=0) as terminal:
        while part := terminal.read(4096):  # an error is the end: the other side was closed
            said += part
    assert process.returncode == 0
    return said.decode()


def plain(said: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)


def test_a_terminal_shows_a_bar_with_rows_a_second_and_the_time_left() -> None:
    said = plain(seen_on_a_terminal(WORK.format(quiet=False)))

    line = r"export task_instance \S+ +([\d,]+) rows ([\d,]+) rows/s(?:, (\d\.\d s) left)?"
    shown = re.findall(line, said)
    rows, speed = (int(cell.replace(",", "")) for cell in shown[-1][:2])
    assert 5_000 < rows < 10_000
    assert 0 < speed <= 5_500  # 500 rows take 0.1 s or more
    assert shown[-1][2]


def test_a_terminal_of_somebody_who_wants_quiet_shows_nothing() -> None:
    assert seen_on_a_terminal(WORK.format(quiet=True)) == ""


TOO_FEW = """
import time
from airkeep.cli.output import Output
from airkeep.snapshot.progress import Step
with Output().progress("export") as tell:
    for rows in (1_000, 9_000):
        tell(Step("task_instance", rows, 1_000))
        time.sleep(0.3)
"""


def test_more_rows_than_expected_make_no_full_bar() -> None:
    _, first, *_, last = seen_on_a_terminal(TOO_FEW).split("export task_instance")

    full = "\N{BOX DRAWINGS HEAVY HORIZONTAL}" * 24  # of one colour; each has its own in a pulse
    assert "1,000 rows" in plain(first)
    assert full in first
    assert "9,000 rows" in plain(last)
    assert full not in last


STEPS = [Step("dag", 1, 1_000), Step("dag", 100, 1_000), Step("xcom", 400, 1_000),
         Step("xcom", 1_200, 1_000)]  # fmt: skip


def logged(output: Output, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What comes of the steps in a log: standard error is no terminal here."""
    with output.progress("export") as tell:
        for step in STEPS:
            tell(step)
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def each(seconds: float) -> Output:
    """An output whose clock goes on by so much whenever somebody looks at it."""
    times = iter(range(100))
    return Output(clock=lambda: next(times) * seconds)


def test_a_log_has_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    assert logged(each(LOG_EVERY_S / 2), capsys) == [
        "export dag: 100 rows of about 1,000, 10 rows/s, 1 min 30 s left",
        "export xcom: 1,200 rows, 60 rows/s",
    ]
    assert logged(each(LOG_EVERY_S / 5), capsys) == []


def test_what_nobody_counts_has_no_count(capsys: pytest.CaptureFixture[str]) -> None:
    with replace(each(1), verbosity=1).progress("models") as tell:
        tell(Step("runs", 0, 0))
    assert capsys.readouterr().err.splitlines() == ["models runs"]


def test_a_log_has_a_line_a_table_for_somebody_who_wants_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert logged(replace(each(1), verbosity=1), capsys) == [
        "export dag: 1 rows of about 1,000, 1 rows/s",
        "export xcom: 400 rows of about 1,000, 133 rows/s, 4.5 s left",
    ]


def test_a_log_of_somebody_who_wants_quiet_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert logged(Output(quiet=True, verbosity=1), capsys) == []


def test_a_table_that_is_too_wide_is_cut_where_it_is_widest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().answer(["id", "text", "note"], [["1", "x" * 90, "y" * 12]], width=40)
    Output().answer(["a" * 30] * 9, [], width=40)

    header, row, names = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "text", "note"]
    assert len(row) == 40
    assert row.endswith("y" * 12)
    assert "x…" in row
    assert len(names) == 40
