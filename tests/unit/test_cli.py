"""The command line without a server: help, output, settings, statuses."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import airkeep
from airkeep.cli.context import Age
from airkeep.cli.main import COMMANDS, cli, run
from airkeep.errors import ManifestError
from airkeep.snapshot import names
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.manifest import encode
from command import commands
from fake_lake import newer_format, save_snapshot, snapshot_name

HEAVY = ("duckdb", "pyarrow", "obstore", "cryptography", "rich", "adbc_driver_postgresql",
         "adbc_driver_manager", "numpy", "pandas", "sqlglot", "jinja2", "boto3",
         "pyiceberg", "fsspec")  # fmt: skip
# Of our own: half of what a command without a lake would wait for.
OURS = ("airkeep.adopt.run", "airkeep.report.run", "airkeep.restore.run", "airkeep.lake.connect")


def listed(code: str) -> list[str]:
    """Which heavy libraries a fresh interpreter has imported after some code."""
    script = f"import sys\n{code}\nprint([m for m in {HEAVY + OURS!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout.splitlines()[-1].replace("'", '"'))
    return found


def test_help_imports_nothing_heavy() -> None:
    assert listed("from airkeep.cli.main import run; run(['--help'])") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_imports_nothing_heavy_either(command: str) -> None:
    assert listed(f"from airkeep.cli.main import run; run([{command!r}, '--help'])") == []


def test_the_library_imports_nothing_heavy() -> None:
    assert listed("import airkeep") == []


def test_knowing_the_models_parses_no_sql() -> None:
    assert listed("from airkeep.models.catalog import models; models()") == []


@pytest.mark.parametrize("before", ["pass", "import airkeep.export.csv, airkeep.restore.plan"])
def test_every_public_name_of_the_library_is_there_and_no_other(before: str) -> None:
    script = (
        f"{before}\nfrom airkeep import *\nimport airkeep, types\n"
        "print([n for n in airkeep.__all__ if isinstance(getattr(airkeep, n), types.ModuleType)])\n"
        "print(hasattr(airkeep, 'exports'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\nFalse\n"


def test_a_type_checker_and_dir_know_the_public_names_and_no_other(tmp_path: Path) -> None:
    package = Path(airkeep.__file__)
    user = tmp_path / "user.py"
    user.write_text(
        "import airkeep\n"
        + "".join(f"airkeep.{name}\n" for name in airkeep.__all__)
        + "airkeep.exports\n"
    )
    # Not followed, what the package imports is not checked, and this takes a second.
    mypy = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=skip", "--config-file="]
    done = subprocess.run(
        [*mypy, "--cache-dir", str(tmp_path / "cache"), str(package), str(user)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith(str(user.name))]
    assert len(lines) == 1, done.stdout
    assert 'has no attribute "exports"' in lines[0]
    assert set(airkeep.__all__) <= set(dir(airkeep))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(command: str, flag: str) -> None:
    ran = CliRunner().invoke(cli, [command, flag])
    assert ran.exit_code == 0
    assert ran.stdout.startswith(f"Usage: cli {command} ")
    assert len(ran.stdout.splitlines()) > 4


def test_help_lists_every_command_with_a_line() -> None:
    ran = CliRunner().invoke(cli, ["--help"])
    lines = ran.stdout.partition("Commands:")[2].split("\n")
    assert {line.split()[0] for line in lines if line.strip()} >= set(COMMANDS)
    assert not any(len(line.split()) == 1 for line in lines if line.strip())


@pytest.mark.parametrize(
    "arguments",
    [["no-such-command"], ["export"], ["export", "a", "b", "--no-such-flag"],
     ["export", "a", "b", "--since", "tomorrow"], ["export", "a", "b", "--since", "²d"],
     ["restore", "a", "b"],
     ["verify", "a", "--against", "b"], ["verify", "a", "b", "--tables", "dag"],
     ["verify", "a", "b", "--skip", "dag"], ["verify", "a", "csv/x", "--against", "b"],
     ["verify", "a", "csv/x", "--sample", "5%"], ["verify", "a", "csv/x", "--tables", "dag"],
     ["verify", "a", "csv/x", "--skip", "dag"]],
)  # fmt: skip
def test_a_usage_error_is_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("airkeep: ")
    assert line.endswith(" --help)")


@pytest.mark.parametrize("group", [[], ["cost"], ["env"], ["job"], ["schedule"]])
def test_a_group_alone_is_a_question(group: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group) == 0
    assert "Commands:" in capsys.readouterr().out


def test_a_listing_of_an_empty_lake(tmp_path: Path) -> None:
    lake = str(tmp_path)
    ran = CliRunner().invoke(cli, ["snapshots", lake])
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert "holds no snapshot" in ran.stderr

    quiet = CliRunner().invoke(cli, ["snapshots", lake, "-q"])
    assert (quiet.exit_code, quiet.output) == (0, "")

    as_json = CliRunner().invoke(cli, ["snapshots", lake, "--json"])
    assert json.loads(as_json.stdout) == []


# A setting: flag > environment > airkeep.toml > default, seen through a command.


def test_a_manifest_that_cannot_be_read_hides_no_other_snapshot(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    made = [save_snapshot(lake.store, snapshot_name(number)) for number in range(3)]
    good, cut, newer = (f"prod/{manifest.id}" for manifest in made)
    (tmp_path / names.manifest_path(*cut.split("/"))).write_bytes(encode(made[1])[:-100])
    (tmp_path / names.manifest_path(*newer.split("/"))).write_bytes(newer_format(made[2]))
    shutil.rmtree(tmp_path / "index")

    text = CliRunner().invoke(cli, ["snapshots", str(tmp_path)])
    lines = [line.split() for line in text.stdout.splitlines()[1:]]
    assert text.exit_code == 0
    assert [(line[0], line[-1]) for line in lines] == [
        (good, "-"), (cut, "unreadable"), (newer, "newer"),
    ]  # fmt: skip
    [cut_off, newer_one] = text.stderr.splitlines()
    assert cut_off.startswith(f"warning: snapshots/environment={cut}/manifest.json is not a")
    assert newer_one.endswith("pip install --upgrade airkeep")

    document = CliRunner().invoke(cli, ["snapshots", str(tmp_path), "--json"])
    listed = json.loads(document.stdout)
    assert [(one["name"], one["state"]) for one in listed] == [
        (good, "-"), (cut, "unreadable"), (newer, "newer"),
    ]  # fmt: skip
    assert [one["summary"] is None for one in listed] == [False, True, True]
    with pytest.raises(ManifestError):
        lake.snapshots()
    assert [s.id for s in lake.snapshots(newest=1)] == [made[0].id]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("AIRKEEP_ENVIRONMENT", "AIRFLOW_ENV_NAME", "AIRKEEP_LAKE", "AIRKEEP_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def environment_used(folder: Path, arguments: list[str], env: dict[str, str | None]) -> str:
    """Whose snapshot an export would be: `a lake has it already, in other letters` says so."""
    for name in ("FLAG", "VARIABLE", "AIRFLOW", "FILE"):
        home = folder / f"lake/snapshots/environment={name}/20260101T000000.000000Z"
        home.mkdir(parents=True, exist_ok=True)
        (home / "schema.sql").touch()
    ran = CliRunner().invoke(cli, ["export", "sqlite:///none.db", "lake", *arguments], env=env)
    assert ran.exception is not None
    return str(ran.exception)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(folder: Path) -> None:
    assert "no environment is set" in environment_used(folder, [], {})

    (folder / "airkeep.toml").write_text('environment = "file"\n')
    assert "'FILE'" in environment_used(folder, [], {})
    assert "'AIRFLOW'" in environment_used(folder, [], {"AIRFLOW_ENV_NAME": "airflow"})
    both: dict[str, str | None] = {"AIRFLOW_ENV_NAME": "airflow", "AIRKEEP_ENVIRONMENT": "variable"}
    assert "'VARIABLE'" in environment_used(folder, [], both)
    assert "'FLAG'" in environment_used(folder, ["-e", "flag"], both)


@pytest.mark.parametrize(
    "arguments", [["snapshots"], ["verify"], ["show", "latest"], ["diff", "a", "b"], ["clean"]]
)
def test_a_lake_that_is_not_there_is_no_empty_one(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, *names = arguments
    lake = tmp_path / "mistyped"
    assert run([command, str(lake), *names]) == 34
    assert capsys.readouterr().err.startswith(f"airkeep: there is no folder {lake}")
    assert not lake.exists()


def test_a_dash_is_the_configured_lake_and_database(folder: Path) -> None:
    (folder / "airkeep.toml").write_text(f'lake = "{folder}/configured"\n')
    listed = CliRunner().invoke(cli, ["snapshots", "-"])
    assert "there is no folder" in str(listed.exception)
    assert "configured" in str(listed.exception)

    ran = CliRunner().invoke(
        cli, ["export", "-", "-", "-e", "x"], env={"AIRKEEP_DATABASE": "sqlite:///here.db"}
    )
    assert "here.db" in str(ran.exception)
    ran = CliRunner().invoke(cli, ["export", "-", "-", "-e", "x"])
    assert "AIRKEEP_DATABASE" in str(ran.exception)


@pytest.mark.parametrize(
    ("text", "days"),
    [("30d", 30), ("12h", 0.5), ("2w", 14), ("365250d", 365_250), ("999999d", 365_250),
     ("9999999999d", 365_250), ("9" * 5000 + "w", 365_250)],
)  # fmt: skip
def test_an_age_is_a_thousand_years_at_most(text: str, days: float) -> None:
    assert Age().convert(text, None, None) == timedelta(days=days)


@pytest.mark.parametrize("option", ["--keep", "--grace"])
def test_clean_takes_an_age_longer_than_the_calendar(option: str, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    save_snapshot(lake.store, snapshot_name(1))
    save_snapshot(lake.store, snapshot_name(0))

    assert run(["clean", str(tmp_path), option, "9999999999d"]) == 0
    assert len(lake.names()) == 2


def test_a_key_is_a_fernet_key_alone_or_in_json() -> None:
    from cryptography.fernet import Fernet

    keys = {CliRunner().invoke(cli, ["key", flag]).stdout.strip() for flag in ("-q", "-v")}
    keys.add(json.loads(CliRunner().invoke(cli, ["key", "--json"]).stdout)["key"])
    assert len(keys) == 3
    for key in keys:
        Fernet(key)


@pytest.mark.parametrize("path", [p for p, c in commands() if not isinstance(c, click.Group)])
def test_every_command_has_json_and_is_quiet_or_says_more(path: tuple[str, ...]) -> None:
    said = CliRunner().invoke(cli, [*path, "--help"]).stdout
    assert all(flag in said for flag in ("--json", "-q, --quiet", "-v, --verbose"))


@pytest.mark.parametrize(
    "arguments",
    [["export", "sqlite:///none.db", "lake", "-e", "x"],
     ["export", "sqlite:///none.db", "lake", "-e", "x", "--format", "csv"],
     ["verify", "lake"], ["verify", "lake", "csv/x"]],
)  # fmt: skip
def test_a_spool_folder_that_is_none_is_a_wrong_setting(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_snapshot(Lake("lake").store, snapshot_name(0))

    assert run([*arguments, "--spool", "no/such", "-q"]) == 3
    assert capsys.readouterr().err.startswith("airkeep: there is no folder no/such: make it")


STOPPED = """
import os, signal, sys
from airkeep.cli import main
def meet(*_, **__):
    try:
        os.kill(os.getpid(), {number})
    except BaseException:
        raise {error} from None  # as DuckDB does of whatever is raised while it waits
