"""Whether a snapshot's secrets open once its environment is gone: each of them is tried."""

from __future__ import annotations

from pathlib import Path

from airkeep.database.limits import ReadLimits
from airkeep.errors import DecryptError
from airkeep.restore.secrets import try_secrets
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.seal import ARCHIVE_KEY, TARGET_KEY, SecretsBack, open_keyring


def unopened(
    snapshot: Snapshot,
    *,
    archive_key: str | None,
    fernet_key: str | None,
    spool: Path | None = None,
) -> tuple[str, ...]:
    """The names of secrets that do not open.

    Args:
        archive_key: for what is sealed; without it nothing of that opens.
        fernet_key: for what is kept; it must outlive the environment.
    """
    from cryptography.fernet import Fernet

    mode = snapshot.manifest.secrets.mode
    # A key that opens nothing: every sealed value is named, as with a wrong one. And sealed values
    # are encrypted anew on their way back: for the trial any target is as good.
    archive = archive_key or Fernet.generate_key().decode()
    target = fernet_key or Fernet.generate_key().decode()
    back = SecretsBack(
        mode,
        open_keyring(archive, variable=ARCHIVE_KEY),
        open_keyring(target, variable=TARGET_KEY),
    )
    with private_folder(spool) as folder:
        try:
            try_secrets(
                snapshot, snapshot.manifest.tables, back, folder=folder, limits=ReadLimits()
            )
        except DecryptError as error:
            return error.names
    return tuple(back.foreign)
