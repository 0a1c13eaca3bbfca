"""`airkeep iam`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from airkeep.cli.context import Context, setting_option, shared_options
from airkeep.cli.place import place_options, recorded_place
from airkeep.errors import ConfigError

if TYPE_CHECKING:
    from airkeep.aws.policy import Names, Policy
    from airkeep.aws.session import AwsPlace

_PURPOSES = ("export", "restore", "sleep", "glue", "deploy", "bucket")


@click.command()
@click.option(
    "--for", "purpose", type=click.Choice(_PURPOSES), help="Only what this needs; else all."
)
@click.option(
    "--role",
    type=click.Choice(["mwaa", "operator", "glue"]),
    help="Only this role's policy, bare, as `aws iam put-role-policy` takes it.",
)
@click.option("--trust", is_flag=True, help="With --role glue: its trust policy instead.")
@setting_option("environment", "--environment", "-e", help="Whose names to fill in.")
@click.option("--describe", is_flag=True, help="Ask MWAA for that environment's ARNs.")
@click.option("--account", help="AWS's twelve digits.")
@click.option("--bucket", help="The lake's, if not that of AIRKEEP_LAKE.")
@click.option("--prefix", help="The lake's, in its bucket.")
@click.option("--exports", help="The prefix that expires; by default csv/ of the lake.")
@click.option("--dags-bucket", help="The environment's.")
@click.option("--execution-role", help="The environment's: a name or an ARN.")
@setting_option("glue_role", "--glue-role", help="The role of jobs on Glue: a name or an ARN.")
@setting_option("glue_job", "--glue-job", help="The job on Glue, if not <environment>_airkeep.")
@setting_option("glue_connection", "--glue-connection", help="Its connection, if not ..._conn.")
@click.option("--kms-key", help="The ARN of the key of the lake's bucket.")
@click.option("--environment-key", help="The ARN of the environment's key, where it has its own.")
@click.option("--connection-key", help="The ARN of the key of passwords in the Glue catalog.")
@click.option("--subnet", "job_subnet", help="Of jobs on Glue, if not the environment's first.")
@click.option(
    "--security-group",
    "job_groups",
    multiple=True,
    help="Of jobs on Glue, if not the environment's.",
)
@click.option("--catalog", help="The lake's database in the Glue catalog; airflow_metadb.")
@click.option("--topic", help="The ARN of an SNS topic to tell.")
@click.option("--secret", help="The ARN of the secret that holds keys for jobs.")
@click.option("--strict", is_flag=True, help="Fail where a placeholder would be left.")
@place_options
@shared_options("environment", "glue_role", "glue_job", "glue_connection", tuning=False)
def iam(
    ctx: Context,
    *,
    purpose: str | None,
    role: str | None,
    trust: bool,
    describe: bool,
    strict: bool,
    exports: str | None,
    place: AwsPlace,
    prefix: str | None,
    **given: Any,
) -> None:
    """Print least-privilege policies, and how the lake's bucket should be set up, as JSON.

    \b
    mwaa       the environment's execution role: what its tasks call
    operator   whoever runs airkeep elsewhere: a person, CI, a scheduler
    glue       the role of jobs on Glue, with its trust policy

    What is not known is a placeholder such as <ACCOUNT>. Nothing is changed in AWS.
    """
    if trust and role != "glue":
        raise click.UsageError("--trust is for --role glue: the other roles are yours already")
    if role and purpose in (None, "bucket"):
        raise click.UsageError("--role needs a --for that has roles: its policy is printed bare")
    names = _names(ctx, place, {"prefix": prefix, **given}, describe=describe)
    exports = _exports(ctx, exports, names, prefix)
    document = _document(names, purpose, role, exports=exports, trust=trust)
    _check(ctx, document, strict=strict, describe=describe)
    ctx.output.document(document)


def _names(ctx: Context, place: AwsPlace, given: dict[str, Any], *, describe: bool) -> Names:
    from airkeep.aws.policy import Names

    region = place.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    found: dict[str, Any] = {
        "environment": ctx.settings.environment, "region": region, **_lake(ctx),
        "glue_role": ctx.settings.glue_role, "glue_job": ctx.settings.glue_job,
        "glue_connection": ctx.settings.glue_connection,
    }  # fmt: skip
    known = Names(**{k: v for k, v in found.items() if v is not None})
    if describe:
        from airkeep.aws import mwaa

        known = known.of(
            mwaa.describe(*recorded_place(ctx, ctx.settings.need("environment"), place))
        )
    flags = {k: v for k, v in given.items() if v not in (None, ())}
    _check_shapes({"glue_role": ctx.settings.glue_role, **flags})
    return replace(known, **flags)


_ROLE = r"(arn:aws[\w-]*:iam::\d{12}:role/)?[\w+=,.@/-]+", "a role's name or ARN"
_KEY = r"arn:aws[\w-]*:kms:[\w-]+:\d{12}:(key|alias)/.+", "a KMS key's ARN"
_SHAPES = {
    "account": (r"\d{12}", "twelve digits"),
    "execution_role": _ROLE, "glue_role": _ROLE,
    "kms_key": _KEY, "environment_key": _KEY, "connection_key": _KEY,
    "topic": (r"arn:aws[\w-]*:sns:[\w-]+:\d{12}:.+", "an SNS topic's ARN"),
    "secret": (r"arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:.+", "a secret's ARN"),
}  # fmt: skip


def _check_shapes(given: Mapping[str, Any]) -> None:
    """Refuse what AWS would refuse in a policy, or take and match with nothing.

    Raises:
        ConfigError: a value is not of its kind.
    """
    for name, (shape, what) in _SHAPES.items():
        value = given.get(name)
        if value and not re.fullmatch(shape, value):
            raise ConfigError(f"--{name.replace('_', '-')} is to be {what}, not {value}")


def _lake(ctx: Context) -> dict[str, str]:
    """The bucket and the prefix of the configured lake, where it is on S3."""
    lake = ctx.settings.lake or ""
    if not lake.startswith("s3://"):
        return {}
    from airkeep.aws.s3 import split_url

    bucket, prefix = split_url(lake)
    return {"bucket": bucket, "prefix": prefix}


def _document(
    names: Names, purpose: str | None, role: str | None, *, exports: str, trust: bool
) -> dict[str, Any]:
    from airkeep.aws.bucket import bucket_settings
    from airkeep.aws.policies import PURPOSES, policies

    wanted = [p for p in PURPOSES if purpose in (None, p)]
    found = [one for one in policies(names, wanted) if role in (None, one.role)]
    if role is not None:
        if not found:
            raise click.UsageError(f"--for {purpose} asks nothing of --role {role}")
        return (found[0].trust() or {}) if trust else found[0].document()
    settings = bucket_settings(names.bucket, exports=exports, kms_key=names.kms_key)
    if purpose == "bucket":
        return settings
    documents: dict[str, Any] = {p: {} for p in wanted}
    for one in found:
        documents[one.purpose][one.role] = _told(one)
    return documents[purpose] if purpose else {**documents, "bucket": settings}


def _told(policy: Policy) -> dict[str, Any]:
    trust = policy.trust()
    return {"policy": policy.document(), **({"trust": trust} if trust else {})}


_FLAG_OF = {"DAGS_BUCKET": "dags-bucket", "EXECUTION_ROLE": "execution-role",
            "GLUE_ROLE": "glue-role"}  # fmt: skip
_DESCRIBED = ("ACCOUNT", "REGION", "DAGS_BUCKET", "EXECUTION_ROLE")


def _check(ctx: Context, document: dict[str, Any], *, strict: bool, describe: bool) -> None:
    from airkeep.aws.policy import placeholders

    missing = placeholders(document)
    told = [name for name in missing if name in _DESCRIBED and not describe]
    by_mwaa = f"; --describe tells {_flags(told)}" if told else ""
    if missing and strict:
        raise ConfigError(f"placeholders would be left: give {_flags(missing)}{by_mwaa}")
    if missing:
        ctx.output.note(f"placeholders are left, for {_flags(missing)}{by_mwaa}")


def _flags(names: Iterable[str]) -> str:
    return ", ".join(f"--{_FLAG_OF.get(name, name.lower())}" for name in names)


def _exports(ctx: Context, given: str | None, names: Names, prefix: str | None) -> str:
    """The prefix that expires; where the lake is not known it may be the ready DAGs'."""
    from airkeep.aws.bucket import EXPIRE_DAYS, READY, covers

    lake = names.prefix if prefix is not None or _lake(ctx) else READY
    csv = f"{lake.strip('/')}/csv".lstrip("/")
    exports = csv if given is None else given
    if covers(exports, lake):
        raise ConfigError(
            f"the lifecycle of {exports}/ would take the snapshots of the lake {lake}/, too: none "
            f"could be restored after {EXPIRE_DAYS} days. Give --exports {csv}, or the lake's "
            f"--prefix if it is another"
        )
    return exports
