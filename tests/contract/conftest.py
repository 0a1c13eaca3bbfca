"""The stores under contract, and what breaks the way to one of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from airkeep.errors import UnavailableError
from airkeep.store import Retry, Store, open_store
from azure_server import AzureServer
from contract.places import MULTIPART_BYTES, QUICK, Microburst, Place
from contract.proxy import Proxy, running_proxy
from s3_server import CONDITIONAL_COPY, S3Server, free_ports, without_clouds


@pytest.fixture(autouse=True)
def no_cloud_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have keys and regions set; obstore would find them."""
    for name in os.environ.keys() - without_clouds(os.environ).keys():
        monkeypatch.delenv(name)


@pytest.fixture(params=["memory", "folder", "s3", "gs", "az"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return _place(request, tmp_path, options={})


@pytest.fixture(params=["memory", "folder", "s3", "gs", "az"])
def racing_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place where large files, too, may be raced for (see `s3_server.py`)."""
    return _place(request, tmp_path, options=CONDITIONAL_COPY)


def _place(request: pytest.FixtureRequest, tmp_path: Path, *, options: dict[str, str]) -> Place:
    if request.param == "memory":
        memory = open_store("memory://", multipart_bytes=MULTIPART_BYTES)
        return Place("memory", lambda: memory)
    if request.param == "folder":
        folder = str(tmp_path / "a lake / Überblick")
        return Place("folder", lambda: open_store(folder))
    kind = str(request.param)
    server, bucket = _SERVERS[kind]
    url = f"{kind}://{request.getfixturevalue(bucket)}/a lake/{uuid.uuid4().hex}/Überblick"
    options = {**request.getfixturevalue(server).options, **(options if kind == "s3" else {})}
    return Place(kind, lambda: open_store(url, options=options, multipart_bytes=MULTIPART_BYTES))


_SERVERS = {
    "s3": ("s3_server", "bucket"),
    "gs": ("gs_server", "bucket"),
    "az": ("azure_server", "container"),
}


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()


@pytest.fixture(scope="session")
def bucket(s3_server: S3Server) -> str:
    """One bucket for all; each test has its own prefix in it."""
    return s3_server.new_bucket()


@pytest.fixture(scope="session")
def container(azure_server: AzureServer) -> str:
    """One container for all; each test has its own prefix in it."""
    return azure_server.new_container()


@pytest.fixture
def s3_url(bucket: str) -> str:
    return f"s3://{bucket}/{uuid.uuid4().hex}"


@pytest.fixture
def s3(s3_server: S3Server, s3_url: str) -> Store:
    """The undisturbed way to the bytes that the disturbed ways below lead to."""
    return open_store(s3_url, options=s3_server.options, multipart_bytes=MULTIPART_BYTES)


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    with running_proxy(s3_server.endpoint) as running:
        yield running


@pytest.fixture
def s3_by_proxy(s3_server: S3Server, s3_url: str, proxy: Proxy) -> Store:
    options = {**s3_server.options, "aws_endpoint_url": proxy.endpoint}
    return open_store(s3_url, options=options, retry=QUICK, multipart_bytes=MULTIPART_BYTES)


@pytest.fixture(scope="session")
def running_microburst(s3_server: S3Server) -> Iterator[Microburst]:
    [port] = free_ports(1)
    process = subprocess.Popen(
        [
            *(str(Path(sys.executable).with_name("microburst")), "--resign"),
            *("--upstream", s3_server.endpoint, "--port", str(port)),
        ],
        env=s3_server.environ(),  # it signs anew: its Host is not the one that was signed
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    running = Microburst(f"http://127.0.0.1:{port}")
    try:
        _wait_for(running)
        _have_it_refuse(running, s3_server)
        yield running
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(running: Microburst, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(urllib.error.URLError):
            running.clear()
            return
        if time.monotonic() > deadline:
            raise TimeoutError("microburst did not start")
        time.sleep(0.1)


def _have_it_refuse(running: Microburst, server: S3Server) -> None:
    """Once, for nobody: its first refusal takes seconds (20 on a busy machine).

    QUICK's whole time would run out over it.
    """
    running.rules({"service": "s3", "error": {"code": "SlowDown", "status": 503}})
    options = {**server.options, "aws_endpoint_url": running.endpoint}
    with pytest.raises(UnavailableError):
        open_store("s3://bucket", options=options, retry=Retry(attempts=1)).load("a")
    running.clear()


@pytest.fixture
def microburst(running_microburst: Microburst) -> Iterator[Microburst]:
    yield running_microburst
    running_microburst.clear()


@pytest.fixture
def s3_by_microburst(s3_server: S3Server, s3_url: str, microburst: Microburst) -> Store:
    options = {**s3_server.options, "aws_endpoint_url": microburst.endpoint}
    return open_store(s3_url, options=options, retry=QUICK, multipart_bytes=MULTIPART_BYTES)
