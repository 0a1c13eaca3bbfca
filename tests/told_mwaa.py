"""An MWAA that says what a test tells it, over HTTP: states and refusals that no emulator has."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from told_http import Answer, Asked, told_http

JSON = {"Content-Type": "application/json"}
Reply = tuple[int, dict[str, Any]]


@dataclass
class ToldMwaa:
    """What it will say, one after the other, the last one for ever; and what it was asked.

    Attributes:
        names: of all its environments.
    """

    endpoint: str = ""
    environments: list[dict[str, Any] | int] = field(default_factory=list)
    rest: list[Reply] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, str, Any]:
        self.asked.append((method, path, body))
        if path.startswith("/restapi/"):
            status, reply = _next(self.rest)
            told = {"RestApiStatusCode": status, "RestApiResponse": reply}
            return (400, "RestApiClientException", told) if status >= 400 else (200, "", told)
        if path == "/environments":
            return 200, "", {"Environments": self.names}
        environment = _next(self.environments)
        if environment == 404:
            return 404, "ResourceNotFoundException", {"message": "no such environment"}
        if isinstance(environment, int):
            return environment, "InternalServerException", {"message": "out of order"}
        return 200, "", {"Environment": {"Name": path.rpartition("/")[2], **environment}}


def _next(left: list[Any]) -> Any:
    return left.pop(0) if len(left) > 1 else left[0]


@contextlib.contextmanager
def told_mwaa(
    environments: Sequence[dict[str, Any] | int] = (), rest: Sequence[Reply] = ()
) -> Iterator[ToldMwaa]:
    """Such a server, on a free port of this machine."""
    told = ToldMwaa(environments=list(environments), rest=list(rest))

    def answer(asked: Asked) -> Answer:
        status, error, document = told.answer(
            asked.method, asked.path, json.loads(asked.body or b"{}")
        )
        headers = {"x-amzn-ErrorType": error} if error else {}
        return Answer(status, json.dumps(document).encode(), headers | JSON)

    with told_http(answer) as told.endpoint:
        yield told
