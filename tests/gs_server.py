"""Google Cloud Storage's XML API for tests, by the S3 server that the tests have anyway.

No server of a package index speaks what obstore says to Google (fake-gcs-server 1.54 refuses a PUT
of the XML API with "invalid uploadType", gcp-storage-emulator has no listing and no condition). Its
XML API is S3's in other words, and those are all that is put into S3's here:

    x-goog-if-generation-match: 0       If-None-Match: *
    x-goog-copy-source                  x-amz-copy-source
    Authorization: Bearer ...           AWS's signature
    404 for the DELETE of nothing       204

So it shows that every request carries its condition and what becomes of the answers; not that
Google keeps the condition, which its documentation promises.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from s3_server import S3Server, without_clouds

TOKEN = "airkeep-tests"
CONDITION, COPY = "x-goog-if-generation-match", "x-goog-copy-source"
_SAME = ("content-type", "range")
_HOP = ("connection", "content-length", "transfer-encoding")
_DENIED = b"<Error><Code>AuthenticationRequired</Code></Error>"


@dataclass(frozen=True)
class GsServer:
    """A running server, with the buckets of the S3 server behind it."""

    endpoint: str
    behind: S3Server

    @property
    def options(self) -> dict[str, str]:
        """What `open_store(url, options=...)` needs to reach this server."""
        return {"google_base_url": self.endpoint, "google_bearer_token": TOKEN}

    def environ(self) -> dict[str, str]:
        """The process's own environment, with these as variables."""
        own = {name.upper(): value for name, value in self.options.items()}
        return without_clouds(os.environ) | own

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        return self.behind.new_bucket()


@pytest.fixture(scope="session")
def gs_server(s3_server: S3Server) -> Iterator[GsServer]:
    """The translation, for the whole session."""

    class Handler(Translator):
        behind = s3_server

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield GsServer(f"http://127.0.0.1:{listener.server_port}", s3_server)
        listener.shutdown()


class Translator(BaseHTTPRequestHandler):
    """One connection of a client: each request goes on to S3, and its answer back."""

    behind: S3Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._answer(401, {}, _DENIED)
        elif self.command == "DELETE" and self._ask("HEAD", b"")[0] == 404:
            self._answer(*self._ask("GET", b""))
        else:
            self._answer(*self._ask(self.command, body))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_request  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _ask(self, method: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        target = _quoted(self.path)
        server = http.client.HTTPConnection(self.behind.endpoint.partition("//")[2], timeout=60)
        with contextlib.closing(server):
            server.request(method, target, body, _signed(self.behind, method, target, self._said()))
            answer = server.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def _said(self) -> dict[str, str]:
        said = {name: self.headers[name] for name in _SAME if name in self.headers}
        if CONDITION in self.headers:
            assert self.headers[CONDITION] == "0"
            said["if-none-match"] = "*"
        if COPY in self.headers:
            said["x-amz-copy-source"] = _quoted(self.headers[COPY])
        return said

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _quoted(target: str) -> str:
    """The same target as AWS signs it: obstore encodes slashes, and spaces as `+`, for Google."""
    path, mark, query = target.partition("?")
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    asked = urllib.parse.urlencode(pairs, safe="~", quote_via=urllib.parse.quote)
    return urllib.parse.quote(urllib.parse.unquote(path), safe="/~") + mark + asked


def _signed(server: S3Server, method: str, target: str, headers: dict[str, str]) -> dict[str, str]:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(method, server.endpoint + target, headers)
    request.context["payload_signing_enabled"] = False
    keys = Credentials(server.access_key, server.secret_key)
    S3SigV4Auth(keys, "s3", server.region).add_auth(request)
    return dict(request.headers.items())
