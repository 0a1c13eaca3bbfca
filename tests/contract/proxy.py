"""A small HTTP proxy that notes what passes and breaks connections on request.

For what a protocol-aware fault proxy (microburst) does not make: an answer that is lost
after the server has already acted, a body cut in the middle, a 500 for a deed that was
done. One request a connection; bodies are read whole, so keep them small.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Fault(Enum):
    """What happens to a request."""

    RESET_BEFORE = auto()  # the connection is reset, the server never hears of it
    RESET_AFTER = auto()  # the server acts, its answer is lost in a reset
    ERROR_AFTER = auto()  # the server acts, and the client is told 500
    CUT_BODY = auto()  # half of the answer's body, then a reset
    STALL = auto()  # no answer until the client gives up


@dataclass(frozen=True)
class Request:
    """What a client sent: its first line and its headers, in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass
class Proxy:
    """A running proxy: what it saw, and what it will do to the next requests."""

    endpoint: str
    upstream: tuple[str, int]
    seen: list[Request] = field(default_factory=list)
    _faults: list[tuple[str, str, Fault]] = field(default_factory=list)
    _deeds: list[tuple[str, str, Callable[[], object]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, method: str, fault: Fault, *, times: int = 1, target: str = "") -> None:
        """Let the next `times` requests of this method (and target text) meet the fault."""
        with self._lock:
            self._faults += [(method, target, fault)] * times

    def before(self, method: str, target: str, deed: Callable[[], object]) -> None:
        """Do something when the first such request comes, before it goes on."""
        with self._lock:
            self._deeds.append((method, target, deed))

    def forgive(self) -> None:
        """Forget the faults that no request has met."""
        with self._lock:
            self._faults.clear()

    def wait_for(self, method: str, target: str, timeout_s: float = 20) -> None:
        """Return when such a request has come."""
        deadline = time.monotonic() + timeout_s
        while not any(_is(request, method, target) for request in list(self.seen)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {method} {target} within {timeout_s} s")
            time.sleep(0.01)

    def handle(self, client: socket.socket) -> None:
        """Serve the one request of a connection."""
        with client, contextlib.suppress(OSError, http.client.HTTPException):
            head, rest = _read_head(client)
            request = _parse(head)
            body = _read_body(client, request, rest)
            fault = self._note(request)
            if fault is Fault.STALL:
                client.recv(1)
            if fault is Fault.RESET_BEFORE:
                _reset(client)
                return
            status, headers, answer = self._forward(request, head, body)
            if fault is Fault.RESET_AFTER:
                _reset(client)
                return
            if fault is Fault.ERROR_AFTER:
                status, headers = 500, {}
                answer = b"<Error><Code>InternalError</Code></Error>"
            _answer(client, request, status, headers, answer, cut=fault is Fault.CUT_BODY)

    def _note(self, request: Request) -> Fault | None:
        with self._lock:
            self.seen.append(request)
            for deed in [
                d for d in self._deeds if d[0] == request.method and d[1] in request.target
            ]:
                self._deeds.remove(deed)
                deed[2]()
            for index, (method, target, fault) in enumerate(self._faults):
                if _is(request, method, target):
                    del self._faults[index]
                    return fault
        return None

    def _forward(
        self, request: Request, head: bytes, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        with socket.create_connection(self.upstream, timeout=30) as server:
            server.sendall(head + body)
            answer = http.client.HTTPResponse(server, method=request.method)
            answer.begin()
            return answer.status, dict(answer.getheaders()), answer.read()


@contextlib.contextmanager
def running_proxy(upstream: str) -> Iterator[Proxy]:
    """A proxy on a free port of 127.0.0.1 before `upstream` (http://host:port)."""
    to = urllib.parse.urlsplit(upstream)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        host, port = listener.getsockname()
        proxy = Proxy(f"http://{host}:{port}", (to.hostname or "", to.port or 80))
        threading.Thread(target=_accept, args=(listener, proxy), daemon=True).start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)


def _is(request: Request, method: str, target: str) -> bool:
    return request.method == method and target in request.target


def _accept(listener: socket.socket, proxy: Proxy) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=proxy.handle, args=(client,), daemon=True).start()


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            raise ConnectionError
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _parse(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    return Request(method, target, {k.strip().lower(): v.strip() for k, _, v in pairs})


def _read_body(client: socket.socket, request: Request, rest: bytes) -> bytes:
    length = int(request.headers.get("content-length", "0"))
    parts, have = [rest], len(rest)
    while have < length:
        more = client.recv(1 << 20)
        if not more:
            raise ConnectionError
        parts.append(more)
        have += len(more)
    return b"".join(parts)


def _answer(
    client: socket.socket,
    request: Request,
    status: int,
    headers: dict[str, str],
    body: bytes,
    *,
    cut: bool,
) -> None:
    hop = {"transfer-encoding", "connection"}
    kept = {k: v for k, v in headers.items() if k.lower() not in hop}
    if request.method != "HEAD":
        kept = {k: v for k, v in kept.items() if k.lower() != "content-length"}
        kept["Content-Length"] = str(len(body))
    lines = [f"HTTP/1.1 {status} x", *(f"{k}: {v}" for k, v in kept.items()), "Connection: close"]
    client.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
    if cut:
        client.sendall(body[: len(body) // 2])
        _reset(client)
    elif request.method != "HEAD":
        client.sendall(body)


def _reset(client: socket.socket) -> None:
    """Close with a RST instead of a FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
