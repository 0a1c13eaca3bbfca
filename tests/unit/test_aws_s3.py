"""Small objects created where there is none, by an S3 whose answers are lost or late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from airkeep.aws import s3
from airkeep.jobs import record
from airkeep.jobs.record import Record
from told_glue import VARIABLES
from told_http import Answer, Asked, told_http

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)


class OddS3:
    """Keeps objects, and answers the next requests as a test says.

    Attributes:
        odd: "conflict" stores nothing and says 409, "lost" stores and says 500.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.odd: list[str] = []

    def answer(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            there = self.objects.get(asked.path)
            return _error(404, "NoSuchKey") if there is None else Answer(body=there)
        assert asked.headers["If-None-Match"] == "*"
        odd = self.odd.pop(0) if self.odd else ""
        if odd == "conflict":
            return _error(409, "ConditionalRequestConflict")
        if asked.path in self.objects:
            return _error(412, "PreconditionFailed")
        self.objects[asked.path] = _plain(asked)
        return _error(500, "InternalError") if odd == "lost" else Answer()


def _plain(asked: Asked) -> bytes:
    """The bytes without the chunks of a checksum that is sent after them."""
    if asked.headers.get("Content-Encoding") != "aws-chunked":
        return asked.body
    size, _, rest = asked.body.partition(b"\r\n")
    return rest[: int(size, 16)]


def _error(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code></Error>".encode())


@pytest.fixture
def odd_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddS3]:
    server = OddS3()
    with told_http(server.answer) as url:
        for name, value in {**VARIABLES, "AWS_ENDPOINT_URL_S3": url}.items():
            monkeypatch.setenv(name, value)
        yield server


def test_a_conflict_is_not_an_object_and_is_tried_again(odd_s3: OddS3) -> None:
    odd_s3.odd = ["conflict", "conflict"]
    assert s3.save_object("bucket", "a", b"1")
    assert list(odd_s3.objects.values()) == [b"1"]


def test_what_is_there_after_a_lost_answer_is_ours(odd_s3: OddS3) -> None:
    odd_s3.odd = ["lost"]
    assert s3.save_object("bucket", "a", b"1")
    assert not s3.save_object("bucket", "a", b"2")


def test_whoever_did_not_hear_that_a_job_was_asked_for_has_asked_for_it(odd_s3: OddS3) -> None:
    asked = Record("s3://bucket/jobs", "t")
    odd_s3.odd = ["lost"]
    assert asked.ask("glue", "prod", ["clean"], NOW)
    assert not asked.ask("glue", "prod", ["clean"], NOW), "somebody else, at the same instant"


def test_a_result_is_not_lost_in_a_conflict(odd_s3: OddS3) -> None:
    odd_s3.odd = ["conflict"]
    url = "s3://bucket/jobs/t/result.json"
    assert record.save(url, b'{"status": 0}')
    assert record.load(url) == b'{"status": 0}'
