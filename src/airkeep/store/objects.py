"""A store in an object store (S3, Google Cloud Storage, Azure) or in memory, by obstore.

Creation is one conditional request (If-None-Match on S3), for a large file one conditional
copy inside the store. obstore must not retry these: it would take the echo of its own
first attempt, whose answer was lost, for someone else's file. So its clients that create
(`quick`, `slow`) never retry, this module does and looks at what it finds; `patient` retries
inside a transfer, a part of an upload or the rest of a download, where nothing is created.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from airkeep.errors import AlreadySavedError, NotFoundError, StoreError, UnavailableError
from airkeep.interrupt import interruptible
from airkeep.store.failure import explain
from airkeep.store.interface import UPLOADS, Entry, check_path, check_prefix
from airkeep.store.retry import Retry
from airkeep.store.transfer import new_file, open_file

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import ObjectStore as Client

T = TypeVar("T")

PART_BYTES = 16 << 20  # 10,000 parts are allowed: 160 GiB
PARTS_AT_ONCE = 4  # 64 MiB in memory; at 1 MiB/s a part still ends within the timeout
CHUNK_BYTES = 8 << 20
LISTED_AT_ONCE = 1000
DEFAULT_MULTIPART_BYTES = 256 << 20


@dataclass(frozen=True)
class Clients:
    """One place seen by obstore clients that differ in their patience only."""

    quick: Client  # no retries; small requests
    slow: Client  # no retries; a large file, or a copy, in one request
    patient: Client  # retries; transfers in pieces
    bucket: str  # what every request to this place has in its URL
    max_bytes: int | None = None  # the largest file that can be copied inside the store


class ObjectStore:
    """`Store` over obstore."""

    def __init__(
        self,
        url: str,
        clients: Clients,
        *,
        retry: Retry | None = None,
        multipart_bytes: int = DEFAULT_MULTIPART_BYTES,
    ) -> None:
        """Open the place; nothing is asked of it yet.

        Args:
            url: how the store is called in messages.
            multipart_bytes: files larger than this go in parts, then by a copy.
        """
        self.url = url
        self._clients = clients
        self._retry = retry or Retry()
        self._multipart_bytes = multipart_bytes

    def save(self, path: str, data: bytes) -> None:
        check_path(path)
        self._create(path, lambda: self._put(path, data), lambda: self.load(path) == data)

    def save_file(self, path: str, file: Path) -> None:
        check_path(path)
        with open_file(file) as source:
            size = os.fstat(source.fileno()).st_size
            if size > self._multipart_bytes:
                self._save_large(path, source, size, file)
            elif size == 0:
                self.save(path, b"")  # which cannot be mapped
            else:
                # Mapped, not read: the pages belong to the file, not to this process. Not
                # closed by hand, since obstore may look at it a moment longer.
                data = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
                self._create(path, lambda: self._put(path, data), lambda: self._holds(path, source))

    def load(self, path: str) -> bytes:
        check_path(path)

        def load() -> bytes:
            return self._clients.quick.get(path).bytes().to_bytes()

        return self._ask(path, load)

    def load_range(self, path: str, start: int, length: int) -> bytes:
        check_path(path)

        def load() -> bytes:
            wanted: GetOptions = {"range": (start, start + length)}
            return self._clients.quick.get(path, options=wanted).bytes().to_bytes()

        if length == 0:
            return b""  # no range of HTTP's
        try:
            return self._ask(path, load)
        except StoreError:
            if self.head(path).bytes > start:
                raise
            return b""  # a range behind the end is refused

    def load_file(self, path: str, file: Path) -> None:
        check_path(path)
        chunks = self._chunks(path)
        first = next(chunks, b"")  # a path that has nothing makes no local file
        with new_file(file) as out:
            out.write(first)
            for chunk in chunks:
                out.write(chunk)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        return self._list(check_prefix(prefix))

    def folders(self, prefix: str = "") -> Sequence[str]:
        check_prefix(prefix)

        def folders() -> Sequence[str]:
            found = self._clients.quick.list_with_delimiter(prefix or None)
            return sorted(p.rpartition("/")[2] for p in found["common_prefixes"])

        return self._ask(prefix, folders)

    def head(self, path: str) -> Entry:
        check_path(path)

        def head() -> Entry:
            try:
                return _entry(self._clients.quick.head(path))
            except FileNotFoundError:
                # A HEAD is refused without a word; a GET says whether it is the bucket that
                # is missing.
                return _entry(self._clients.quick.get(path).meta)

        return self._ask(path, head)

    def delete(self, paths: Iterable[str]) -> None:
        wanted = [check_path(path) for path in paths]
        try:
            self._delete(wanted)
        except NotFoundError:  # not from S3 or memory: there it is no error
            for path in wanted:
                with contextlib.suppress(NotFoundError):
                    self._delete([path])

    def _delete(self, paths: Sequence[str]) -> None:
        if paths:
            self._ask(paths[0], lambda: self._clients.quick.delete(paths))

    def _put(self, path: str, data: bytes | mmap.mmap) -> None:
        client = self._clients.quick if len(data) <= PART_BYTES else self._clients.slow
        client.put(path, data, mode="create", use_multipart=False)

    def _save_large(self, path: str, source: BinaryIO, size: int, file: Path) -> None:
        most = self._clients.max_bytes
        if most is not None and size > most:
            raise StoreError(
                f"{file} has {size} bytes, {self.url} takes at most {most} in one file: "
                f"save it as several"
            )
        with contextlib.suppress(NotFoundError):
            self.head(path)
            raise AlreadySavedError(path, self.url)  # before sending it all in vain
        upload = UPLOADS + uuid.uuid4().hex
        try:
            self._retry.run(lambda: self._upload(upload, source))
            self._create(path, lambda: self._copy(upload, path), lambda: self._holds(path, source))
        finally:
            with contextlib.suppress(StoreError):  # what stays in uploads/ is garbage
                self.delete([upload])

    def _upload(self, upload: str, source: BinaryIO) -> None:
        source.seek(0)

        def put() -> None:
            self._clients.patient.put(
                upload,
                source,
                use_multipart=True,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

        try:
            with self._told(upload):
                interruptible(put)
        except NotFoundError:
            # S3's answer to a completion that is repeated because its answer was lost.
            raise UnavailableError(f"{self.url} lost an upload: try again") from None

    def _copy(self, upload: str, path: str) -> None:
        self._clients.slow.copy(upload, path, overwrite=False)

    def _create(self, path: str, attempt: Callable[[], None], ours: Callable[[], bool]) -> None:
        """Create, again when there is no answer, and look at what is found there then."""
        attempts = 0

        def create() -> None:
            nonlocal attempts
            attempts += 1
            with self._told(path):
                interruptible(attempt)

        try:
            self._retry.run(create)
        except AlreadySavedError:
            if attempts == 1 or not ours():
                raise

    def _holds(self, path: str, source: BinaryIO) -> bool:
        """Whether the bytes at a path are those of the local file."""
        if self.head(path).bytes != os.fstat(source.fileno()).st_size:
            return False
        source.seek(0)
        return all(chunk == source.read(len(chunk)) for chunk in self._chunks(path))

    def _chunks(self, path: str) -> Iterator[bytes]:
        with self._told(path):
            found = interruptible(lambda: self._clients.patient.get(path))
            stream = iter(found.stream(min_chunk_size=CHUNK_BYTES))
        seen = 0
        while True:
            with self._told(path):
                chunk = interruptible(lambda: next(stream, None))
            if chunk is None:
                break
            seen += len(chunk)
            yield bytes(chunk)
        if seen != found.meta["size"]:
            raise StoreError(
                f"{path} in {self.url} has {found.meta['size']} bytes and {seen} arrived"
            )

    def _list(self, prefix: str) -> Iterator[Entry]:
        last: str | None = None
        stream: Iterator[Sequence[ObjectMeta]] | None = None

        def chunk() -> Sequence[ObjectMeta]:
            nonlocal stream
            if stream is None:
                stream = iter(
                    self._clients.quick.list(
                        prefix or None,
                        offset=last,
                        chunk_size=LISTED_AT_ONCE,
                    )
                )
            try:
                return next(stream, ())
            except BaseException:
                stream = None  # opened again behind the last path: stores list in order
                raise

        while found := self._ask(prefix, chunk):
            for meta in found:
                last = meta["path"]
                yield _entry(meta)

    def _ask(self, path: str, question: Callable[[], T]) -> T:
        """Do something that may be done twice."""

        def ask() -> T:
            with self._told(path):
                return interruptible(question)

        return self._retry.run(ask)

    @contextlib.contextmanager
    def _told(self, path: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise explain(error, path=path, url=self.url, bucket=self._clients.bucket) from None


def _entry(meta: ObjectMeta) -> Entry:
    # Azure quotes the etag of one file, not those of a listing.
    etag = meta["e_tag"].strip('"') if meta["e_tag"] else None
    return Entry(meta["path"], meta["size"], meta["last_modified"], etag)
