"""What ministack's Glue lacks, put before it: UpdateConnection, as a delete and a create."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_TARGET = "X-Amz-Target"
_PASSED = ("Content-Type", "Authorization", "X-Amz-Date", "X-Amz-Security-Token")


@contextlib.contextmanager
def whole_glue(endpoint: str) -> Iterator[str]:
    """The URL of a Glue that updates connections too; the rest goes on to `endpoint`."""

    def ask(target: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        request = urllib.request.Request(endpoint, body, {**headers, _TARGET: target})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            passed = {name: self.headers[name] for name in _PASSED if self.headers[name]}
            target = self.headers[_TARGET]
            if target == "AWSGlue.UpdateConnection":
                asked: dict[str, Any] = json.loads(body)
                gone = json.dumps({"ConnectionName": asked["Name"]}).encode()
                status, data = ask("AWSGlue.DeleteConnection", gone, passed)
                if status == 200:
                    made = json.dumps({"ConnectionInput": asked["ConnectionInput"]}).encode()
                    status, data = ask("AWSGlue.CreateConnection", made, passed)
            else:
                status, data = ask(target, body, passed)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            """Nothing on the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
