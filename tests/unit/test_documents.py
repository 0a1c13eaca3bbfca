"""Manifests by the standard library alone, beside msgspec's."""

from __future__ import annotations

import pytest

from airkeep.errors import ManifestError, NewerFormatError
from airkeep.snapshot.documents import manifest_of
from airkeep.snapshot.manifest import decode_manifest, encode
from fake_lake import make_manifest, newer_format, snapshot_name


def test_a_manifest_is_the_same_whoever_reads_it() -> None:
    full = make_manifest(snapshot_name(1))
    for manifest in (full, make_manifest(snapshot_name(0), parent=full, complete=False)):
        data = encode(manifest)
        assert manifest_of(data.decode(), "m") == decode_manifest(data, "m") == manifest


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": 1}', '{"format": "1"}'])
def test_what_is_no_manifest_is_said(text: str) -> None:
    with pytest.raises(ManifestError, match="m is not a manifest"):
        manifest_of(text, "m")


def test_a_newer_manifest_is_refused() -> None:
    with pytest.raises(NewerFormatError):
        manifest_of(newer_format(make_manifest(snapshot_name(0))).decode(), "m")
