"""What an error of AWS means: whether another look may get an answer."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from airkeep.aws.session import explained
from airkeep.errors import AwsError, AwsUnavailableError


@pytest.mark.parametrize(
    ("code", "status", "again"),
    [
        ("SlowDown", 503, True),
        ("RequestLimitExceeded", 400, True),
        ("ThrottledException", 400, True),
        ("RequestTimeout", 400, True),
        ("OperationTimeoutException", 400, True),
        ("ConcurrentRunsExceededException", 400, True),
        ("InternalError", 500, True),
        ("503", 503, True),
        ("NewWord", 429, True),
        ("ValidationException", 400, False),
        ("EntityNotFoundException", 400, False),
    ],
)
def test_what_may_be_tried_again_is_known_by_code_or_status(
    code: str, status: int, again: bool
) -> None:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(AwsError) as told, explained("looking"):
        raise ClientError(answer, "Look")
    assert isinstance(told.value, AwsUnavailableError) == again
