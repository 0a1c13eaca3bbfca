"""Single objects of S3 by another account's role: what versions they have, small ones whole.

A lake is not read by this: `store/` does that, faster, and with the credentials of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from airkeep.aws.session import HERE, AwsPlace, client, explained
from airkeep.aws.wait import Patience, until
from airkeep.errors import ConfigError

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)
_ABSENT = ("404", "NoSuchKey", "NotFound")
_THERE = "PreconditionFailed"
_BUSY = Patience(20, 0.5)  # until a request for the same key must have ended


@dataclass(frozen=True)
class ObjectVersion:
    """One object as it is now.

    Attributes:
        version: None in a bucket that keeps no versions.
    """

    version: str | None
    etag: str
    bytes: int


def split_url(url: str) -> tuple[str, str]:
    """`s3://bucket/a/b` -> `bucket`, `a/b`.

    Raises:
        ConfigError: it is no such URL.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError(f"{url}: expected s3://bucket/prefix")
    return found[1], found[2] or ""


def object_version(bucket: str, key: str, place: AwsPlace = HERE) -> ObjectVersion | None:
    """What an object is now; None where there is none.

    Raises:
        AwsError: AWS refused or failed.
    """
    s3 = client("s3", place)
    with explained(f"looking at s3://{bucket}/{key}"):
        try:
            told = s3.head_object(Bucket=bucket, Key=key)
        except s3.exceptions.ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise
    version = told.get("VersionId")
    return ObjectVersion(
        None if version in (None, "null") else str(version),
        str(told["ETag"]).strip('"'),
        int(told["ContentLength"]),
    )


def load_object(bucket: str, key: str, place: AwsPlace = HERE) -> bytes | None:
    """All bytes of a small object; None where there is none.

    Raises:
        AwsError: AWS refused or failed.
    """
    s3 = client("s3", place)
    with explained(f"reading s3://{bucket}/{key}"):
        try:
            body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise
    return body


def save_object(bucket: str, key: str, data: bytes, place: AwsPlace = HERE) -> bool:
    """Save a small object where there is none; False where there is another, which stays as it is.

    One of the same bytes is taken for ours: when an answer is lost, boto asks again.

    Raises:
        AwsError: AWS refused or failed.
    """
    s3 = client("s3", place)

    def is_made() -> bool:
        with explained(f"saving s3://{bucket}/{key}"):
            try:
                s3.put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
            except s3.exceptions.ClientError as error:
                if _code(error) == _THERE:
                    return False
                raise
        return True

    return until(is_made, _BUSY) or load_object(bucket, key, place) == data


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
