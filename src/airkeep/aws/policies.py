"""What each role may do in AWS, and no more: policies as data. Pure.

For every purpose and role a list of statements, of the calls that airkeep's code makes there and on
the resources that it makes them on. What is not known is a placeholder (`<ACCOUNT>`): such a policy
is for reading, not for use. Left out is what AWS itself is allowed by its service-linked roles. A
test runs the code under them, where IAM is enforced, with each statement once taken away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from airkeep.aws.mwaa import Definition

Purpose = Literal["export", "restore", "sleep", "glue", "deploy"]
Role = Literal["mwaa", "operator", "glue"]
PURPOSES: tuple[Purpose, ...] = ("export", "restore", "sleep", "glue", "deploy")
ROLES: tuple[Role, ...] = ("mwaa", "operator", "glue")

JOBS = "jobs"  # below the lake: scripts, what was asked, what came of it (room `jobs`)
_PLACEHOLDER = re.compile(r"<([A-Z_]+)>")
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
_SERVICE_ROLE = "aws-service-role/airflow.amazonaws.com/AWSServiceRoleForAmazonMWAA"


@dataclass(frozen=True)
class Names:
    """What the policies are about.

    Attributes:
        bucket, prefix: of the lake.
        execution_role, glue_role: a role's name or ARN.
        kms_key: the ARN of the key that encrypts the lake's bucket; None for S3's own.
        environment_key: the ARN of the key that encrypts the environment, likewise.
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
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    kms_key: str | None = None
    environment_key: str | None = None
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
        return f"{self.environment}_airkeep"

    @property
    def connection(self) -> str:
        return f"{self.environment}_conn"

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


def policies(names: Names, purposes: Iterable[Purpose] = PURPOSES) -> tuple[Policy, ...]:
    """Every policy for these purposes."""
    found: list[Policy] = []
    for purpose in purposes:
        if purpose == "export":
            found.append(Policy(purpose, "mwaa", tuple(_export(names))))
        elif purpose == "restore":
            found.append(Policy(purpose, "mwaa", tuple(_restore(names))))
        elif purpose == "sleep":
            found.append(Policy(purpose, "operator", tuple(_sleep(names))))
            # Its jobs, in DAG runs: the export before, the restore after, each one's result.
            found.append(Policy(purpose, "mwaa", tuple(_write_lake(names))))
        elif purpose == "deploy":
            found.append(Policy(purpose, "operator", tuple(_deploy(names))))
        else:
            starts = tuple(_start_jobs(names))
            found += [Policy(purpose, "mwaa", starts), Policy(purpose, "operator", starts)]
            found.append(Policy(purpose, "glue", tuple(_run_job(names)), "glue.amazonaws.com"))
    return tuple(found)


def placeholders(document: object) -> tuple[str, ...]:
    """What is still to be filled in, in a document of JSON's types."""
    if isinstance(document, Mapping):
        document = [*document.keys(), *document.values()]
    if isinstance(document, list | tuple):
        return tuple(sorted({name for one in document for name in placeholders(one)}))
    return tuple(_PLACEHOLDER.findall(document)) if isinstance(document, str) else ()


def _restore(names: Names) -> Iterable[Statement]:
    yield _list(names)
    yield Statement("ReadLake", ("s3:GetObject",), (names.objects("*"),))
    # A restore that is a job is not done before its result is there.
    yield Statement("SaveResult", ("s3:PutObject",), (names.objects(JOBS, "*"),))
    yield from _key(names, "kms:Decrypt", "kms:GenerateDataKey")


def _write_lake(names: Names) -> Iterable[Statement]:
    yield _list(names)
    yield Statement(
        "WriteLake",
        ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"),
        (names.objects("*"),),
    )
    # A large file is whole under uploads/ before it is copied to its place.
    yield Statement("EndUploads", ("s3:DeleteObject",), (names.objects("uploads", "*"),))
    yield from _key(names, "kms:Decrypt", "kms:GenerateDataKey")


