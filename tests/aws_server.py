"""AWS on 127.0.0.1 for tests: ministack, one a session, in its own process.

Its Athena runs a statement on DuckDB, over every file below a table's place in its own S3: it
neither knows Trino's functions nor looks at partitions. So it proves calls, names and what the
statements mean, and not that Trino takes them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from s3_server import free_ports, without_clouds

START_TIMEOUT_S = 60.0
# What Trino calls otherwise than DuckDB.
_AS_DUCKDB = {
    "TO_UNIXTIME(": "epoch(", "XXHASH64(": "md5(", "TO_UTF8(": "encode(",
    "JSON_FORMAT(": "to_json(", "DATE_PARSE(": "strptime(", "%H%i%s": "%H%M%S",
    "TO_HEX(": "hex(", "LENGTH(x.value)": "OCTET_LENGTH(x.value)",
}  # fmt: skip


def for_duckdb(statement: str) -> str:
    """A statement for Athena with DuckDB's names for what only Trino has: the emulator is one."""
    for theirs, its in _AS_DUCKDB.items():
        statement = statement.replace(theirs, its).replace(theirs.lower(), its)
    return statement


@dataclass(frozen=True)
class AwsServer:
    """A running server; everything in it is ours."""

    endpoint: str

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables with which boto and obstore reach it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",  # else MWAA is api.127.0.0.1
        }

    def client(self, service: str) -> Any:
        """A client of our own: another one than the code under test makes."""
        return _client(self.endpoint, service)

    def new_bucket(self) -> str:
        name = f"airkeep-{uuid.uuid4().hex[:12]}"
        self.client("s3").create_bucket(Bucket=name)
        return name

    def copy(self, folder: Path) -> str:
        """A lake's folder in a bucket of its own: its URL."""
        bucket, s3 = self.new_bucket(), self.client("s3")
        for file in folder.rglob("*"):
            if file.is_file():
                s3.put_object(
                    Bucket=bucket, Key=f"lake/{file.relative_to(folder)}", Body=file.read_bytes()
                )
        return f"s3://{bucket}/lake"


@cache
def _client(endpoint: str, service: str) -> Any:
    """Kept: to read EC2's model takes a second."""
    import boto3
    from botocore.config import Config

    session = boto3.session.Session("test", "test", region_name="us-east-1")
    whole = Config(inject_host_prefix=False)
    return session.client(service, endpoint_url=endpoint, config=whole)


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsServer]:
    """ministack for the whole session."""
    with running_aws_server() as server:
        yield server


@contextlib.contextmanager
def running_aws_server(more: Mapping[str, str] | None = None) -> Iterator[AwsServer]:
    """Start a server, wait until it answers, and stop it afterwards.

    Args:
        more: variables of its process, such as `AUTH=true` for policies that count.
    """
    folder = Path(tempfile.mkdtemp(prefix="airkeep-aws-"))
    [port] = free_ports(1)
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=without_clouds(os.environ)
            | {
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                "S3_DATA_DIR": str(folder / "s3"),
                "TZ": "UTC",
                "TMPDIR": str(folder),
                # For the jobs that it runs: our Python, and where AWS is.
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
                "HOME": str(folder),
            }
            | AwsServer(f"http://127.0.0.1:{port}").variables
            | dict(more or {}),
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    try:
        server = AwsServer(f"http://127.0.0.1:{port}")
        if not _answers(process, server):
            raise RuntimeError(
                f"ministack did not start:\n{log.read_text(errors='replace')[-2000:]}"
            )
        yield server
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(process: subprocess.Popen[bytes], server: AwsServer) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.endpoint}/_ministack/health", timeout=2):
                return True
        except OSError:
            time.sleep(0.2)
    return False
