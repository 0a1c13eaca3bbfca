"""A Glue that says what a test tells it, over HTTP: refusals and states that no emulator has."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from told_http import Answer, Asked, told_http

VARIABLES = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
JSON = {"Content-Type": "application/x-amz-json-1.1"}


@contextlib.contextmanager
def told_glue(replies: Mapping[str, list[dict[str, Any]]]) -> Iterator[dict[str, str]]:
    """The variables of such a Glue.

    Args:
        replies: by call what is answered, one after the other, the last one for ever.
    """

    def answer(asked: Asked) -> Answer:
        left = replies[asked.headers["X-Amz-Target"].removeprefix("AWSGlue.")]
        return Answer(
            body=json.dumps(left.pop(0) if len(left) > 1 else left[0]).encode(), headers=JSON
        )

    with told_http(answer) as url:
        yield {**VARIABLES, "AWS_ENDPOINT_URL_GLUE": url}
