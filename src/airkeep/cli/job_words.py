"""A job's command line, read here before it is started elsewhere.

The disk of a job is gone when it ends, so what would be written there is refused. What is wrong
otherwise, the command itself says, as anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from airkeep.errors import ConfigError
from airkeep.store.open import is_folder


def check_kept(words: list[str]) -> None:
    """Refuse a command that would write to the job's own disk.

    Raises:
        ConfigError: it would.
    """
    given = _given(words)
    lake = given.get("lake")
    if lake and lake != "-" and is_folder(lake):
        raise ConfigError(
            f"{lake} is a folder of the job's own machine, gone when the job ends: expected a URL "
            f"such as s3://bucket/lake, or -"
        )
    if given.get("output") is not None:
        raise ConfigError(
            f"--output {given['output']} is a file of the job's own machine, gone when the job "
            f"ends: leave it out, what the command prints comes back"
        )


def with_lake(words: list[str], lake: Callable[[], str]) -> list[str]:
    """The command with the URL of a lake in place of the `-` that stands for it."""
    if _given(words).get("lake") != "-":
        return words
    url = lake()
    tries = ([*words[:at], url, *words[at + 1 :]] for at, word in enumerate(words) if word == "-")
    return next(changed for changed in tries if _given(changed).get("lake") == url)


def with_name(words: list[str], environment: str, name: str) -> list[str]:
    """Of an environment that MWAA knows by another name: what is saved of it goes by ours."""
    command, rest = _leaf(words)
    takes_name = command is not None and any(p.name == "set_environment" for p in command.params)
    if environment == name or not takes_name:
        return words
    named = words[: len(words) - len(rest)]
    return [*named, "--environment", environment, *rest]  # of two flags the last counts


def _given(words: list[str]) -> dict[str, Any]:
    """What the words say, by the command's parameters; nothing where they cannot be understood."""
    command, rest = _leaf(words)
    if command is None:
        return {}
    return command.make_context(command.name, rest, resilient_parsing=True).params


def _leaf(words: list[str]) -> tuple[click.Command | None, list[str]]:
    """The command that the first words name, a group's too, and the words that are left."""
    from airkeep.cli.main import cli

    command: click.Command | None = cli
    context, rest = click.Context(cli), list(words)
    while isinstance(command, click.Group) and rest:
        command = command.get_command(context, rest.pop(0))
    return None if isinstance(command, click.Group) else command, rest
