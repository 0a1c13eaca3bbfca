"""A reader that goes away: of progress and notes it costs nothing, of results a status.

The command line runs as a process of its own, on real pipes, with a SQLite file for a database.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from airkeep.snapshot.lake import Lake
from command import start

SPEAK = """
import sys, click
from airkeep.cli.main import COMMANDS, main

@click.command()
def speak():
    sys.stdout.write("a result")
    sys.stderr.write("a note")

COMMANDS["speak"] = "__main__:speak"
main(["speak"])
"""
EXPORT = ("export", "env:", "lake", "-e", "prod", "-vv")


@pytest.fixture
def url(airflow_file: Callable[[str], Path]) -> str:
    return f"sqlite:///{airflow_file('airflow-3.3.2')}"


@dataclass(frozen=True)
class Ran:
    """A command that has ended; what nobody read is empty."""

    status: int
    out: str = ""
    err: str = ""


def run(
    folder: Path,
    url: str,
    *arguments: str,
    unread: tuple[str, ...] = (),
    before: Callable[[], None] | None = None,
) -> Ran:
    """Run a command; before it writes a byte, nobody reads these of its pipes any more."""
    with start(folder, url, *arguments, before=before) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        pipes = {"out": process.stdout, "err": process.stderr}
        for name in unread:
            pipes.pop(name).close()
        said = {name: pipe.read() for name, pipe in pipes.items()}
        return Ran(process.wait(60), **said)


def names(folder: Path) -> list[str]:
    return [str(name) for name in Lake(str(folder / "lake")).names()]


def test_nobody_hears_the_progress_and_the_export_is_made(url: str, tmp_path: Path) -> None:
    ran = run(tmp_path, url, *EXPORT, unread=("err",))

    assert ran.status == 0
    assert [ran.out.split()[0]] == names(tmp_path)


def test_an_error_that_nobody_hears_keeps_its_status(tmp_path: Path) -> None:
    assert run(tmp_path, "sqlite:////none.db", *EXPORT, unread=("err",)).status == 11


def test_an_export_whose_every_word_is_lost_is_made_and_does_not_end_with_0(
    url: str, tmp_path: Path
) -> None:
    ran = run(tmp_path, url, *EXPORT, unread=("out", "err"))  # `2>&1 | tee log`, and tee dies

    assert ran.status == 141
    assert len(names(tmp_path)) == 1
    assert list(tmp_path.glob("airkeep-*")) == []


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["export", "--help"], ["snapshots", "lake"],
     ["show", "lake", "latest", "--json"]],
)  # fmt: skip
def test_a_result_that_nobody_reads_ends_as_by_sigpipe_and_without_a_word(
    arguments: list[str], url: str, tmp_path: Path
) -> None:
    assert run(tmp_path, url, *EXPORT).status == 0
    assert run(tmp_path, url, *arguments, unread=("out",)) == Ran(141)


def test_a_full_disk_behind_standard_output_is_told(url: str, tmp_path: Path) -> None:
    def full() -> None:
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)

    ran = run(tmp_path, url, "--help", before=full)
    assert ran.status == 24
    assert ran.err.startswith("airkeep: standard output cannot be written (No space left on dev")
    assert ran.err.count("\n") == 1


def test_a_last_line_without_an_end_is_said_or_known_to_be_lost() -> None:
    speak = [sys.executable, "-c", SPEAK]
    ran = subprocess.run(speak, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("a result", "a note")
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(speak, stdout=full, stderr=full, check=False).returncode == 24


def test_standard_error_may_be_closed_from_the_start(url: str, tmp_path: Path) -> None:
    ran = run(tmp_path, url, *EXPORT, before=lambda: os.close(2))

    assert ran.status == 0
    assert [ran.out.split()[0]] == names(tmp_path)


def test_a_log_has_a_line_a_table_with_v_and_none_with_q(url: str, tmp_path: Path) -> None:
    export = EXPORT[:-1]
    said = run(tmp_path, url, *export, "-v").err
    assert re.search(r"^export dag_run: [\d,]+ rows, [\d,]+ rows/s$", said, re.MULTILINE)

    timed = run(tmp_path, url, *EXPORT).err.splitlines()[-1]
    parts = "locking and reading the catalogue", "planning", "reading and saving rows"
    assert re.fullmatch(", ".join(rf"{part} [\d.]+ s" for part in parts), timed)

    assert "rows/s" not in run(tmp_path, url, *export).err  # it took less than ten seconds
    assert run(tmp_path, url, *export, "-q").err == ""
