"""What is written becomes a new file, never half of one, with the mode that `open` would give it.

Where the file system has hard links the file is there whole or not at all. Where it has none, the
name is kept by an empty file before the whole takes its place, so that no other's file is replaced;
a process that is killed in between leaves the empty file, which is to be deleted by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from airkeep.errors import ConfigError
from airkeep.store.failure import explain_os


def check_new(output: Path) -> None:
    """Whether a file can be made there, said before the work and not after it.

    Raises:
        ConfigError: the file is there already, its folder is not, or takes no file.
    """
    if str(output) == "-":
        raise ConfigError("- would be a file of that name, not standard output: name a file")
    try:
        output.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _refused(output, error) from None
    else:
        raise _taken(output)
    if not output.parent.is_dir():
        raise ConfigError(f"there is no folder {output.parent}: make it, or name another file")
    try:
        with _part(output):
            pass
    except OSError as error:
        raise _refused(output, error) from None


def write_new(output: Path, content: bytes) -> None:
    """Write a file that is not there.

    Raises:
        ConfigError: it is there already.
        StoreError: it cannot be written, the disk is full for example.
    """
    with new_file(output) as part:
        part.write_bytes(content)


@contextmanager
def new_file(output: Path) -> Iterator[Path]:
    """An empty file to fill, which is `output` when all went well and nothing when it did not.

    Raises:
        ConfigError: it is there already.
        StoreError: it cannot be written, the disk is full for example.
    """
    try:
        with _part(output) as part:
            yield part
            _take_name(part, output)
    except FileExistsError:
        raise _taken(output) from None
    except OSError as error:
        raise explain_os(error, str(output)) from None


@contextmanager
def _part(output: Path) -> Iterator[Path]:
    """An empty file beside it, gone afterwards."""
    part = output.with_name(f".airkeep-{uuid4().hex}")
    part.touch(exist_ok=False)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _take_name(part: Path, output: Path) -> None:
    """Name the file, if no other has its name; without hard links an empty one keeps it first."""
    try:
        os.link(part, output)
    except FileExistsError:
        raise
    except OSError:  # file systems without hard links do not agree on what they say
        output.touch(exist_ok=False)
        try:
            part.replace(output)
        except OSError:
            output.unlink()
            raise


def _taken(output: Path) -> ConfigError:
    return ConfigError(f"{output} is there already: name a new file")


def _refused(output: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{output} cannot be made: {error.strerror}; name a file in a folder that you can write to"
    )