main.cli.main = meet
main.main([])
"""


@pytest.mark.parametrize("error", ["RuntimeError('Query interrupted')", "main.AirkeepError('x')"])
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_is_told_whatever_a_library_makes_of_it(
    number: signal.Signals, status: int, error: str
) -> None:
    script = STOPPED.format(number=int(number), error=error)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert re.fullmatch(r"airkeep: (hung up|interrupted|terminated); .*\n", done.stderr)


AT_WORK = """
import sys, time
from pathlib import Path
from airkeep.cli import main
from airkeep.snapshot.folder import private_folder
def work(*_, **__):
    with private_folder(Path(sys.argv[1])):
        print("at work", flush=True)
        time.sleep(30)
main.cli.main = work
main.main([])
"""


def terminal_of_its_own(number: int) -> Callable[[], int]:
    """What makes a terminal the child's: it hears when the other end is closed."""
    return lambda: fcntl.ioctl(number, termios.TIOCSCTTY, 0)


def test_a_terminal_that_goes_away_leaves_no_files(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", AT_WORK, str(tmp_path)], stdout=subprocess.PIPE, stderr=theirs,
        start_new_session=True, preexec_fn=terminal_of_its_own(theirs),  # noqa: PLW1509 - no threads
    )  # fmt: skip
    os.close(theirs)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"at work\n"
        assert list(tmp_path.iterdir())
        os.close(ours)  # as sshd does when the line is dropped

        assert process.wait(20) == 129
    assert list(tmp_path.iterdir()) == []


