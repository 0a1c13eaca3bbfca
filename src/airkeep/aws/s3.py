"""Single objects of S3 by another account's role: what versions they have.

No object is read by this: `store/` does that, faster, and with the credentials of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airkeep.aws.session import HERE, AwsPlace, client, explained
from airkeep.errors import ConfigError

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)
_ABSENT = ("404", "NoSuchKey", "NotFound")
_NO_VERSION = (*_ABSENT, "400", "405", "NoSuchVersion")  # no version's id; a delete marker


@dataclass(frozen=True)
class ObjectVersion:
    """One object as it is now.

    Attributes:
        version: None in a bucket that keeps no versions.
    """

    version: str | None
    etag: str
    bytes: int
    modified: datetime


def split_url(url: str) -> tuple[str, str]:
    """`s3://bucket/a/b` -> `bucket`, `a/b`.

    Raises:
        ConfigError: it is no such URL.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError(f"{url}: expected s3://bucket/prefix")
    return found[1], found[2] or ""


def object_version(
    bucket: str, key: str, place: AwsPlace = HERE, *, version: str | None = None
) -> ObjectVersion | None:
    """What an object is now, or in that version; None where there is none.

    Raises:
        AwsError: AWS refused or failed.
    """
    s3 = client("s3", place)
    with explained(f"looking at s3://{bucket}/{key}"):
        try:
            named = {"VersionId": version} if version else {}
            told = s3.head_object(Bucket=bucket, Key=key, **named)
        except s3.exceptions.ClientError as error:
            if _code(error) in (_NO_VERSION if version else _ABSENT):
                return None
            raise
    found = told.get("VersionId")
    return ObjectVersion(
        None if found in (None, "null") else str(found),
        str(told["ETag"]).strip('"'),
        int(told["ContentLength"]),
        told["LastModified"],
    )


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