def _export(names: Names) -> Iterable[Statement]:
    """What the ready DAG of exports does: it also keeps reports, and registers tables."""
    yield from _write_lake(names)
    yield Statement("EndReports", ("s3:DeleteObject",), (names.objects("reports", "*"),))
    yield Statement(
        "Catalog",
        ("glue:GetDatabase", "glue:CreateDatabase", "glue:GetTables", "glue:CreateTable",
         "glue:UpdateTable", "glue:DeleteTable", "glue:GetPartitions", "glue:BatchCreatePartition",
         "glue:BatchUpdatePartition", "glue:DeletePartition"),
        (names.arn("glue", "catalog"), names.arn("glue", f"database/{names.catalog}"),
         names.arn("glue", f"table/{names.catalog}/*")),
    )  # fmt: skip


def _list(names: Names, *parts: str) -> Statement:
    """IfExists, since asking for one object has no prefix, and the lack of it must be 404."""
    prefix = "/".join(part for part in (names.prefix.strip("/"), *parts) if part)
    allowed = (prefix, f"{prefix}/*") if prefix else ("*",)
    return Statement(
        "ListLake",
        ("s3:ListBucket",),
        (f"arn:{names.partition}:s3:::{names.bucket}",),
        (("StringLikeIfExists", "s3:prefix", allowed),),
    )


def _key(names: Names, *actions: str) -> Iterable[Statement]:
    if names.kms_key is not None:
        via = (("StringEquals", "kms:ViaService", (f"s3.{names.region}.amazonaws.com",)),)
        yield Statement("UseLakeKey", actions, (names.kms_key,), via)


def _sleep(names: Names) -> Iterable[Statement]:
    environment = names.arn("airflow", f"environment/{names.environment}")
    yield Statement(
        "Environment",
        ("airflow:GetEnvironment", "airflow:CreateEnvironment", "airflow:UpdateEnvironment",
         "airflow:DeleteEnvironment", "airflow:TagResource"),
        (environment,),
    )  # fmt: skip
    yield Statement("ListEnvironments", ("airflow:ListEnvironments",), ("*",))
    # Airflow's role Op: DAGs, runs and tasks may be changed, users and roles not.
    yield Statement(
        "AskAirflow",
        ("airflow:InvokeRestApi",),
        (names.arn("airflow", f"role/{names.environment}/Op"),),
    )
    yield _pass_execution_role(names)
    yield Statement(
        "MakeServiceRole",
        ("iam:CreateServiceLinkedRole",),
        (names.role_arn(_SERVICE_ROLE),),
        (("StringEquals", "iam:AWSServiceName", ("airflow.amazonaws.com",)),),
    )
    bucket = f"arn:{names.partition}:s3:::{names.dags_bucket}"
    yield Statement("LookAtDagsBucket", ("s3:GetEncryptionConfiguration",), (bucket,))
    yield Statement("LookAtDagsFiles", ("s3:GetObject", "s3:GetObjectVersion"), (f"{bucket}/*",))
    yield from _environment_network(names)
    yield from _write_lake(names)
    if names.environment_key is not None:
        yield Statement(
            "UseEnvironmentKey", ("kms:DescribeKey", "kms:CreateGrant"), (names.environment_key,)
        )
    if names.topic is not None:
        yield Statement("Tell", ("sns:Publish",), (names.topic,))


def _environment_network(names: Names) -> Iterable[Statement]:
    """MWAA makes these in the name of whoever creates the environment."""
    subnets = _ec2(names, "subnet", names.subnets)
    groups = _ec2(names, "security-group", names.security_groups)
    yield Statement(
        "ConnectEnvironment",
        ("ec2:CreateVpcEndpoint",),
        (*_ec2(names, "vpc-endpoint"), *_ec2(names, "vpc"), *subnets, *groups),
    )
    yield Statement(
        "EnvironmentInterfaces",
        ("ec2:CreateNetworkInterface",),
        (*_ec2(names, "network-interface"), *subnets, *groups),
    )


def _ec2(names: Names, kind: str, ids: tuple[str, ...] = ()) -> tuple[str, ...]:
    return tuple(names.arn("ec2", f"{kind}/{one}") for one in ids or ("*",))


