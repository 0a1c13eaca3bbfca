"""`airkeep shell`, typed at through a real pseudo-terminal and fed through a pipe."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airkeep.export.run import export
from command import AIRKEEP
from servers import airflow_sqlite

PROMPT = "airkeep>"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[>=]|\r")
PATIENCE_S = 30.0
# Minutes of work in one statement.
ENDLESS = "SELECT sum(a.range * b.range) FROM range(3000000) a, range(3000000) b;"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    file = airflow_sqlite("airflow-3.3.2", folder)
    export(str(file), str(folder / "lake"), environment="prod", allow_plain=True)
    return folder / "lake"


class Terminal:
    """A shell in a pseudo-terminal: what is typed at it, and what it shows."""

    def __init__(self, lake: Path, home: Path, *, columns: int = 200) -> None:
        self._own, theirs = pty.openpty()
        termios.tcsetwinsize(self._own, (50, columns))
        variables = {"HOME": str(home), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self._process = subprocess.Popen(
            [*AIRKEEP, "shell", str(lake)],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "XDG_STATE_HOME": str(home / "state"), **variables},
            preexec_fn=_take_terminal,  # noqa: PLW1509 - the tests have no threads then
        )  # fmt: skip
        os.close(theirs)
        self._shown = ""

    def type(self, keys: str) -> None:
        os.write(self._own, keys.encode())

    def until(self, wanted: str) -> str:
        """What is shown up to these words, which must come."""
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in self._shown:
            assert time.monotonic() < deadline, self._shown
            assert self._read(), self._shown
        shown, _, self._shown = self._shown.partition(wanted)
        return shown

    def ask(self, line: str, answer: str) -> None:
        """Type a line; its answer, which it must not hold itself, must come, and a prompt."""
        assert answer not in line
        self.type(f"{line}\r")
        self.until(answer)
        self.until(PROMPT)

    def status(self) -> int:
        while self._read():
            pass
        return self._process.wait(PATIENCE_S)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._own)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._own], [], [], PATIENCE_S)
        try:
            data = os.read(self._own, 65_536) if ready else b""
        except OSError:  # the other end is closed
            return False
        self._shown += CONTROL.sub("", data.decode(errors="replace"))
        return bool(data)


def _take_terminal() -> None:
    import fcntl

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(lake: Path, tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(lake, tmp_path)
    made.until(PROMPT)
    yield made
    made.close()


def test_a_question_over_several_lines_ends_with_its_semicolon(terminal: Terminal) -> None:
    terminal.type("SELECT count(*) AS runs\r")
    terminal.until("...>")
    terminal.type("FROM dag_run;\r")
    assert terminal.until("76")
    terminal.until(PROMPT)
    terminal.type("\x04")
    assert terminal.status() == 0


def test_a_model_is_made_when_it_is_named_and_commands_help(terminal: Terminal) -> None:
    terminal.ask(".models", "lost_hours")
    terminal.ask("\\dt", "task_instance")
    terminal.ask(".schema dag_run", "VARCHAR")
    terminal.ask(".help", "Ctrl-C")
    terminal.ask("SELECT sum(runs) AS n FROM success_by_dag_day;", "74")
    terminal.ask("SELECT max(environment) AS e FROM success_by_dag_day;", "prod")
    terminal.ask(".nope", "no command")
    terminal.type(".quit\r")
    assert terminal.status() == 0


def test_what_fails_is_one_line_and_the_shell_goes_on(terminal: Terminal) -> None:
    terminal.ask("SELECT * FROM dag_rum;", "did you mean dag_run")
    terminal.ask("SELECT 40 + 3 AS more;", "43")


def test_ctrl_c_cancels_the_question_and_not_the_shell(terminal: Terminal) -> None:
    terminal.type(f"{ENDLESS}\r")
    time.sleep(2)
    terminal.type("\x03")
    terminal.until("cancelled")
    terminal.until(PROMPT)
    terminal.ask("SELECT 6 * 7 AS answer;", "42")
    terminal.type("SELECT half\x03")
    terminal.until("cancelled")
    terminal.until(PROMPT)
    terminal.ask("SELECT 40 + 3 AS more;", "43")


def test_names_are_completed(terminal: Terminal) -> None:
    terminal.type("SELECT 'it ' || 'works' AS a, count(*) AS b FROM rendered_task_inst\t")
    terminal.until("ance_fields")
    terminal.type(";\r")
    terminal.until("it works")
    terminal.until(PROMPT)
    terminal.type(".mod\t")
    terminal.until("els")
    terminal.type("\r")
    terminal.until("who_did_what")


def test_what_was_typed_is_there_in_the_next_session(lake: Path, tmp_path: Path) -> None:
    first = Terminal(lake, tmp_path)
    first.until(PROMPT)
    first.ask("SELECT 70 + 7 AS lucky;", "77")
    first.type("\x04")
    assert first.status() == 0
    first.close()
    file = tmp_path / "state" / "airkeep" / "shell_history"
    assert file.stat().st_mode & 0o077 == 0
    second = Terminal(lake, tmp_path)
    second.until(PROMPT)
    second.type("\x1b[A\r")  # the key up
    second.until("77")
    second.close()


def script(lake: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AIRKEEP, "shell", str(lake), *options],
        input=text, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_script_is_run_to_its_end(lake: Path) -> None:
    text = """
        SELECT 'a;b' AS "x;y"; -- not here;
        .schema dag_run
        CREATE TEMP TABLE mine AS SELECT state FROM dag_run;
        SELECT count(*)
        FROM mine; SELECT max(environment) FROM runs
    """
    done = script(lake, text, "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["x;y", "a;b"]
    assert lines[-1] == "prod"
    assert "76" in lines


def test_a_script_ends_at_the_first_statement_that_fails(lake: Path) -> None:
    done = script(lake, "SELECT 1 AS one; SELECT nope FROM dag_run; SELECT 2 AS two;")
    assert done.returncode == 3
    assert "nope" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "one" in done.stdout
    assert "two" not in done.stdout


@pytest.mark.parametrize("text", ["", "\n\n", ".quit\nSELECT nope;", ";;"])
def test_a_script_may_be_empty_or_leave(lake: Path, text: str) -> None:
    done = script(lake, text)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("leaving", ["exit", "quit", "exit;", "QUIT ;"])
def test_the_words_of_other_shells_leave(terminal: Terminal, leaving: str) -> None:
    terminal.type(f"{leaving}\r")
    assert terminal.status() == 0


def test_a_missing_table_names_the_shells_own_commands(lake: Path) -> None:
    done = script(lake, "FROM nope;")

    assert done.returncode == 3
    assert ".tables" in done.stderr
    assert "airkeep query" not in done.stderr


def test_a_row_is_as_wide_as_the_terminal(lake: Path, tmp_path: Path) -> None:
    terminal = Terminal(lake, tmp_path, columns=72)
    terminal.until(PROMPT)
    terminal.type("SELECT repeat('long', 50) AS a, 'sh' || 'ort' AS b, repeat('long', 30) AS c;\r")
    terminal.until("short")
    line = terminal.until(PROMPT).splitlines()[0]
    terminal.close()

    assert "…" in line
    assert len(line) < 72
