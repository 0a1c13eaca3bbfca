"""A store in a folder of this machine.

Not obstore's LocalStore: that one tells a full disk or a missing right only inside a
message, makes the folder when it is opened, and does not sync. Here a save is

    write to uploads/<random>, fsync  ->  link to the path (fails if taken)  ->  fsync the folder

so a killed process leaves at most a file in `uploads/`, and a file that was saved is still
whole after the power is gone: an environment may be deleted on the strength of it. The file
system must know hard links, and `uploads/` must be on the same one as the rest.

Symbolic links to files are read, links to folders are not followed (they may run in
circles), except the lake's own folder, which may be one. Names that are not UTF-8 are no
paths and are not listed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from airkeep.errors import AlreadySavedError, NotFoundError, StoreAccessError
from airkeep.store.failure import explain_os
from airkeep.store.interface import UPLOADS, Entry, check_path, check_prefix
from airkeep.store.transfer import new_file, open_file


class LocalStore:
    """`Store` in a folder, which is made at the first save."""

    def __init__(self, folder: Path, *, url: str | None = None) -> None:
        """Open the folder; nothing is read or made yet.

        Args:
            url: how the folder is called in messages, when not by its path.
        """
        self.folder = folder.absolute()
        self.url = url or str(folder)

    def save(self, path: str, data: bytes) -> None:
        def write(out: BinaryIO) -> None:
            out.write(data)

        self._create(path, write)

    def save_file(self, path: str, file: Path) -> None:
        with open_file(file) as source:

            def write(out: BinaryIO) -> None:
                shutil.copyfileobj(source, out, 1 << 20)

            self._create(path, write)

    def load(self, path: str) -> bytes:
        target = self._at(path)
        with self._told(path):
            return target.read_bytes()

    def load_range(self, path: str, start: int, length: int) -> bytes:
        target = self._at(path)
        with self._told(path), target.open("rb") as source:
            source.seek(start)
            return source.read(length)

    def load_file(self, path: str, file: Path) -> None:
        target = self._at(path)
        with self._told(path):
            source = target.open("rb")
        with source, new_file(file) as out:
            shutil.copyfileobj(source, out, 1 << 20)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        return self._walk(check_prefix(prefix))

    def folders(self, prefix: str = "") -> Sequence[str]:
        check_prefix(prefix)
        below = (e.name for e in self._scan(prefix) if e.is_dir(follow_symlinks=False))
        return sorted(name for name in below if any(self._walk(f"{prefix}{name}/")))

    def head(self, path: str) -> Entry:
        target = self._at(path)
        with self._told(path):
            found = target.stat()
        if not stat.S_ISREG(found.st_mode):
            raise NotFoundError(path, self.url)
        return _entry(path, found)

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            target = self._at(path)
            with contextlib.suppress(NotFoundError), self._told(path):
                target.unlink()
                self._drop_empty(target.parent)

    def _create(self, path: str, write: Callable[[BinaryIO], None]) -> None:
        target = self._at(path)
        upload = self.folder / UPLOADS / uuid.uuid4().hex
        try:
            if target.exists():
                raise AlreadySavedError(path, self.url)
            _make(upload.parent)
            with upload.open("xb") as out:
                write(out)
                out.flush()
                os.fsync(out.fileno())
            self._link(upload, target, path)
        except OSError as error:
            raise explain_os(error, f"{self.url}/{path}") from None
        finally:
            with contextlib.suppress(OSError):
                upload.unlink(missing_ok=True)

    def _link(self, upload: Path, target: Path, path: str) -> None:
        try:
            _link_in_new_folder(upload, target)
        except FileExistsError:
            raise AlreadySavedError(path, self.url) from None
        except OSError as error:
            if error.errno in {errno.EXDEV, errno.ENOTSUP, errno.EPERM, errno.EMLINK}:
                raise StoreAccessError(
                    f"{self.url} cannot be used ({os.strerror(error.errno)}): expected one "
                    f"file system that knows hard links, for {path} and {UPLOADS} alike"
                ) from None
            raise
        with contextlib.suppress(FileNotFoundError):  # deleted already, with its folder
            _sync_folder(target.parent)

    def _drop_empty(self, folder: Path) -> None:
        """Remove folders that a delete has emptied, but the lake's own and that of uploads.

        A save finds the latter and opens its file there a moment later.
        """
        with contextlib.suppress(OSError):
            while folder not in {self.folder, self.folder / UPLOADS}:
                folder.rmdir()
                folder = folder.parent

    def _walk(self, prefix: str) -> Iterator[Entry]:
        for found in self._scan(prefix):
            path = prefix + found.name
            if found.is_dir(follow_symlinks=False):
                yield from self._walk(path + "/")
                continue
            with contextlib.suppress(NotFoundError), self._told(path):
                if found.is_file():
                    yield _entry(path, found.stat())

    def _scan(self, prefix: str) -> Sequence[os.DirEntry[str]]:
        """What is directly in a folder; a folder that is not there is empty."""
        try:
            with os.scandir(self.folder / prefix) as found:
                return [e for e in found if _is_text(e.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            if isinstance(error, NotADirectoryError) and self.folder.is_dir():
                return []
            raise explain_os(error, f"{self.url}/{prefix}".rstrip("/")) from None

    def _at(self, path: str) -> Path:
        return self.folder / check_path(path)

    @contextlib.contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """Reading: what is no file is not there, as it would be in an object store."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError):
            raise NotFoundError(path, self.url) from None
        except OSError as error:
            if isinstance(error, NotADirectoryError) and self.folder.is_dir():
                raise NotFoundError(path, self.url) from None
            raise explain_os(error, f"{self.url}/{path}") from None


def _entry(path: str, found: os.stat_result) -> Entry:
    modified = datetime.fromtimestamp(found.st_mtime, UTC)
    return Entry(path, found.st_size, modified, f"{found.st_ino:x}-{found.st_mtime_ns:x}")


def _link_in_new_folder(upload: Path, target: Path) -> None:
    """Link, in a folder that a delete beside us may take away as long as it is empty."""
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError):
            _make(target.parent)
            os.link(upload, target)
            return
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent))


def _make(folder: Path) -> None:
    """Make a folder and those above it, and make sure that they stay."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        if folder.is_file():
            raise NotADirectoryError(
                errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)
            ) from None
    else:
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
