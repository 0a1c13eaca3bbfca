"""What a failure is called: obstore's long words in, one of ours out."""

from __future__ import annotations

import errno
import os

import pytest
from obstore import exceptions as obs

from airkeep.errors import (
    AlreadySavedError,
    DiskFullError,
    NotFoundError,
    StoreAccessError,
    StoreError,
    UnavailableError,
)
from airkeep.store.failure import explain, explain_os

SECRET = "X-Amz-Signature=hunter2"


def s3(status: int, code: str = "") -> str:
    """An answer as obstore tells it, with everything that must not come out."""
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>" if code else ""
    return (
        f"Generic S3 error: Error performing PUT https://s3.eu-west-1.amazonaws.com/bucket/a?{SECRET}"
        f" in 1ms - Server returned non-2xx status code: {status} Oh: {body}\n\nDebug source:\n..."
    )


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (FileNotFoundError(s3(404, "NoSuchKey")), NotFoundError, "a is not in s3://bucket/x"),
        (FileNotFoundError(s3(404, "NoSuchBucket")), StoreAccessError, "bucket does not exist"),
        (obs.GenericError(s3(404, "NoSuchBucket")), StoreAccessError, "bucket does not exist"),
        (obs.AlreadyExistsError(s3(412, "PreconditionFailed")), AlreadySavedError, "already"),
        (obs.AlreadyExistsError(s3(409, "BlobAlreadyExists")), AlreadySavedError, "already"),
        (obs.AlreadyExistsError(s3(409, "ConditionalRequestConflict")), UnavailableError, "409"),
        (obs.GenericError(s3(503, "SlowDown")), UnavailableError, "503 SlowDown"),
        (obs.GenericError(s3(500)), UnavailableError, r"\(500\)"),
        (obs.GenericError(s3(429)), UnavailableError, r"\(429\)"),
        (obs.GenericError(s3(400, "RequestTimeout")), UnavailableError, "RequestTimeout"),
        (obs.PermissionDeniedError(s3(403, "AccessDenied")), StoreAccessError, "s3:ListBucket"),
        (obs.UnauthenticatedError(s3(401)), StoreAccessError, "check the credentials"),
        (obs.GenericError(s3(403, "AccessDenied")), StoreAccessError, "check the credentials"),
        (obs.GenericError(s3(400, "ExpiredToken")), StoreAccessError, "get new credentials"),
        (obs.GenericError(s3(400, "KMS.NotFoundException")), StoreAccessError, "encryption"),
        (obs.GenericError(s3(301, "PermanentRedirect")), StoreAccessError, "AWS_REGION"),
        (obs.GenericError(s3(301)), StoreAccessError, "AWS_REGION"),
        (obs.GenericError(s3(403, "RequestTimeTooSkewed")), StoreAccessError, "clock is wrong"),
        (obs.GenericError(s3(400, "EntityTooLarge")), StoreError, "400 EntityTooLarge"),
        (obs.GenericError("HTTP error: error sending request"), UnavailableError, "no answer"),
        (obs.GenericError("Missing SecretAccessKey"), StoreAccessError, "no credentials"),
        (obs.GenericError("something new"), StoreError, "GenericError"),
    ],
)
def test_an_answer_has_one_name_and_one_line(
    error: Exception, kind: type[StoreError], words: str
) -> None:
    found = explain(error, path="a", url="s3://bucket/x", bucket="bucket")
    assert type(found) is kind
    with pytest.raises(kind, match=words):
        raise found
    assert "\n" not in str(found)
    assert "hunter2" not in str(found)
    assert "https://" not in str(found)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("PUT http://169.254.169.254/latest/api/token in 1s - HTTP error: x", StoreAccessError),
        ("GET http://169.254.170.2/v2/x in 1s - HTTP error: x", UnavailableError),
        ("GET http://169.254.170.2/v2/x in 1s - status code: 403 Forbidden", StoreAccessError),
        ("GET http://169.254.170.2/v2/x in 1s - status code: 500 Oh", UnavailableError),
    ],
)
def test_a_request_for_credentials_is_told_from_one_to_the_bucket(
    said: str, kind: type[StoreError]
) -> None:
    error = obs.GenericError(f"Error performing {said}")
    assert type(explain(error, path="a", url="s3://bucket/x", bucket="bucket")) is kind


@pytest.mark.parametrize("bucket", ["latest", "api"])
def test_a_bucket_named_like_a_word_of_ec2s_own_address_hides_no_missing_role(bucket: str) -> None:
    said = "Error performing PUT http://169.254.169.254/latest/api/token in 1s - HTTP error: x"
    found = explain(obs.GenericError(said), path="a", url=f"s3://{bucket}", bucket=bucket)
    assert type(found) is StoreAccessError


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EFBIG, DiskFullError),
        (errno.EACCES, StoreAccessError),
        (errno.EROFS, StoreAccessError),
        (errno.ENOTDIR, StoreAccessError),
        (errno.EIO, UnavailableError),
        (errno.ENAMETOOLONG, StoreError),
    ],
)
def test_what_the_operating_system_says_has_a_name_too(number: int, kind: type[StoreError]) -> None:
    found = explain_os(OSError(number, "whatever"), "/lake/a")
    assert type(found) is kind
    assert os.strerror(number) in str(found)
    assert "/lake/a" in str(found)


@pytest.mark.parametrize(
    ("url", "way"),
    [
        ("s3://bucket/x", "aws configure export-credentials"),
        ("gs://bucket/x", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://bucket/x", "AZURE_STORAGE_ACCOUNT_KEY"),
    ],
)
def test_where_no_credentials_were_found_the_clouds_own_way_is_told(url: str, way: str) -> None:
    error = obs.GenericError("Error performing GET http://169.254.169.254/a in 1s - HTTP error: x")
    said = str(explain(error, path="a", url=url, bucket="bucket"))
    assert "no credentials were found" in said
    assert way in said


def test_a_bucket_is_known_in_a_request_that_encodes_its_name() -> None:
    asked = "Error performing GET https://host/my%2Dbucket?list-type=2 in 1ms - status code: 404 No"
    error = FileNotFoundError(asked)
    assert isinstance(
        explain(error, path="a", url="gs://my-bucket", bucket="my-bucket"), NotFoundError
    )
