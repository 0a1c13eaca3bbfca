"""`airkeep schedule`: the group, and what says and shows an environment's schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from airkeep.cli.context import Context, Group, shared_options
from airkeep.cli.environments import lake_option, need_place, open_lake, read_state
from airkeep.cli.output import Output
from airkeep.cli.schedule_run import run
from airkeep.errors import ConfigError

if TYPE_CHECKING:
    from airkeep.environment.events import Scheduled
    from airkeep.environment.journal import Journal
    from airkeep.environment.schedule import Due
    from airkeep.environment.state import State

_ENVIRONMENT = "ENVIRONMENT"


class _OfAnEnvironment(Group):
    """What is no command's name is an environment's."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in self.commands and args[0] != _ENVIRONMENT:
            return super().resolve_command(ctx, args)
        return _ENVIRONMENT, self.commands[_ENVIRONMENT], args


@click.group(cls=_OfAnEnvironment, context_settings={"ignore_unknown_options": True})
def schedule() -> None:
    """Say when an environment sleeps, and keep to it.

    A host's cron, or CI, calls `airkeep schedule run` every few minutes (docs/schedule.md).
    """


schedule.add_command(run)


@dataclass(frozen=True)
class Shown:
    """A schedule, and what falls due by it.

    Attributes:
        left_out: in the coming year, because the clock is put forward over it.
    """

    environment: str
    schedule: Scheduled | None
    since: datetime | None = None
    next: tuple[Due, ...] = ()
    left_out: tuple[str, ...] = ()


@schedule.command(_ENVIRONMENT)
@click.argument("environment", metavar="")
@click.option("--down", metavar="CRON", help="When it goes to sleep: '0 20 * * MON-FRI'.")
@click.option("--up", metavar="CRON", help="When it begins to wake: '0 6 * * MON-FRI'.")
@click.option("--timezone", metavar="ZONE", help="Where the clock hangs: Europe/Copenhagen.  [UTC]")
@click.option("--notify", metavar="sns:ARN", help="A topic that is told of each journey.")
@click.option("--clear", is_flag=True, help="No schedule any more.")
@click.option("--eventbridge", is_flag=True, help="What EventBridge Scheduler is told, as JSON.")
@click.option(
    "--count", type=click.IntRange(1, 1000), default=6, show_default=True, help="Times to show."
)
@lake_option
@shared_options("lake", tuning=False)
def of(
    ctx: Context,
    environment: str,
    *,
    down: str | None,
    up: str | None,
    timezone: str | None,
    notify: str | None,
    clear: bool,
    eventbridge: bool,
    count: int,
) -> None:
    """Say when ENVIRONMENT goes to sleep and wakes, or show what was said.

    CRON has the five fields of Unix, names included. A time that the clock leaves out does not come
    that day, one that comes twice counts once, as EventBridge Scheduler has it. With one of --down
    and --up the other is done by hand.
    """
    from airkeep.environment.events import Unscheduled
    from airkeep.environment.schedule import for_eventbridge, left_out

    lake = open_lake(ctx, environment)
    journal, state = read_state(lake, environment)
    need_place(lake, state)
    is_said = any(part is not None for part in (down, up, timezone, notify))
    if clear and is_said:
        raise click.UsageError("--clear takes no other part of a schedule")
    if clear and state.schedule is not None:
        journal.append(Unscheduled())
    elif is_said:
        _say(journal, state, down, up, timezone, notify)
    state = journal.summary.state
    if eventbridge:
        if state.schedule is None:
            raise ConfigError(f"{environment} has no schedule: give --down and --up")
        ctx.output.document(for_eventbridge(state.schedule))
        _warn(left_out(state.schedule, datetime.now(UTC)), ctx.output)
        return
    shown = _shown(state, count, datetime.now(UTC))
    ctx.output.result(shown, lambda: _show(shown, ctx.output))


def _say(
    journal: Journal,
    state: State,
    down: str | None,
    up: str | None,
    timezone: str | None,
    notify: str | None,
) -> None:
    """Save the schedule; what is not given stays as it was."""
    from airkeep.environment.events import LocalPlace, Scheduled
    from airkeep.environment.notify import Topic, target
    from airkeep.environment.schedule import check_schedule

    before = state.schedule or Scheduled(None, None)
    # An empty text is no schedule's part, but a shell's variable that was never set: refused.
    said = Scheduled(
        before.down if down is None else down,
        before.up if up is None else up,
        before.timezone if timezone is None else timezone,
        before.notify if notify is None else notify,
    )
    check_schedule(said, datetime.now(UTC))
    if notify is not None and not isinstance(target(notify), Topic):
        raise ConfigError(
            "--notify: a webhook's address is a secret and is not kept in the lake: set "
            "AIRKEEP_NOTIFY where `airkeep schedule run` runs"
        )
    if said.up is not None and isinstance(state.place, LocalPlace):
        raise ConfigError(
            f"--up: {state.environment} is local, its Airflow runs in the foreground for as long "
            f"as it is up, so no schedule can wake it: give --down alone"
        )
    if said != state.schedule:
        journal.append(said)


def _shown(state: State, count: int, now: datetime) -> Shown:
    from airkeep.environment.schedule import left_out, next_times

    if state.schedule is None:
        return Shown(state.environment, None)
    following = tuple(next_times(state.schedule, now, count))
    return Shown(
        state.environment,
        state.schedule,
        state.scheduled_at,
        following,
        left_out(state.schedule, now),
    )


def _show(shown: Shown, out: Output) -> None:
    said = shown.schedule
    if said is None:
        out.line(f"{shown.environment} has no schedule")
        return
    parts = [f"{name} {cron}" for name, cron in (("down", said.down), ("up", said.up)) if cron]
    told = f", {said.notify} is told" if said.notify else ""
    out.line(f"{shown.environment}: {', '.join(parts)}, {said.timezone}{told}")
    zone = ZoneInfo(said.timezone)
    out.table(
        ["journey", f"in {said.timezone}", "UTC"],
        [
            [
                due.journey,
                f"{due.at.astimezone(zone):%a %Y-%m-%d %H:%M %Z}",
                f"{due.at:%Y-%m-%dT%H:%MZ}",
            ]
            for due in shown.next
        ],
    )
    _warn(shown.left_out, out)


def _warn(left_out: Sequence[str], out: Output) -> None:
    for one in left_out:
        out.warn(f"{one} is left out: the clock is put forward over it")
