"""Whose AWS is meant: as flags say, and as a lake has recorded of an environment."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from airkeep.errors import StoreError

if TYPE_CHECKING:
    from airkeep.aws.session import AwsPlace
    from airkeep.cli.context import Context

Command = TypeVar("Command", bound=Callable[..., Any])


def place_options(command: Command) -> Command:
    """Give a command --region, --profile, --role-arn and --external-id, as `place`."""

    @wraps(command)
    def run(
        *arguments: Any,
        region: str | None,
        profile: str | None,
        role_arn: str | None,
        external_id: str | None,
        **others: Any,
    ) -> Any:
        from airkeep.aws.session import AwsPlace

        place = AwsPlace(region, profile, role_arn, external_id)
        return command(*arguments, place=place, **others)

    decorated: Any = run
    for flag, what in reversed(_FLAGS):
        decorated = click.option(flag, help=what)(decorated)
    result: Command = decorated
    return result


def recorded_place(ctx: Context, environment: str, place: AwsPlace) -> tuple[str, AwsPlace]:
    """MWAA's name of an environment, and where it is: what flags leave open as `env add` was told.

    Only of the configured lake, and where that knows the environment; else as it was given.
    """
    from airkeep.aws.session import AwsPlace
    from airkeep.environment.events import MwaaPlace
    from airkeep.environment.journal import Journal

    if ctx.settings.lake is None:
        return environment, place
    lake = ctx.lake("-", new=True)
    try:
        there = Journal(lake.store, environment).read().state.place
    except StoreError as error:
        ctx.output.warn(f"where {environment} is, is taken from flags alone: {error}")
        return environment, place
    if not isinstance(there, MwaaPlace):
        return environment, place
    role = there if place.role_arn is None else place
    return there.name, AwsPlace(
        place.region or there.region,
        place.profile or there.profile,
        role.role_arn,
        place.external_id or role.external_id,
    )


_FLAGS = (
    ("--region", "AWS's region, if not AWS_REGION."),
    ("--profile", "A profile of the AWS configuration, if not AWS_PROFILE."),
    ("--role-arn", "A role to assume first, as in another account."),
    ("--external-id", "What that role's owner asks for."),
)
