"""Clients of AWS, and what their errors mean.

Credentials, region, profile and endpoints are found as every AWS tool finds them: `AWS_PROFILE`,
`AWS_REGION`, `AWS_ENDPOINT_URL_ATHENA`, a role. An `AwsPlace` stands over them: another region,
profile or, by a role that is assumed, account. What that role gives is renewed while it is used. A
call has time limits and is tried again by boto's standard retries. An error is one line, and tells
AWS's own words only where they hold no signature.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

from airkeep.errors import AwsAccessError, AwsError, AwsUnavailableError, MissingExtraError

Service = Literal["athena", "ec2", "glue", "mwaa", "s3", "secretsmanager", "sns", "sts"]

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
ATTEMPTS = 4  # the first one and three more, within seconds
SESSION_NAME = "airkeep"  # what CloudTrail shows of an assumed role

# Words of refusals over signatures repeat the request that was signed, tokens and all.
_TELLING = (
    "AccessDenied", "EntityNotFound", "InvalidInput", "InvalidRequest", "ResourceNotFound",
    "AlreadyExists", "OperationTimeout", "ConcurrentModification", "ResourceNumberLimit",
    "ValidationException", "ConcurrentRunsExceeded", "NoSuchBucket", "NotFound",
    "AuthorizationError", "UnauthorizedOperation",
)  # fmt: skip
_ACCESS = (
    "AccessDenied", "ExpiredToken", "UnrecognizedClient", "InvalidClientToken", "SignatureDoesNot",
    "InvalidSignature", "NotAuthorized", "OptInRequired", "MissingAuthentication",
    "AuthorizationError", "UnauthorizedOperation", "403",  # SNS; EC2; S3 without a body
)  # fmt: skip
_AGAIN = (
    "Throttling", "TooManyRequests", "ServiceUnavailable",
    "InternalServer", "InternalFailure", "InternalError", "SlowDown", "ThrottledException",
    "RequestLimitExceeded", "RequestThrottled", "RequestTimeout", "OperationTimeout",
    "ConcurrentRunsExceeded",
    # S3's 409s: another request for that key was under way, nothing is stored for sure.
    "ConditionalRequestConflict", "OperationAborted",
)  # fmt: skip
_AGAIN_STATUS = 429  # and every one from 500 on, whatever its code
_LONGEST = 600
# In variables, which whoever reads a lake on S3 finds too: of a profile that knows nothing.
_SET_THEM = (
    "Set them, as variables, which a lake on S3 needs as well; of a profile: "
    'eval "$(aws configure export-credentials --profile NAME --format env)"'
)


@dataclass(frozen=True)
class AwsPlace:
    """Whose AWS is meant, and where; what is None is found in the environment.

    Attributes:
        role_arn: a role to assume first, as in another account.
        external_id: what that role's owner asks for.
    """

    region: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None


HERE = AwsPlace()


def client(service: Service, place: AwsPlace = HERE) -> Any:
    """A client of one service; asked for again, the same one.

    A wait of an hour asks for hundreds: made anew, each would read boto's model of the service, a
    quarter of a second, and assume the role once more.

    Raises:
        MissingExtraError: boto3 is not installed.
        AwsError: no region is set, or a profile is not there. That a role may not be assumed
            is told by the first call.
    """
    variables = frozenset(item for item in os.environ.items() if item[0].startswith("AWS_"))
    return _client(service, place, variables)


@lru_cache(32)
def _client(service: Service, place: AwsPlace, _variables: frozenset[tuple[str, str]]) -> Any:
    try:
        from botocore.config import Config
    except ImportError:
        raise MissingExtraError(_NAMES.get(service, f"Amazon {service.title()}"), "aws") from None
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        user_agent_extra="airkeep",
    )
    with explained(service):
        session = _session(place)
        region = _region(session, place)
        return session.client(service, region_name=region, config=config)


def region_of(place: AwsPlace = HERE) -> str:
    """The region that a client there would talk to.

    Raises:
        MissingExtraError: boto3 is not installed.
        AwsError: none is set.
    """
    return str(client("sts", place).meta.region_name)


_NAMES = {
    "ec2": "Amazon EC2", "glue": "AWS Glue", "mwaa": "Amazon MWAA", "s3": "Amazon S3",
    "secretsmanager": "AWS Secrets Manager", "sns": "Amazon SNS", "sts": "AWS STS",
}  # fmt: skip


def _session(place: AwsPlace) -> Any:
    import boto3

    own = boto3.session.Session(profile_name=place.profile)
    if place.role_arn is None:
        return own
    import botocore.credentials
    import botocore.session

    assumed = botocore.session.Session(profile=place.profile)
    fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
        client_creator=partial(assumed.create_client, region_name=_region(own, place)),
        source_credentials=_own_credentials(own),
        role_arn=place.role_arn,
        extra_args={"RoleSessionName": SESSION_NAME}
        | ({"ExternalId": place.external_id} if place.external_id else {}),
    )
    resolver = botocore.credentials.CredentialResolver([_AssumedRole(fetcher)])
    assumed.register_component("credential_provider", resolver)
    return boto3.session.Session(botocore_session=assumed)


def _own_credentials(session: Any) -> Any:
    from botocore.exceptions import NoCredentialsError

    found = session.get_credentials()
    if found is None:
        raise NoCredentialsError
    return found


def _region(session: Any, place: AwsPlace) -> str | None:
    """As whoever reads the lake: AWS_REGION first. boto knows AWS_DEFAULT_REGION only."""
    region: str | None = place.region or os.environ.get("AWS_REGION") or session.region_name
    return region


class _AssumedRole:
    """What gives a session its credentials: asked for when they are needed, and again in time."""

    METHOD = CANONICAL_NAME = "assume-role"

    def __init__(self, fetcher: Any) -> None:
        self._fetcher = fetcher

    def load(self) -> Any:
        from botocore.credentials import DeferredRefreshableCredentials

        return DeferredRefreshableCredentials(self._fetcher.fetch_credentials, self.METHOD)


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
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        told = _refused(doing, error.response.get("Error", {}), status)
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError):
        told = AwsAccessError(f"{doing}: no AWS credentials were found. {_SET_THEM}")
    except boto.NoRegionError:
        told = AwsError(
            f"{doing}: no AWS region is set: set AWS_REGION, or give --region where there is one"
        )
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


def _refused(doing: str, error: dict[str, Any], status: int) -> AwsError:
    code = str(error.get("Code", "unknown"))
    words = " ".join(str(error.get("Message", "")).split())
    said = f"{code}: {words[:_LONGEST]}" if words and code.startswith(_TELLING) else code
    if code.startswith(_ACCESS):
        return AwsAccessError(f"{doing} was refused: {said}")
    if code.startswith(_AGAIN) or status == _AGAIN_STATUS or status >= 500:
        return AwsUnavailableError(f"{doing}: AWS is too busy ({said}): try again later")
    return AwsError(f"{doing} failed: {said}")
