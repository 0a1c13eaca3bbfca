"""Bytes that change where they lie: right after they were saved, or later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airkeep.snapshot.lake import Lake
from airkeep.store.local import LocalStore

if TYPE_CHECKING:
    from pathlib import Path


class RottingStore(LocalStore):
    """A folder in which one byte of some files is another as soon as they are saved."""

    def __init__(self, folder: Path, rots: str) -> None:
        super().__init__(folder)
        self._folder_of_all, self._rots = folder, rots

    def save_file(self, path: str, file: Path) -> None:
        super().save_file(path, file)
        if self._rots in f"/{path}":
            change_a_byte(self._folder_of_all / path)


def change_a_byte(file: Path) -> None:
    """The size stays, and so do the ends, by which Parquet is known."""
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 0xFF
    file.write_bytes(data)


def damage(lake: Path, snapshot: str, table: str = "dag") -> None:
    """Append a byte to a file of a snapshot."""
    entry = Lake(str(lake))[snapshot].manifest.table(table)
    assert entry is not None
    with (lake / entry.files[0].path).open("ab") as file:
        file.write(b"x")
