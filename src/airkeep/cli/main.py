"""The command line: which commands there are, and how an error becomes an exit status.

A command's module is imported when it is asked for, and libraries only when it runs, so
`airkeep --help` answers at once. `main` alone turns errors into one line and a status.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from airkeep.cli.ending import Ending, ending
from airkeep.cli.say import say_error
from airkeep.cli.streams import take_streams
from airkeep.errors import AirkeepError, did_you_mean
from airkeep.hidden import hidden
from airkeep.version import __version__

COMMANDS = {
    "export": "airkeep.cli.export:export",
    "adopt": "airkeep.cli.adopt:adopt",
    "snapshots": "airkeep.cli.snapshots:snapshots",
    "show": "airkeep.cli.show:show",
    "verify": "airkeep.cli.verify:verify",
    "restore": "airkeep.cli.restore:restore",
    "upgrade": "airkeep.cli.upgrade:upgrade",
    "prune": "airkeep.cli.prune:prune",
    "up": "airkeep.cli.up:up",
    "down": "airkeep.cli.down:down",
    "status": "airkeep.cli.status:status",
    "env": "airkeep.cli.env:env",
    "schedule": "airkeep.cli.schedule:schedule",
    "plan-sleep": "airkeep.cli.plan_sleep:plan_sleep",
    "query": "airkeep.cli.query:query",
    "shell": "airkeep.cli.shell:shell",
    "models": "airkeep.cli.models:models",
    "report": "airkeep.cli.report:report",
    "cost": "airkeep.cli.cost:cost",
    "register": "airkeep.cli.register:register",
    "diff": "airkeep.cli.diff:diff",
    "clean": "airkeep.cli.clean:clean",
    "compact": "airkeep.cli.compact:compact",
    "job": "airkeep.cli.job:job",
    "iam": "airkeep.cli.iam:iam",
    "rekey": "airkeep.cli.rekey:rekey",
    "key": "airkeep.cli.key:key",
}
HUNG_UP = 129
INTERRUPTED = 130
TERMINATED = 143
UNREAD = 141  # as a shell shows SIGPIPE

_VERBOSE = re.compile(r"-[qv]+|--verbose")


class Commands(click.Group):
    """A group that imports a command when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            raise click.UsageError(
                f"no such command {cmd_name!r}{did_you_mean(cmd_name, COMMANDS)}", ctx
            )
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="airkeep")
def cli() -> None:
    """Keep the metadata of Apache Airflow environments: export, verify, restore.

    DATABASE is postgresql://..., sqlite:///..., a file, or env: for the one that this process's
    Airflow uses. LAKE is a folder, s3://..., gs://... or az://...; for either, - is the one of
    airkeep.toml, AIRKEEP_DATABASE or AIRKEEP_LAKE. SNAPSHOT is [ENVIRONMENT/]id, the unique
    beginning of an id, latest, or ENVIRONMENT@time: prod@2026-11-21T18:00, in UTC, is the newest
    at or before six in the evening, prod@2026-11-21 the newest before that day began.

    Exit statuses: docs/cli.md.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and end the process with its status.

    At once: everything is closed by now, and to take the interpreter and DuckDB's library down
    piece by piece lasts 50 ms, a tenth of an unchanged increment.
    """
    try:
        for number in _STOPS:
            # Ignored it is where nohup, or a shell's `&`, left it so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _stop)
        output = take_streams()
        status = run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        status = status or _lost(output.error)
        sys.stderr.flush()
    except _Stopped:  # before the command began, or after its end
        status = _fail(*_STOPS[_stopped_by[0][0]])
    os._exit(status)


def run(arguments: list[str]) -> int:
    """Run a command line; every error is one line on standard error."""
    _stopped_by.clear()
    status = _run(arguments)
    if status and _stopped_by:
        number, meant = _stopped_by[0]
        word, status = _STOPS[number]
        more = "; 'airkeep clean' removes what a snapshot left in the lake"
        told = f"{word}; {meant.left}, temporary files are gone"
        return _fail(told + more if arguments[:1] in (["export"], ["adopt"]) else told, status)
    return status


def _run(arguments: list[str]) -> int:
    try:
        cli.main(arguments or ["--help"], prog_name="airkeep", standalone_mode=False)
    except AirkeepError as error:
        return _fail(str(error), error.exit_status)
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        where = "" if context is None else f" (see {context.command_path} --help)"
        return _fail(error.format_message().rstrip(".") + where, error.exit_code)
    except (_Stopped, KeyboardInterrupt, click.Abort):
        _stopped_by.append((signal.SIGINT, ending()))  # the first one in the list counts
        return INTERRUPTED
    except OSError as error:
        return _os_failure(error, str(error.filename or "a file"))
    except Exception as error:  # noqa: BLE001 (the one place where a bug becomes a line)
        if sum(a.count("v") for a in arguments if _VERBOSE.fullmatch(a)) > 1:
            click.echo(hidden(traceback.format_exc()), err=True)
        return _fail(f"a bug in airkeep: {type(error).__name__} (-vv shows where)", 1)
    return 0


def _lost(error: OSError | None) -> int:
    """The status of a command that did its work and could not print what came of it."""
    if error is None:
        return 0
    return UNREAD if isinstance(error, BrokenPipeError) else _os_failure(error, "standard output")


def _os_failure(error: OSError, where: str) -> int:
    from airkeep.store.failure import explain_os

    told = explain_os(error, where)
    return _fail(str(told), told.exit_status)


def _fail(message: str, status: int) -> int:
    if _stopped_by and status not in {stop for _, stop in _STOPS.values()}:
        return status  # an error that the signal made: `run` says what it was
    say_error(message)
    return status


_STOPS = {
    signal.SIGHUP: ("hung up", HUNG_UP),
    signal.SIGINT: ("interrupted", INTERRUPTED),
    signal.SIGTERM: ("terminated", TERMINATED),
}
# Kept, because DuckDB and ADBC make an error of their own of what is raised while they wait.
_stopped_by: list[tuple[signal.Signals, Ending]] = []


class _Stopped(BaseException):
    """Ctrl-C, SIGTERM or a terminal that is gone: unwinds everything."""


def _stop(number: int, _frame: FrameType | None) -> Any:
    if _stopped_by:
        return  # another would break the unwinding off: kernel and shell both send a SIGHUP
    _stopped_by.append((signal.Signals(number), ending()))
    threading.Thread(target=_give_up, daemon=True).start()
    raise _Stopped


def _give_up() -> None:
    """End the process all the same: a server that is gone is waited for in C, deaf to signals."""
    began = time.monotonic()
    while (left_s := ending().give_up_s - (time.monotonic() - began)) > 0:
        time.sleep(left_s)
    word, status = _STOPS[_stopped_by[0][0]]
    _fail(
        f"{word}; something does not answer for {ending().give_up_s:g} s, so this ends at once: "
        f"{ending().left}; remove airkeep-* among the temporary files (--spool)",
        status,
    )
    os._exit(status)


if __name__ == "__main__":
    main()
