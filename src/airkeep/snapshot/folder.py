"""The private folder of one run: spool files, files brought from a lake, the password's file.

It is gone when the run ends, however it ends. What the operating system refuses inside it,
a full disk above all, becomes one of our errors here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from airkeep.errors import ConfigError
from airkeep.store.failure import explain_os


@contextmanager
def private_folder(spool: Path | None) -> Iterator[Path]:
    """Make the folder, and remove it with all that is in it.

    Args:
        spool: where it is made, by default where temporary files are.

    Raises:
        ConfigError: `spool` is no folder.
        StoreError: a file in it could not be made or written.
    """
    if spool is not None and not spool.is_dir():
        raise ConfigError(f"there is no folder {spool}: make it, or name another with --spool")
    try:
        temporary = TemporaryDirectory(prefix="airkeep-", dir=spool)
        try:
            with temporary as folder:
                yield Path(folder)
        finally:
            temporary.cleanup()  # again: a Ctrl-C may have broken the first one off
    except BrokenPipeError:
        raise  # of whoever is told the progress, not a file of ours
    except OSError as error:
        where = error.filename or spool or "the temporary folder"
        raise explain_os(error, f"{where} (--spool names another folder)") from None
