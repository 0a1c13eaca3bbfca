"""Flags that say whose AWS is meant."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

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


_FLAGS = (
    ("--region", "AWS's region, if not AWS_REGION."),
    ("--profile", "A profile of the AWS configuration, if not AWS_PROFILE."),
    ("--role-arn", "A role to assume first, as in another account."),
    ("--external-id", "What that role's owner asks for."),
)
