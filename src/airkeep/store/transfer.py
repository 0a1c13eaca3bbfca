"""The local end of a transfer: a file that is sent, a file that is received."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from airkeep.errors import StoreError
from airkeep.store.failure import explain_os


def open_file(file: Path) -> BinaryIO:
    """Open a local file that is to be saved."""
    try:
        return file.open("rb")
    except OSError as error:
        raise explain_os(error, str(file)) from None


@contextlib.contextmanager
def new_file(file: Path) -> Iterator[BinaryIO]:
    """A new local file, which is gone again when what is done with it fails."""
    try:
        out = file.open("xb")
    except FileExistsError:
        raise StoreError(f"{file} exists already: expected a new file to load into") from None
    except OSError as error:
        raise explain_os(error, str(file)) from None
    try:
        with out:
            yield out
    except OSError as error:
        file.unlink(missing_ok=True)
        raise explain_os(error, str(file)) from None
    except BaseException:
        file.unlink(missing_ok=True)
        raise
