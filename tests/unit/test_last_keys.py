"""Which secrets of a snapshot would open once its environment is gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from cryptography.fernet import Fernet

from airkeep.environment.keys import unopened
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import SecretsEntry, encode
from airkeep.snapshot.names import SnapshotName
from airkeep.snapshot.seal import PREFIX
from airkeep.store.local import LocalStore
from written_lake import Written

KEY, LOST = (Fernet.generate_key().decode() for _ in range(2))


@pytest.fixture
def sealed(tmp_path: Path) -> Snapshot:
    """One variable, sealed."""
    token = Fernet(KEY).encrypt(b"a secret").decode()
    rows = {"key": ["of_ours"], "val": [f"{PREFIX}c:{token}"], "is_encrypted": [True]}
    store = LocalStore(tmp_path)
    told = Written(store).save("prod", {"variable": pa.table(rows)}, key=("key",))
    manifest = replace(told, secrets=SecretsEntry("seal"), main_schema="public")
    return Snapshot(store, SnapshotName(told.environment, told.id), encode(manifest))


def test_what_opens_with_no_key_that_is_there_is_named(sealed: Snapshot) -> None:
    assert unopened(sealed, archive_key=KEY, fernet_key=None) == ()
    for key in (LOST, None):
        [name] = unopened(sealed, archive_key=key, fernet_key=None)
        assert "of_ours" in name