HUNG_UP_TWICE = """
import os, signal
from airkeep.cli import main
def meet(*_, **__):
    try:
        os.kill(os.getpid(), signal.SIGHUP)
    finally:
        os.kill(os.getpid(), signal.SIGHUP)
        print("all is put away")
main.cli.main = meet
main.main([])
"""


def test_hanging_up_twice_does_not_disturb_the_putting_away() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HUNG_UP_TWICE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (129, "all is put away\n")


# At each file that is removed, somebody presses once more.
IMPATIENT = """
import os, signal, sys
from pathlib import Path
from airkeep.cli import main
from airkeep.snapshot.folder import private_folder
def press(event, _):
    if event in ("os.remove", "os.rmdir"):
        os.kill(os.getpid(), signal.SIGINT)
def work(*_, **__):
    with private_folder(Path(sys.argv[1])) as folder:
        for name in "abc":
            (folder / name).touch()
        sys.addaudithook(press)
        if {early}:
            os.kill(os.getpid(), signal.SIGINT)
main.cli.main = work
main.main(["export"])
"""


@pytest.mark.parametrize("early", [True, False])
def test_pressing_on_leaves_no_files(early: bool, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT.format(early=early), str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        130,
        "airkeep: interrupted; nothing half-done counts, temporary files are gone; "
        "'airkeep clean' removes what a snapshot left in the lake\n",
    )
    assert list(tmp_path.iterdir()) == []


