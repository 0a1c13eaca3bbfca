"""What a policy is made of: the names that it is about, its statements, its JSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from airkeep.aws.mwaa import Definition

Purpose = Literal["export", "restore", "sleep", "glue", "deploy"]
Role = Literal["mwaa", "operator", "glue"]

_PLACEHOLDER = re.compile(r"<([A-Z_]+)>")
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


@dataclass(frozen=True)
class Names:
    """What the policies are about.

    Attributes:
        bucket, prefix: of the lake.
        execution_role, glue_role: a role's name or ARN.
        glue_job, glue_connection: other names than those that are made of the environment's.
        kms_key: the ARN of the key that encrypts the lake's bucket; None for S3's own.
        environment_key: the ARN of the key that encrypts the environment, likewise; MWAA wants its
            bucket encrypted with the same one.
        connection_key: the ARN of the key that encrypts passwords in the Glue catalog, likewise.
        job_subnet, job_groups: of jobs on Glue, if not the environment's first and its groups.
        catalog: the database of the Glue catalog that has the lake's tables.
        topic: the ARN of an SNS topic that is told; None for no such right.
        secret: the ARN of a secret that holds keys for jobs on Glue; None for no such right.
    """

    environment: str = "<ENVIRONMENT>"
    region: str = "<REGION>"
    account: str = "<ACCOUNT>"
    bucket: str = "<BUCKET>"
    prefix: str = ""
    dags_bucket: str = "<DAGS_BUCKET>"
    dags: str = "dags"
    execution_role: str = "<EXECUTION_ROLE>"
    glue_role: str = "<GLUE_ROLE>"
    glue_job: str | None = None
    glue_connection: str | None = None
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    kms_key: str | None = None
    environment_key: str | None = None
    connection_key: str | None = None
    job_subnet: str | None = None
    job_groups: tuple[str, ...] = ()
    catalog: str = "airflow_metadb"
    topic: str | None = None
    secret: str | None = None

    def of(self, definition: Definition) -> Names:
        """The same, with what an environment's definition tells."""
        return replace(
            self,
            environment=definition.name,
            region=definition.region or self.region,
            account=definition.account or self.account,
            dags_bucket=definition.bucket or self.dags_bucket,
            dags=definition.dags or self.dags,
            execution_role=definition.execution_role or self.execution_role,
            subnets=definition.subnets,
            security_groups=definition.security_groups,
            environment_key=definition.told.get("KmsKey") or self.environment_key,
        )

    @property
    def job(self) -> str:
        return self.glue_job or f"{self.environment}_airkeep"

    @property
    def connection(self) -> str:
        return self.glue_connection or f"{self.environment}_conn"

    @property
    def partition(self) -> str:
        found = (p for begin, p in _PARTITIONS.items() if self.region.startswith(begin))
        return next(found, "aws")

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def role_arn(self, role: str) -> str:
        """The ARN of a role that may be named by it already."""
        is_arn = role.startswith("arn:")
        return role if is_arn else f"arn:{self.partition}:iam::{self.account}:role/{role}"

    def objects(self, *parts: str) -> str:
        """Objects of the lake's bucket, below its prefix."""
        path = "/".join(part for part in (self.prefix.strip("/"), *parts) if part)
        return f"arn:{self.partition}:s3:::{self.bucket}/{path}"


@dataclass(frozen=True)
class Statement:
    """One thing that is allowed.

    Attributes:
        conditions: by operator and key.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    def document(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(self.resources),
        }
        for operator, key, values in self.conditions:
            told.setdefault("Condition", {}).setdefault(operator, {})[key] = list(values)
        return told


@dataclass(frozen=True)
class Policy:
    """What one role is allowed for one purpose.

    Attributes:
        trusted: the service that takes the role on; None where the role is the user's own.
    """

    purpose: Purpose
    role: Role
    statements: tuple[Statement, ...]
    trusted: str | None = None

    def document(self) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [s.document() for s in self.statements]}

    def trust(self) -> dict[str, Any] | None:
        """The trust policy of a role that a service takes on."""
        if self.trusted is None:
            return None
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": self.trusted},
            "Action": "sts:AssumeRole",
        }
        return {"Version": "2012-10-17", "Statement": [statement]}

    def without(self, sid: str) -> Policy:
        return replace(self, statements=tuple(s for s in self.statements if s.sid != sid))


def placeholders(document: object) -> tuple[str, ...]:
    """What is still to be filled in, in a document of JSON's types."""
    if isinstance(document, Mapping):
        document = [*document.keys(), *document.values()]
    if isinstance(document, list | tuple):
        return tuple(sorted({name for one in document for name in placeholders(one)}))
    return tuple(_PLACEHOLDER.findall(document)) if isinstance(document, str) else ()
