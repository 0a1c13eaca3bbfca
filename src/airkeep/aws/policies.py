"""What each role may do in AWS, and no more: policies as data. Pure.

For every purpose and role a list of statements, of the calls that airkeep's code makes there and on
the resources that it makes them on. What is not known is a placeholder (`<ACCOUNT>`): such a policy
is for reading, not for use. Left out is what AWS itself is allowed by its service-linked roles. A
test runs the code under them, where IAM is enforced, with each statement once taken away.

What AWS does in a caller's name is no call of ours; it is taken from AWS's pages, narrowed to the
resources in question:

    who makes an environment   docs.aws.amazon.com/mwaa/latest/userguide/access-policies.html
                               (AmazonMWAAFullApiAccess, with an AWS owned and a customer's key)
    a job on Glue in a VPC     docs.aws.amazon.com/glue/latest/dg/create-service-policy.html
    a connection's password    docs.aws.amazon.com/glue/latest/webapi/
                               API_ConnectionPasswordEncryption.html
"""

from __future__ import annotations

from collections.abc import Iterable

from airkeep.aws.policy import Names, Policy, Purpose, Statement

PURPOSES: tuple[Purpose, ...] = ("export", "restore", "sleep", "glue", "deploy")
JOBS = "jobs"  # below the lake: scripts, what was asked, what came of it (room `jobs`)
_SERVICE_ROLE = "aws-service-role/airflow.amazonaws.com/AWSServiceRoleForAmazonMWAA"


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
    prefix = "/".join(part for part in (names.prefix.strip("/"), *parts) if part)
    return _list_bucket(names, "ListLake", names.bucket, prefix)


def _list_dags(names: Names) -> Statement:
    return _list_bucket(names, "ListDags", names.dags_bucket, names.dags)


def _list_bucket(names: Names, sid: str, bucket: str, prefix: str) -> Statement:
    """IfExists, since asking for one object has no prefix, and the lack of it must be 404."""
    allowed = (prefix, f"{prefix}/*") if prefix else ("*",)
    return Statement(
        sid,
        ("s3:ListBucket",),
        (f"arn:{names.partition}:s3:::{bucket}",),
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
    yield _list_dags(names)
    yield Statement("LookAtDagsFiles", ("s3:GetObject", "s3:GetObjectVersion"), (f"{bucket}/*",))
    yield from _environment_network(names)
    yield from _write_lake(names)
    if names.environment_key is not None:
        yield Statement(
            "UseEnvironmentKey",
            ("kms:DescribeKey", "kms:ListGrants", "kms:CreateGrant", "kms:RevokeGrant",
             "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyPair",
             "kms:GenerateDataKeyPairWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext",
             "kms:ReEncryptFrom", "kms:ReEncryptTo"),
            (names.environment_key,),
        )  # fmt: skip
    if names.topic is not None:
        yield Statement("Tell", ("sns:Publish",), (names.topic,))


def _environment_network(names: Names) -> Iterable[Statement]:
    """MWAA looks at these, and makes some, in the name of whoever creates the environment."""
    yield Statement(
        "LookAtNetwork",
        ("ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcs",
         "ec2:DescribeRouteTables"),
        ("*",),
    )  # fmt: skip
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
    # It is read before it is written, to see whether it says what it should.
    yield from _connection_key(names, "kms:Encrypt", "kms:Decrypt")


def _connection_key(names: Names, *actions: str) -> Iterable[Statement]:
    if names.connection_key is not None:
        yield Statement("UseConnectionKey", actions, (names.connection_key,))


def _connection(names: Names) -> tuple[str, ...]:
    """Glue asks for both."""
    return names.arn("glue", "catalog"), names.arn("glue", f"connection/{names.connection}")


def _run_job(names: Names) -> Iterable[Statement]:
    yield Statement("Connection", ("glue:GetConnection",), _connection(names))
    yield from _connection_key(names, "kms:Decrypt")
    yield Statement(
        "LookAtNetwork",
        ("ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeNetworkInterfaces",
         "ec2:DescribeVpcEndpoints", "ec2:DescribeRouteTables"),
        ("*",),
    )  # fmt: skip
    yield Statement("LookAtVpc", ("ec2:DescribeVpcAttribute",), _ec2(names, "vpc"))
    subnets = names.subnets[:1] if names.job_subnet is None else (names.job_subnet,)
    groups = names.job_groups or names.security_groups
    yield Statement(
        "Interfaces",
        ("ec2:CreateNetworkInterface",),
        (*_ec2(names, "network-interface"), *_ec2(names, "subnet", subnets),
         *_ec2(names, "security-group", groups)),
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
    yield _list_dags(names)
    yield Statement(
        "WriteDags",
        ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        (f"{bucket}/{names.dags}/*",),
    )
    yield _pass_execution_role(names)
