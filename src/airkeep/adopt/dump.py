"""What a pg_dump file says of itself, before it is loaded: its format, its time, its server."""

from __future__ import annotations

import codecs
import gzip
import shutil
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airkeep.adopt.layouts import Backup, TextTable
from airkeep.adopt.source import Source, fingerprint
from airkeep.database.dump import (
    about_script,
    count_rows,
    is_archive,
    looks_like_script,
    unpack_archive,
)
from airkeep.errors import BadBackupError, UnknownLayoutError
from airkeep.export.describe import Origin
from airkeep.snapshot.manifest import AdoptedEntry

_GZIP, _SQLITE = b"\x1f\x8b", b"SQLite format 3\x00"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NO_ZONE = "by the clock of who made it, without a zone: read as UTC"


@dataclass(frozen=True)
class Dump:
    """A dump, as SQL, and what it says of itself.

    Attributes:
        path: its name in the source.
        time: how `at` is known.
    """

    path: str
    script: Path
    server_version: str
    at: datetime
    time: str


def open_dump(source: Source, folder: Path, at: datetime | None) -> Dump:
    """Look at the one file of a source.

    Args:
        folder: private, for what is unpacked.
        at: when it was made, where somebody knows better.

    Raises:
        BadBackupError: it is damaged.
        UnknownLayoutError: it is no dump of PostgreSQL.
    """
    [path] = source.entries
    file = _unpacked(source.fetch(path), path, folder)
    with file.open("rb") as opened:
        head = opened.read(16)
    if head == _SQLITE:
        raise UnknownLayoutError(
            f"{path} is a SQLite database, no backup: airkeep export takes it as it is"
        )
    made = None
    if is_archive(file):
        script = folder / "archive.sql"
        made = unpack_archive(file, script)
        file = script
    elif not head:
        raise BadBackupError(f"{path} is empty. Bring the file again from where it was kept.")
    elif (b"\x00" in head and not head.startswith(_UTF16)) or not looks_like_script(file, path):
        raise UnknownLayoutError(
            f"{path} is no backup of a layout that is known: one file is read as a dump of "
            f"PostgreSQL, in SQL text or pg_dump's custom or tar format, and no line of its "
            f"beginning is a dump's. CSV files are named by their folder. See docs/adopt.md"
        )
    version, started = about_script(file, path)
    if at is not None:
        return Dump(path, file, version, at, "as told")
    if said := made or started:
        return Dump(path, file, version, said, f"the dump's own, {_NO_ZONE}")
    modified = source.entries[path].modified
    return Dump(path, file, version, modified, "when the file was written, which a copy changes")


def _unpacked(file: Path, path: str, folder: Path) -> Path:
    with file.open("rb") as opened:
        if opened.read(2) != _GZIP:
            return file
    target = folder / "unpacked"
    try:
        with gzip.open(file) as packed, target.open("wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise BadBackupError(
            f"{path} is cut off or damaged: it cannot be unpacked to its end. Bring the file "
            f"again from where it was kept."
        ) from None
    return target


def backup_of(dump: Dump) -> Backup:
    """Which tables it holds, and how many rows of each.

    Raises:
        BadBackupError: it is no whole dump.
    """
    rows = count_rows(dump.script, dump.path)
    tables = tuple(TextTable(t, (dump.path,), rows=n) for t, n in sorted(rows.items()))
    return Backup(dump.at, dump.time, "", tables)


def origin_of(dump: Dump, source: Source, notes: tuple[str, ...] = ()) -> Origin:
    """What the manifest says of it."""
    adopted = AdoptedEntry(
        "pg_dump", source.shown, fingerprint(source, [dump.path]), dump.time, notes
    )
    return Origin(adopted, dump.at, dump.server_version)
