"""What every command shares: its flags, its settings, its output."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import click
from click.core import ParameterSource

from airkeep.cli.output import Output
from airkeep.config import BY_NAME, DEFAULT_MEMORY_BYTES, FILE, Settings, load_settings
from airkeep.errors import ConfigError

if TYPE_CHECKING:
    from airkeep.database.address import Address
    from airkeep.database.limits import ReadLimits
    from airkeep.snapshot.lake import Lake

Command = TypeVar("Command", bound=Callable[..., Any])

_TUNING = {
    "memory": "How much memory to take, about.",
    "threads": "Threads that read tables.",
    "spool": "Folder for files on their way.",
    "lock_timeout_s": "Seconds to wait for a lock in the database.",
    "statement_timeout_s": "Seconds that one statement may take in the database.",
}


class Group(click.Group):
    """A group of commands; alone it is a question."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])


@dataclass(frozen=True)
class Context:
    """One command's settings and output."""

    settings: Settings
    output: Output

    def lake(self, url: str, *, remember: bool = False, new: bool = False) -> Lake:
        """The lake of the argument; `-` is the configured one.

        Args:
            remember: keep small documents in a local cache: pays where hundreds are read.
            new: a folder that is not there is made by the first save.
        """
        from airkeep.snapshot.cache import Cache
        from airkeep.snapshot.lake import Lake
        from airkeep.store.open import open_store

        wanted = self.settings.need("lake") if url == "-" else url
        store = open_store(wanted, options=dict(self.settings.store))
        load = Cache(store, self.cache()).load if remember else None
        lake = Lake(store, load=load)
        if not new:
            lake.check_there()
        return lake

    def address(self, text: str) -> Address:
        """The database of the argument; `-` is the configured one."""
        from airkeep.database.address import resolve_address

        wanted = self.settings.need("database") if text == "-" else text
        return resolve_address(wanted, os.environ)

    def cache(self, *parts: str) -> Path:
        """A folder for what can be made again."""
        home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return Path(home, "airkeep", *parts)

    @property
    def limits(self) -> ReadLimits:
        return self._limited(DEFAULT_MEMORY_BYTES)

    @property
    def question_limits(self) -> ReadLimits:
        """Those of SQL over a lake, which sorts and joins whole tables."""
        from airkeep.database.limits import question_bytes

        return self._limited(question_bytes())

    def _limited(self, memory_bytes: int) -> ReadLimits:
        from airkeep.database.limits import limits_of

        return limits_of(self.settings, memory_bytes)

    @property
    def spool(self) -> Path | None:
        return Path(self.settings.spool) if self.settings.spool else None


def shared_options(*settings: str, tuning: bool = True) -> Callable[[Command], Command]:
    """Give a command --json, -q, -v and flags for these settings, and a `Context` first.

    Args:
        settings: names of settings that have a flag on this command.
        tuning: memory, threads and timeouts too.
    """
    names = [*settings, *(_TUNING if tuning else ())]

    def decorate(function: Command) -> Command:
        @wraps(function)
        def run(*, as_json: bool, quiet: bool, verbose: int, **arguments: Any) -> Any:
            flags = {name: arguments.pop(f"set_{name}") for name in names}
            loaded = load_settings(flags, os.environ, _file_text())
            return function(Context(loaded, Output(as_json, quiet, verbose)), **arguments)

        decorated: Any = run
        for name in reversed(list(_TUNING) if tuning else []):
            decorated = click.option(BY_NAME[name].flag, f"set_{name}", help=_TUNING[name])(
                decorated
            )
        decorated = click.option(
            "-v", "--verbose", count=True, help="Say more: -v what, -vv where time goes."
        )(decorated)
        decorated = click.option(
            "-q", "--quiet", is_flag=True, help="No progress and no notes, whatever -v says."
        )(decorated)
        decorated = click.option("--json", "as_json", is_flag=True, help="One JSON document.")(
            decorated
        )
        result: Command = decorated
        return result

    return decorate


def _file_text() -> str | None:
    file = Path(FILE)
    try:
        return file.read_text(encoding="utf-8") if file.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{FILE} cannot be read as UTF-8 text ({type(error).__name__})") from None


def setting_option(name: str, *flags: str, help: str) -> Callable[[Command], Command]:  # noqa: A002
    """A flag of one setting; `shared_options` must be told its name."""
    return click.option(*flags, f"set_{name}", help=help)


def refuse_unused(beside: str, is_used: Callable[[str], bool]) -> None:
    """Refuse flags that were given and that another one leaves without a use.

    Args:
        beside: the flag that does, with its value.
        is_used: whether a parameter of that name is used beside it.
    """
    asked = click.get_current_context()
    for flag in asked.command.params:
        name = flag.name or ""
        is_given = asked.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_given and not is_used(name):
            raise click.UsageError(f"{flag.opts[0]} has no meaning with {beside}: leave it out")


tables_option = click.option(
    "--tables", multiple=True, metavar="TABLE", help="Only this table; may be repeated, or a,b,c."
)
skip_option = click.option(
    "--skip", multiple=True, metavar="TABLE", help="Not this table; may be repeated, or a,b,c."
)


# A thousand years, which is all there is: counted back, a longer age leaves the calendar.
_LONGEST_S = 365_250 * 86_400


class Age(click.ParamType):  # type: ignore[type-arg]
    """`30d`, `12h`, `2w`, or a date or time."""

    name = "age"
    _UNITS_S: ClassVar = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | datetime:
        if isinstance(value, (timedelta, datetime)):
            return value
        text = str(value).strip()
        if text[:-1].isdecimal() and text[-1] in self._UNITS_S:
            return timedelta(seconds=min(float(text[:-1]) * self._UNITS_S[text[-1]], _LONGEST_S))
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r}: write 30d, 12h, 2w, or a date such as 2026-11-01", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


def split_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """`("a,b", "c")` -> `("a", "b", "c")`."""
    return tuple(n.strip() for given in names for n in given.split(",") if n.strip())
