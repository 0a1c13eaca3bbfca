"""Try a snapshot's secrets before a restore, or when a dry run asks whether it would work.

Every value is opened, the target waits for nothing meanwhile: it holds no lock of ours yet. What
does not open is named, all of it, and nothing has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airkeep.database.limits import ReadLimits
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import Manifest, TableEntry
from airkeep.snapshot.read import SnapshotReader
from airkeep.snapshot.seal import SecretsBack
from airkeep.tables.secrets import Secret, secrets_of

_EXAMPLES = 3


def held_by(entry: TableEntry, manifest: Manifest) -> tuple[Secret, ...]:
    """The secrets of a table, which Airflow keeps in its own schema only."""
    if entry.schema != manifest.main_schema:
        return ()
    return secrets_of(entry.name, [c.name for c in entry.columns])


def try_secrets(
    snapshot: Snapshot,
    entries: Sequence[TableEntry],
    back: SecretsBack,
    *,
    folder: Path,
    limits: ReadLimits,
) -> tuple[str, ...]:
    """Open all that has to be opened.

    Returns:
        What people should know: kept values that the target's key does not open.

    Raises:
        DecryptError: values that no given key opens, by name.
        MissingKeyError: a key is needed and was not given.
    """
    if not back.has_questions:
        return ()
    with SnapshotReader(
        snapshot, folder=folder, memory_bytes=limits.memory_bytes, threads=limits.threads
    ) as reader:
        for entry in entries:
            if secrets := held_by(entry, snapshot.manifest):
                for batch in reader.batches(entry.label):
                    back.treat(batch, entry.label, secrets)
    back.check_failures()
    if not back.foreign:
        return ()
    shown = ", ".join(back.foreign[:_EXAMPLES]) + (", ..." if back.foreign[_EXAMPLES:] else "")
    return (
        f"{len(back.foreign)} values do not open with the target's key ({shown}): its Airflow will "
        f"not read them. Give the key that they have, AIRKEEP_SOURCE_FERNET_KEY",
    )
