"""An S3 of one key only, whose answers are lost or late as a test says: what no emulator does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from told_http import Answer, Asked, told_http

KEY = "own"
_HEADERS = {"ETag": '"1"', "Last-Modified": "Sat, 21 Nov 2026 14:30:00 GMT"}
_EMPTY = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


class ToldS3:
    """Keeps objects; who signs with another key than `KEY` is refused.

    Attributes:
        odd: of the next requests; "conflict" stores nothing and says 409, "lost" stores and says
            500.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.objects: dict[str, bytes] = {}
        self.odd: list[str] = []

    @property
    def options(self) -> dict[str, str]:
        """What a store is told to reach it."""
        return {
            "aws_endpoint_url": self.endpoint, "aws_region": "us-east-1",
            "aws_access_key_id": KEY, "aws_secret_access_key": "s",
        }  # fmt: skip

    @property
    def variables(self) -> dict[str, str]:
        """The same for our command line."""
        return {f"AIRKEEP_STORE_{name.upper()}": value for name, value in self.options.items()}

    def answer(self, asked: Asked) -> Answer:
        if f"Credential={KEY}/" not in asked.headers["Authorization"]:
            return _error(403, "AccessDenied")
        path = asked.path.partition("?")[0]
        if "list-type=" in asked.path:
            return Answer(body=_EMPTY)
        if asked.method == "GET":
            there = self.objects.get(path)
            if there is None:
                return _error(404, "NoSuchKey")
            return Answer(body=there, headers=_HEADERS)
        assert asked.headers["If-None-Match"] == "*"
        odd = self.odd.pop(0) if self.odd else ""
        if odd == "conflict":
            return _error(409, "ConditionalRequestConflict")
        if path in self.objects:
            return _error(412, "PreconditionFailed")
        self.objects[path] = asked.body
        return _error(500, "InternalError") if odd == "lost" else Answer(headers=_HEADERS)


def _error(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code></Error>".encode())


@contextlib.contextmanager
def told_s3() -> Iterator[ToldS3]:
    """Such a server, on a free port of this machine."""
    told = ToldS3()
    with told_http(told.answer) as told.endpoint:
        yield told
