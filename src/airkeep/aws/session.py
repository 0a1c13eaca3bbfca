"""Clients of AWS, and what their errors mean.

Credentials, region, profile and endpoints are found as every AWS tool finds them: `AWS_PROFILE`,
`AWS_REGION`, `AWS_ENDPOINT_URL_ATHENA`, a role. A call has time limits and is tried again by boto's
standard retries. An error is one line, and tells AWS's own words only where they hold no signature.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from airkeep.errors import AwsAccessError, AwsError, AwsUnavailableError, MissingExtraError

Service = Literal["athena", "glue"]

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
ATTEMPTS = 4  # the first one and three more, within seconds

# Words of refusals over signatures repeat the request that was signed, tokens and all.
_TELLING = (
    "AccessDenied", "EntityNotFound", "InvalidInput", "InvalidRequest", "ResourceNotFound",
    "AlreadyExists", "OperationTimeout", "ConcurrentModification", "ResourceNumberLimit",
)  # fmt: skip
_ACCESS = (
    "AccessDenied", "ExpiredToken", "UnrecognizedClient", "InvalidClientToken", "SignatureDoesNot",
    "InvalidSignature", "NotAuthorized", "OptInRequired", "MissingAuthentication",
)  # fmt: skip
_AGAIN = (
    "Throttling",
    "TooManyRequests",
    "ServiceUnavailable",
    "InternalServer",
    "InternalFailure",
)
_LONGEST = 600


def client(service: Service) -> Any:
    """A client of one service.

    Raises:
        MissingExtraError: boto3 is not installed.
        AwsError: no region is set, or a profile is not there.
    """
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise MissingExtraError(f"Amazon {service.title()}", "aws") from None
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        user_agent_extra="airkeep",
    )
    with explained(service):
        session = boto3.session.Session()
        # boto knows AWS_DEFAULT_REGION only; whoever reads the lake takes AWS_REGION first.
        region = os.environ.get("AWS_REGION") or session.region_name
        return session.client(service, region_name=region, config=config)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """What boto raises inside, as an error of ours.

    Args:
        doing: what is tried, to begin the message with.
    """
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        told = _refused(doing, error.response.get("Error", {}))
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError):
        told = AwsAccessError(f"{doing}: no AWS credentials were found: set AWS_PROFILE or a role")
    except boto.NoRegionError:
        told = AwsError(f"{doing}: no AWS region is set: set AWS_REGION")
    except boto.ProfileNotFound:
        told = AwsAccessError(f"{doing}: there is no such AWS profile: correct AWS_PROFILE")
    except (boto.HTTPClientError, boto.ConnectionError) as error:
        kind = type(error).__name__
        told = AwsUnavailableError(f"{doing}: AWS was not reached ({kind}): try again")
    except boto.BotoCoreError as error:
        told = AwsError(f"{doing}: refused before it was sent ({type(error).__name__})")
    else:
        return
    raise told


def _refused(doing: str, error: dict[str, Any]) -> AwsError:
    code = str(error.get("Code", "unknown"))
    words = " ".join(str(error.get("Message", "")).split())
    said = f"{code}: {words[:_LONGEST]}" if words and code.startswith(_TELLING) else code
    if code.startswith(_ACCESS):
        return AwsAccessError(f"{doing} was refused: {said}")
    if code.startswith(_AGAIN):
        return AwsUnavailableError(f"{doing}: AWS is too busy ({said}): try again later")
    return AwsError(f"{doing} failed: {said}")
