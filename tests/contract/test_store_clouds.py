"""Google Cloud Storage and Azure: what they say when they refuse, and how they are reached."""

from __future__ import annotations

import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from airkeep.store import open_store
from azure_server import AzureServer
from contract.places import MULTIPART_BYTES, QUICK, refusals
from contract.proxy import Fault, running_proxy
from gs_server import CONDITION, COPY, GsServer

CLOUDS = [("gs", "gs_server", "bucket"), ("az", "azure_server", "container")]


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large"
    file.write_bytes(b"x" * (MULTIPART_BYTES + 1))
    return file


@pytest.mark.parametrize("cloud", CLOUDS)
def test_no_bucket_is_told_by_every_method(
    request: pytest.FixtureRequest, large: Path, cloud: tuple[str, str, str]
) -> None:
    scheme, server, bucket = cloud
    options = request.getfixturevalue(server).options
    store = open_store(f"{scheme}://no-such-{bucket}/x", options=options, multipart_bytes=1000)
    for said in refusals(store, large):
        assert f"the {bucket} does not exist: make it first" in said


@pytest.mark.parametrize(
    ("cloud", "key", "role"),
    [
        (CLOUDS[0], "google_bearer_token", "Storage Object User"),
        (CLOUDS[1], "azure_storage_account_key", "Storage Blob Data Contributor"),
    ],
)
def test_no_right_is_told_with_the_clouds_own_role(
    request: pytest.FixtureRequest, large: Path, cloud: tuple[str, str, str], key: str, role: str
) -> None:
    scheme, server, bucket = cloud
    options = {**request.getfixturevalue(server).options, key: "aHVudGVyMg=="}
    url = f"{scheme}://{request.getfixturevalue(bucket)}/x"
    for said in refusals(open_store(url, options=options, multipart_bytes=1000), large):
        assert role in said
        assert "s3:" not in said
        assert "aHVudGVyMg" not in said
        assert "\n" not in said


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_environment_is_enough(
    request: pytest.FixtureRequest, cloud: tuple[str, str, str]
) -> None:
    scheme, server, bucket = cloud
    running: GsServer | AzureServer = request.getfixturevalue(server)
    url = f"{scheme}://{request.getfixturevalue(bucket)}/by environment"
    code = f"from airkeep.store import open_store; open_store({url!r}).save('a', b'by environment')"
    subprocess.run([sys.executable, "-c", code], env=running.environ(), check=True, timeout=60)
    assert open_store(url, options=running.options).load("a") == b"by environment"


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.ERROR_AFTER])
def test_a_file_whose_answer_was_lost_is_known_as_ours_again(
    azure_server: AzureServer, container: str, fault: Fault
) -> None:
    with running_proxy(azure_server.endpoint) as proxy:
        endpoint = {"azure_storage_endpoint": f"{proxy.endpoint}/devstoreaccount1"}
        url = f"az://{container}/{fault.name}"
        store = open_store(url, options={**azure_server.options, **endpoint}, retry=QUICK)
        proxy.fail("PUT", fault)
        store.save("a", b"ours")
        assert [r.method for r in proxy.seen][:2] == ["PUT", "PUT"]
        assert store.load("a") == b"ours"


def test_all_that_creates_at_google_carries_the_condition(
    gs_server: GsServer, bucket: str, large: Path
) -> None:
    with running_proxy(gs_server.endpoint) as proxy:
        options = {**gs_server.options, "google_base_url": proxy.endpoint}
        url = f"gs://{bucket}/conditions"
        store = open_store(url, options=options, multipart_bytes=MULTIPART_BYTES)
        store.save("small", b"")
        store.save_file("large", large)
    creating = {
        urllib.parse.unquote(r.target).rpartition("/")[2]: r.headers
        for r in proxy.seen
        if r.method == "PUT" and "partNumber" not in r.target
    }
    assert {path: said.get(CONDITION) for path, said in creating.items()} == {
        "small": "0",
        "large": "0",
    }
    assert COPY in creating["large"]
