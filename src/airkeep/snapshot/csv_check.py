"""Verify a dated CSV export by its summary: every file is there, and is what the summary says.

A file whose bytes have the right sha256 is then unpacked: its header must have the summary's
columns and its records must be as many as the summary's rows. The summary's own sums must
agree. All problems are collected, not only the first. Nothing is saved: it is no snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from airkeep.errors import (
    DamagedFileError,
    ManifestError,
    MissingFileError,
    NewerFormatError,
)
from airkeep.snapshot.csv_run import CsvFile, CsvSummary, read_summary
from airkeep.snapshot.csv_text import read_shape
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.manifest import FileEntry
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.read import bring
from airkeep.snapshot.results import Kind, Problem, said_of, status_of
from airkeep.store.interface import Store


@dataclass(frozen=True)
class CsvVerifyResult:
    """What a verification read and found.

    Attributes:
        path: the summary's.
        files: how many the summary names; `read` of them were read and hashed.
        rows: of the files that were right.
    """

    path: str
    ok: bool
    problems: tuple[Problem, ...]
    files: int
    read: int
    bytes: int
    rows: int
    at: datetime

    @property
    def exit_status(self) -> int:
        return status_of(self.problems)


def verify_csv(
    store: Store, path: str, *, folder: Path | None = None, progress: Progress = silent
) -> CsvVerifyResult:
    """Verify a CSV run.

    Args:
        path: of its summary, as `csv_runs` tells it.
        folder: where files lie while they are read, by default where temporary files do.

    Raises:
        ConfigError: `folder` is none.
        StoreError: the lake could not be read. What is wrong with files is in the result.
    """
    check = _Check(store, path, progress)
    with private_folder(folder) as private:
        return check.run(private)


class _Check:
    def __init__(self, store: Store, path: str, progress: Progress) -> None:
        self.store, self.path, self.progress = store, path, progress
        self.problems: list[Problem] = []
        self.read = self.bytes = self.rows = 0

    def run(self, folder: Path) -> CsvVerifyResult:
        summary = self.summary()
        files = {} if summary is None else summary.files
        total = sum(f.rows for f in files.values())
        for n, (label, file) in enumerate(files.items()):
            self.progress(Step(label, self.rows, total))
            self.look_at(file, folder / f"{n}.csv.gz")
        return CsvVerifyResult(
            path=self.path,
            ok=not self.problems,
            problems=tuple(self.problems),
            files=len(files),
            read=self.read,
            bytes=self.bytes,
            rows=self.rows,
            at=datetime.now(UTC),
        )

    def summary(self) -> CsvSummary | None:
        try:
            summary = read_summary(self.store, self.path)
        except MissingFileError:
            self.problem(self.path, "is not in the lake", kind="missing")
        except NewerFormatError as error:
            self.problem(self.path, said_of(self.path, error), kind="newer")
        except ManifestError as error:
            self.problem(self.path, said_of(self.path, error), kind="manifest")
        else:
            for what in _contradictions(summary):
                self.problem(self.path, what)
            return summary
        return None

    def look_at(self, file: CsvFile, local: Path) -> None:
        try:
            bring(self.store, FileEntry(file.path, file.rows, file.bytes, file.sha256), local)
        except MissingFileError:
            self.problem(file.path, "is not in the lake", kind="missing")
            return
        except DamagedFileError as error:
            self.problem(file.path, f"has {error.found}, its summary says {error.expected}")
            return
        self.read, self.bytes = self.read + 1, self.bytes + file.bytes
        try:
            shape = read_shape(local)
        except ValueError as error:
            self.problem(file.path, str(error))
            return
        finally:
            local.unlink()
        if shape.columns != file.columns:
            self.problem(file.path, "has another header than its summary says")
        if shape.rows != file.rows:
            self.problem(file.path, f"has {shape.rows} rows, its summary says {file.rows}")
        self.rows += shape.rows

    def problem(self, path: str, what: str, *, kind: Kind = "damaged") -> None:
        self.problems.append(Problem(path, what, kind))


def _contradictions(summary: CsvSummary) -> Iterator[str]:
    rows = {label: file.rows for label, file in summary.files.items()}
    if rows != summary.tables:
        yield "says other rows by table than by file"
    if len(rows) != summary.total_tables:
        yield f"says {summary.total_tables} tables in all and names {len(rows)}"
    if sum(rows.values()) != summary.total_rows:
        yield f"says {summary.total_rows} rows in all, its files have {sum(rows.values())}"
