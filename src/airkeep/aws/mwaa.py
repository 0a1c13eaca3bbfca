"""Environments of Amazon MWAA: looked at, made, changed, deleted and waited for.

An environment is kept as AWS told it, since it must be sent back whole: `Definition`. Its options
may hold secrets that somebody wrote there; they are in its document and in no message. Nothing here
decides whether an environment may go: whoever deletes one has looked first. Airflow's own REST API
inside of it is `airflow_rest.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airkeep.aws.session import HERE, AwsPlace, client, explained
from airkeep.aws.wait import Patience, until
from airkeep.errors import AwsUnavailableError, EnvironmentStateError, NoEnvironmentError

# What CreateEnvironment takes: a test compares it with what boto knows.
CREATABLE = frozenset({
    "AirflowConfigurationOptions", "AirflowVersion", "DagS3Path", "EndpointManagement",
    "EnvironmentClass", "ExecutionRoleArn", "KmsKey", "LoggingConfiguration", "MaxWebservers",
    "MaxWorkers", "MinWebservers", "MinWorkers", "Name", "NetworkConfiguration",
    "PluginsS3ObjectVersion", "PluginsS3Path", "RequirementsS3ObjectVersion", "RequirementsS3Path",
    "Schedulers", "SourceBucketArn", "StartupScriptS3ObjectVersion", "StartupScriptS3Path", "Tags",
    "WebserverAccessMode", "WeeklyMaintenanceWindowStart",
})  # fmt: skip
# What GetEnvironment tells besides, and AWS makes anew.
TOLD_ONLY = frozenset({
    "Arn", "CeleryExecutorQueue", "CreatedAt", "DatabaseVpcEndpointService", "LastUpdate",
    "ServiceRoleArn", "Status", "WebserverUrl", "WebserverVpcEndpointService",
})  # fmt: skip
# The oldest Airflow of which AWS still makes environments, as boto 1.43.106 tells it (2026-11):
# older ones run on, and cannot be made again. A test compares.
OLDEST_MADE = "2.7.2"
_LOG_SETTINGS = ("Enabled", "LogLevel")  # of a log, what may be said when it is made
_FILES = ("Plugins", "Requirements", "StartupScript")
_RESERVED_TAG = "aws:"  # AWS's own: sent back they are refused

# UPDATE_FAILED: restored to what it was, and ready.
READY = frozenset({"AVAILABLE", "UPDATE_FAILED"})
LOST = frozenset({"CREATE_FAILED", "UNAVAILABLE", "DELETING", "DELETED"})
# PENDING: until its owner has made its endpoints.
UNMADE = frozenset({"CREATING", "PENDING", "CREATE_FAILED"})


@dataclass(frozen=True)
class SourceFile:
    """A file in the environment's bucket that MWAA installs.

    Attributes:
        kind: `Plugins`, `Requirements` or `StartupScript`.
        version: of the object; None where the definition names none.
    """

    kind: str
    path: str
    version: str | None


@dataclass(frozen=True)
class Definition:
    """An environment, as AWS told it.

    Attributes:
        told: the document, of JSON's types only. Its options may hold secrets.
    """

    told: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Definition:
        """The definition of a document that `json` made."""
        return cls(json.loads(text))

    def json(self) -> str:
        return json.dumps(self.told, indent=1, sort_keys=True)

    @property
    def name(self) -> str:
        return str(self.told["Name"])

    @property
    def status(self) -> str:
        return str(self.told.get("Status", ""))

    @property
    def arn(self) -> str:
        return str(self.told.get("Arn", ""))

    @property
    def account(self) -> str:
        return (self.arn.split(":") + [""] * 5)[4]

    @property
    def region(self) -> str:
        return (self.arn.split(":") + [""] * 4)[3]

    @property
    def airflow_version(self) -> str:
        return str(self.told.get("AirflowVersion", ""))

    @property
    def execution_role(self) -> str:
        return str(self.told.get("ExecutionRoleArn", ""))

    @property
    def bucket(self) -> str:
        """The bucket of its DAGs."""
        return str(self.told.get("SourceBucketArn", "")).rpartition(":")[2]

    @property
    def dags(self) -> str:
        return str(self.told.get("DagS3Path", "dags")).strip("/")

    @property
    def subnets(self) -> tuple[str, ...]:
        return self._network("SubnetIds")

    @property
    def security_groups(self) -> tuple[str, ...]:
        return self._network("SecurityGroupIds")

    @property
    def installed(self) -> datetime | None:
        """When AWS last made or changed it; None where it does not say."""
        at = self.told.get("LastUpdate", {}).get("CreatedAt") or self.told.get("CreatedAt")
        return datetime.fromisoformat(at) if at else None

    @property
    def reason(self) -> str:
        """What AWS says of the last change that failed; empty where none did."""
        error = self.told.get("LastUpdate", {}).get("Error") or {}
        return ": ".join(
            " ".join(str(error[k]).split()) for k in ("ErrorCode", "ErrorMessage") if error.get(k)
        )

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """What MWAA installs from the bucket."""
        return tuple(
            SourceFile(kind, str(path), self.told.get(f"{kind}S3ObjectVersion"))
            for kind in _FILES
            if (path := self.told.get(f"{kind}S3Path"))
        )

    def pinned(self, versions: Mapping[str, str]) -> Definition:
        """The same, its files held at these versions of their objects, by their kind."""
        return Definition({
            **self.told, **{f"{kind}S3ObjectVersion": v for kind, v in versions.items()}
        })  # fmt: skip

    def arguments(self) -> dict[str, Any]:
        """Exactly what CreateEnvironment takes to make this environment again."""
        kept = {k: v for k, v in self.told.items() if k in CREATABLE and v not in (None, "")}
        if "LoggingConfiguration" in kept:
            kept["LoggingConfiguration"] = {
                log: {k: one[k] for k in _LOG_SETTINGS if k in one}
                for log, one in kept["LoggingConfiguration"].items()
            }
        if "Tags" in kept:
            tags = kept["Tags"].items()
            kept["Tags"] = {k: v for k, v in tags if not k.startswith(_RESERVED_TAG)}
        return kept

    def _network(self, name: str) -> tuple[str, ...]:
        return tuple(self.told.get("NetworkConfiguration", {}).get(name, ()))


def find(name: str, place: AwsPlace = HERE) -> Definition | None:
    """The environment of that name; None where there is none.

    Raises:
        AwsError: AWS refused or failed.
    """
    mwaa = client("mwaa", place)
    with explained(f"looking at the environment {name}"):
        try:
            told = mwaa.get_environment(Name=name)["Environment"]
        except mwaa.exceptions.ResourceNotFoundException:
            return None
    return Definition(_plain(told))


def describe(name: str, place: AwsPlace = HERE) -> Definition:
    """The same, where there must be one.

    Raises:
        NoEnvironmentError: there is none.
        AwsError: AWS refused or failed.
    """
    found = find(name, place)
    if found is None:
        raise NoEnvironmentError(name, names(place))
    return found


def names(place: AwsPlace = HERE) -> tuple[str, ...]:
    """Every environment of the account and region, sorted.

    Raises:
        AwsError: AWS refused or failed.
    """
    mwaa = client("mwaa", place)
    with explained("listing environments"):
        pages = mwaa.get_paginator("list_environments").paginate()
        return tuple(sorted(str(name) for page in pages for name in page["Environments"]))


def create(definition: Definition, place: AwsPlace = HERE) -> None:
    """Ask for an environment; `wait_ready` waits for it.

    Raises:
        AwsError: AWS refused or failed, also where one of that name is there.
    """
    mwaa = client("mwaa", place)
    with explained(f"creating the environment {definition.name}"):
        mwaa.create_environment(**definition.arguments())


def update(name: str, changes: Mapping[str, Any], place: AwsPlace = HERE) -> None:
    """Ask for changes, in UpdateEnvironment's own words.

    Raises:
        AwsError: AWS refused or failed.
    """
    mwaa = client("mwaa", place)
    with explained(f"updating the environment {name}"):
        mwaa.update_environment(Name=name, **changes)


def delete(name: str, place: AwsPlace = HERE) -> bool:
    """Ask for its end; False where there was none. Its database and its Fernet key go with it.

    Raises:
        AwsError: AWS refused or failed.
    """
    mwaa = client("mwaa", place)
    with explained(f"deleting the environment {name}"):
        try:
            mwaa.delete_environment(Name=name)
        except mwaa.exceptions.ResourceNotFoundException:
            return False
    return True


def wait_ready(
    name: str,
    patience: Patience,
    place: AwsPlace = HERE,
    *,
    progress: Callable[[Definition], None] = lambda _: None,
) -> Definition:
    """Wait until an environment can be used.

    Args:
        progress: is told of every look.

    Raises:
        EnvironmentStateError: it cannot be used any more, with AWS's reason.
        NoEnvironmentError: there is none.
        AwsUnavailableError: it took too long.
    """

    def look() -> Definition | None:
        found = describe(name, place)
        progress(found)
        if found.status in LOST:
            raise EnvironmentStateError(name, found.status, found.reason)
        return found if found.status in READY else None

    try:
        return until(look, patience)
    except TimeoutError:
        raise AwsUnavailableError(
            f"the environment {name} was not ready within {patience.timeout_s:g} s: it goes on in "
            f"AWS; run this again to wait on"
        ) from None


def _plain(value: Any) -> Any:
    """Of JSON's types only: boto makes times of numbers."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value
