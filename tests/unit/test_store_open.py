"""Which place a URL names, and which paths there can be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airkeep.errors import ConfigError, StoreError
from airkeep.store import open_store
from airkeep.store.interface import check_path, check_prefix

KEYS = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("./lake", "./lake"),
        ("/data/a lake", "/data/a lake"),
        ("file:///data/a%20lake", "file:///data/a%20lake"),
        ("memory://", "memory://"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("S3://bucket/a prefix/ü%20#?/", "s3://bucket/a prefix/ü%20#?"),
        ("s3a://bucket/x", "s3a://bucket/x"),
        ("gs://bucket/x", "gs://bucket/x"),
    ],
)
def test_a_url_opens_without_asking_anyone(url: str, shown: str) -> None:
    options = KEYS if url.lower().startswith("s3") else {}
    if url.startswith("gs"):
        options = {"skip_signature": "true"}
    assert open_store(url, options=options).url == shown


def test_azure_needs_an_account() -> None:
    account = {"azure_storage_account_name": "account", "azure_storage_account_key": "a2V5"}
    assert open_store("az://container/x", options=account).url == "az://container/x"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no lake was named"),
        ("ftp://host/x", "ftp:// is no place for a lake: expected a folder, or s3://"),
        ("https://bucket.s3.amazonaws.com/x", "https:// is no place"),
        ("file://host/share", "no host"),
        ("file://lake", "expected file:///absolute/path"),
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://bucket/a//b", "'..' part in its prefix"),
        ("s3://bucket/a/../b", "'..' part in its prefix"),
    ],
)
def test_a_url_that_names_no_place_is_told(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        open_store(url, options=KEYS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:hunter2@bucket/x",
        "s3://AKIA:slash/hunter2@bucket/x",
        "s3://AKIA:/hunter2/x@bucket/x",
        "s3:///x?X-Amz-Signature=hunter2",
        "gs://bucket/x?token=hunter2",
        "az://container/x?sv=2026&sig=a/hunter2=",
        "az://container?sig=hunter2",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="keys and options belong in the environment") as caught:
        open_store(url, options=KEYS)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("s3:/bucket", r"did you mean s3://bucket\?"),
        ("GS:/AKIA:hunter2@bucket/x", r"did you mean gs://bucket\?"),
        ("file:/data/lake", r"did you mean file:///absolute/path\?"),
    ],
)
def test_a_url_with_one_slash_makes_no_folder(url: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=meant) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("path", ["C:/lake", "./s3:/bucket", "a:b/c", "2026-11-21T14:30/lake"])
def test_a_folders_name_may_hold_a_colon(path: str) -> None:
    assert open_store(path).url == path


def test_an_option_that_is_none_is_named_without_its_value() -> None:
    with pytest.raises(ConfigError, match="aws_nonsense is no option of s3://bucket/x") as caught:
        open_store("s3://bucket/x", options={**KEYS, "aws_nonsense": "hunter2"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError, match="aws_server_side_encryption") as caught:
        open_store("s3://bucket/x", options={**KEYS, "aws_server_side_encryption": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_every_memory_is_a_new_one() -> None:
    first, second = open_store("memory://"), open_store("memory://")
    first.save("a", b"")
    assert list(second.list()) == []


def test_a_home_folder_is_found(tmp_path: Path) -> None:
    code = "from airkeep.store import open_store; open_store('~/lake').save('a', b'')"
    subprocess.run([sys.executable, "-c", code], env={"HOME": str(tmp_path)}, check=True)
    assert (tmp_path / "lake" / "a").exists()


def test_the_room_is_imported_without_obstore() -> None:
    code = "import sys, airkeep.store; sys.exit('obstore' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.text())
@example("a/../../b")
def test_a_path_that_is_taken_stays_below_its_folder(path: str) -> None:
    try:
        check_path(path)
    except StoreError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is one
        return
    top = Path("/lake")
    below = top.joinpath(path)
    assert below.is_relative_to(top)
    assert below != top
    assert ".." not in below.parts
    assert str(below) == f"/lake/{path}"
    assert check_prefix(f"{path}/") == f"{path}/"