def _pass_execution_role(names: Names) -> Statement:
    services = ("airflow.amazonaws.com", "airflow-env.amazonaws.com")
    return Statement(
        "PassExecutionRole",
        ("iam:PassRole",),
        (names.role_arn(names.execution_role),),
        (("StringEquals", "iam:PassedToService", services),),
    )


def _start_jobs(names: Names) -> Iterable[Statement]:
    yield Statement(
        "Job",
        ("glue:CreateJob", "glue:GetJob", "glue:UpdateJob", "glue:StartJobRun",
         "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"),
        (names.arn("glue", f"job/{names.job}"),),
    )  # fmt: skip
    yield Statement(
        "Connection",
        ("glue:GetConnection", "glue:CreateConnection", "glue:UpdateConnection"),
        _connection(names),
    )
    yield Statement(
        "Environment",
        ("airflow:GetEnvironment",),
        (names.arn("airflow", f"environment/{names.environment}"),),
    )
    yield Statement("LookAtSubnets", ("ec2:DescribeSubnets",), ("*",))
    yield _list(names, JOBS)
    yield Statement("Scripts", ("s3:GetObject", "s3:PutObject"), (names.objects(JOBS, "*"),))
    yield Statement(
        "PassGlueRole",
        ("iam:PassRole",),
        (names.role_arn(names.glue_role),),
        (("StringEquals", "iam:PassedToService", ("glue.amazonaws.com",)),),
    )
    yield from _key(names, "kms:Decrypt", "kms:GenerateDataKey")


def _connection(names: Names) -> tuple[str, ...]:
    """Glue asks for both."""
    return names.arn("glue", "catalog"), names.arn("glue", f"connection/{names.connection}")


def _run_job(names: Names) -> Iterable[Statement]:
    yield Statement("Connection", ("glue:GetConnection",), _connection(names))
    yield Statement(
        "LookAtNetwork",
        ("ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeNetworkInterfaces",
         "ec2:DescribeVpcEndpoints", "ec2:DescribeRouteTables"),
        ("*",),
    )  # fmt: skip
    yield Statement("LookAtVpc", ("ec2:DescribeVpcAttribute",), _ec2(names, "vpc"))
    yield Statement(
        "Interfaces",
        ("ec2:CreateNetworkInterface",),
        (*_ec2(names, "network-interface"), *_ec2(names, "subnet", names.subnets[:1]),
         *_ec2(names, "security-group", names.security_groups)),
    )  # fmt: skip
    interfaces = _ec2(names, "network-interface")
    yield Statement("EndInterfaces", ("ec2:DeleteNetworkInterface",), interfaces)
    yield Statement(
        "MarkInterfaces",
        ("ec2:CreateTags", "ec2:DeleteTags"),
        interfaces,
        (("ForAllValues:StringEquals", "aws:TagKeys", ("aws-glue-service-resource",)),),
    )
    yield Statement(
        "Logs",
        ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"),
        (names.arn("logs", "log-group:/aws-glue/*"),),
    )
    yield Statement(
        "Metrics",
        ("cloudwatch:PutMetricData",),
        ("*",),
        (("StringEquals", "cloudwatch:namespace", ("Glue", "AWS/Glue")),),
    )
    yield from _write_lake(names)
    if names.secret is not None:
        yield Statement("Keys", ("secretsmanager:GetSecretValue",), (names.secret,))


def _deploy(names: Names) -> Iterable[Statement]:
    bucket = f"arn:{names.partition}:s3:::{names.dags_bucket}"
    yield Statement(
        "Environment",
        ("airflow:GetEnvironment", "airflow:UpdateEnvironment"),
        (names.arn("airflow", f"environment/{names.environment}"),),
    )
    yield Statement(
        "ListDags",
        ("s3:ListBucket",),
        (bucket,),
        (("StringLikeIfExists", "s3:prefix", (names.dags, f"{names.dags}/*")),),
    )
    yield Statement(
        "WriteDags",
        ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        (f"{bucket}/{names.dags}/*",),
    )
    yield _pass_execution_role(names)
