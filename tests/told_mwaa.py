"""An MWAA that says what a test tells it, over HTTP: states and refusals that no emulator has."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any]]


@dataclass
class ToldMwaa:
    """What it will say, one after the other, the last one for ever; and what it was asked."""

    endpoint: str = ""
    environments: list[dict[str, Any] | int] = field(default_factory=list)
    rest: list[Reply] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, str, Any]:
        self.asked.append((method, path, body))
        if path.startswith("/restapi/"):
            status, reply = _next(self.rest)
            told = {"RestApiStatusCode": status, "RestApiResponse": reply}
            return (400, "RestApiClientException", told) if status >= 400 else (200, "", told)
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

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            status, error, document = told.answer(self.command, self.path, body)
            data = json.dumps(document).encode()
            self.send_response(status)
            if error:
                self.send_header("x-amzn-ErrorType", error)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            """Nothing on the tests' output."""

    for method in ("POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.do_GET)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    told.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
