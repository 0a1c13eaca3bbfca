"""A real S3 server for tests: SeaweedFS on 127.0.0.1, one a session.

    pytest_plugins = ["s3_server"]            # in a conftest.py, or import the fixture

    def test_something(s3_server):
        lake = open_store(s3_server.new_lake_url(), options=s3_server.options)
        subprocess.run([...], env=s3_server.environ())

The server is started when the first test asks for it, with its own keys, its own free
ports and a folder of its own, and is stopped by its process id. Its telemetry is off, and
`AWS_*` is kept from it: it would take those keys as an administrator's.

Where it differs from S3 (4.48): an emptied folder is listed for a few seconds more, a
backslash becomes a slash, and the condition on completing a multipart upload is not kept
under a race (that on a PUT and on a copy is): hence `CONDITIONAL_COPY`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ACCESS_KEY = "airkeep-tests"
SECRET_KEY = "not-a-secret/only+for=tests"
CONDITIONAL_COPY = {"copy_if_not_exists": "header:if-none-match:*"}
START_TIMEOUT_S = 60.0
_CLOUDS = ("AWS_", "AZURE_", "GOOGLE_")


@dataclass(frozen=True)
class S3Server:
    """A running server; every bucket in it is ours."""

    endpoint: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = "us-east-1"

    @property
    def options(self) -> dict[str, str]:
        """What `open_store(url, options=...)` needs to reach this server."""
        return {
            "aws_endpoint_url": self.endpoint,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "aws_region": self.region,
        }

    @property
    def variables(self) -> dict[str, str]:
        """The same as environment variables."""
        return {name.upper(): value for name, value in self.options.items()}

    def environ(self) -> dict[str, str]:
        """The process's own environment, with these variables for its `AWS_*`."""
        return without_clouds(os.environ) | self.variables

    def client(self) -> Any:
        """A botocore client: another reader than the one under test."""
        import botocore.session
        from botocore.config import Config

        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}),
        )

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"airkeep-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    def new_lake_url(self, prefix: str = "lake") -> str:
        """An `s3://` URL in a bucket of its own."""
        return f"s3://{self.new_bucket()}/{prefix}".rstrip("/")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """SeaweedFS for the whole session."""
    with running_s3_server() as server:
        yield server


@contextlib.contextmanager
def running_s3_server() -> Iterator[S3Server]:
    """Start a server, wait until it answers, and stop it afterwards.

    Ports are free when they are chosen and may be taken a moment later by another test
    run on this machine, so a start that fails is tried again with others.
    """
    folder = Path(tempfile.mkdtemp(prefix="airkeep-s3-"))
    try:
        process, server = _start(folder)
        try:
            yield server
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def without_clouds(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without anything that a cloud client would pick up."""
    return {k: v for k, v in environ.items() if not k.upper().startswith(_CLOUDS)}


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on right now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _start(folder: Path, attempts: int = 3) -> tuple[subprocess.Popen[bytes], S3Server]:
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"identities": [_ADMIN]}))
    log = folder / "log"
    for _ in range(attempts):
        ports = free_ports(8)
        data = folder / f"data-{ports[0]}"
        data.mkdir()
        with log.open("wb") as out:
            process = subprocess.Popen(
                _command(data, keys, ports),
                env=without_clouds(os.environ)
                | {"WEED_S3_SSE_KEY": "a key for encryption at rest"},
                cwd=folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        server = S3Server(f"http://127.0.0.1:{ports[6]}")
        if _answers(process, server):
            return process, server
        _stop(process)
    tail = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"SeaweedFS did not start in {attempts} attempts:\n{tail}")


_ADMIN = {
    "name": "tests",
    "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
}


def _command(data: Path, keys: Path, ports: Sequence[int]) -> list[str]:
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = ports
    weed = Path(sys.executable).with_name("weed")
    return [
        str(weed if weed.exists() else shutil.which("weed") or "weed"),
        "server",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        f"-master.port={master}",
        f"-master.port.grpc={master_grpc}",
        "-master.electionTimeout=1s",
        "-master.volumeSizeLimitMB=1024",
        f"-volume.port={volume}",
        f"-volume.port.grpc={volume_grpc}",
        "-volume.max=512",  # each bucket takes a few volumes, a session has dozens of buckets
        "-volume.preStopSeconds=0",
        "-filer",
        f"-filer.port={filer}",
        f"-filer.port.grpc={filer_grpc}",
        f"-filer.localSocket={data}/filer.sock",
        "-s3",
        f"-s3.port={s3}",
        f"-s3.port.grpc={s3_grpc}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={keys}",
        f"-s3.localSocket={data}/s3.sock",
        "-s3.autoCreateBucket=false",  # a missing bucket is an error, as it is on S3
    ]


def _answers(process: subprocess.Popen[bytes], server: S3Server) -> bool:
    """Whether a bucket can be made, an object put in it and read back, in time."""
    deadline = time.monotonic() + START_TIMEOUT_S
    client = server.client()
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.create_bucket(Bucket="airkeep-ready")
            client.put_object(Bucket="airkeep-ready", Key="ready", Body=b"ready")
        except Exception:  # noqa: BLE001 - botocore's errors have no common root; the deadline ends it
            time.sleep(0.2)
        else:
            return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # asked politely it takes 15 s to say good-bye to itself; its data go anyway
    process.wait()