STUCK = """
import os, signal, time
from airkeep.cli import main
from airkeep.cli.ending import Ending, ends_as
def meet(*_, **__):
    with ends_as(Ending(0.2, "nothing half-done counts")):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            {meanwhile}
            time.sleep(60)
main.cli.main = meet
main.main([])
"""
GIVING_BACK = """
            with ends_as(Ending(2, "its DAGs may be paused")):
                time.sleep(1)
                print("given back", flush=True)
                time.sleep(60)
"""


def test_what_never_answers_does_not_hold_a_stop_back_for_ever() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK.format(meanwhile="")],
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode == 143
    assert re.fullmatch(
        r"airkeep: terminated; something does not answer .*remove airkeep-\*.*\n", done.stderr
    )


def test_what_gives_back_has_its_own_time_and_words() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK.format(meanwhile=GIVING_BACK.strip())],
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (143, "given back\n")
    assert "not answer for 2 s, so this ends at once: its DAGs may be paused; re" in done.stderr


DONE = """
import sys
from airkeep.cli import main
def meet(*_, **__):
    print("the result", end="")
    print("done", file=sys.stderr)
main.cli.main = meet
main.main([])
"""


def test_ctrl_c_when_the_work_is_done_and_nobody_reads_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    with subprocess.Popen(
        [sys.executable, "-c", DONE], stdout=writing, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "done\n"
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "airkeep: interrupted\n"
        assert process.wait(20) == 130
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_nohup_or_a_shell_had_ignored_stays_so(number: signal.Signals) -> None:
    def ignore() -> None:
        signal.signal(number, signal.SIG_IGN)

    script = STOPPED.format(number=int(number), error="RuntimeError('heard')")
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        preexec_fn=ignore,
    )
    assert done.returncode == 0
