"""Verify a snapshot: read every file of it and of its whole chain, and believe nothing.

Each file must be there, with the size and sha256 that its manifest says, and be Parquet with
the rows and columns that it says; each parent must be the one that the increment was made
on; and the chain, folded, must give as many rows as the manifest counts, no key twice. All
problems are collected, not only the first. A sample looks for every file and reads some.
"""

from __future__ import annotations

import random
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from airkeep.database.duck import explained, open_duckdb
from airkeep.database.sql import ident, literal
from airkeep.errors import (
    ConfigError,
    DamagedFileError,
    ManifestError,
    MissingFileError,
    NewerFormatError,
    SnapshotError,
    StoreError,
)
from airkeep.snapshot import names
from airkeep.snapshot.fold import Layer, fold, layers_of
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import FileEntry, Manifest, TableEntry
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.read import bring, local_name
from airkeep.snapshot.results import Kind, Problem, VerifyResult, said_of, save_result
from airkeep.version import __version__

if TYPE_CHECKING:
    import duckdb

_LOADERS = 8  # requests in flight: a small file from S3 is 30 ms of waiting
_AHEAD = 8  # files on the local disk before they are looked at


def verify_snapshot(
    snapshot: Snapshot,
    *,
    folder: Path | None = None,
    memory_bytes: int = 400 << 20,
    threads: int = 2,
    sample: float | None = None,
    seed: int | None = None,
    record: bool = True,
    progress: Progress = silent,
) -> VerifyResult:
    """Verify a snapshot and the chain that it stands on.

    Args:
        folder: where files lie while they are read, by default where temporary files do.
        sample: the share of files to read (0.05); None for all.
        seed: draws the sample again.
        record: save what was found beside the manifest.

    Raises:
        ConfigError: `folder` is none, or `sample` no share.
        StoreError: the lake could not be read. What is wrong with files is in the result.
        DatabaseError: memory ran out.
        DiskFullError: the spool folder's disk is full.
    """
    if sample is not None and not 0 < sample <= 1:
        raise ConfigError(f"sample: expected a share above 0, at most 1 (0.05), found {sample}")
    if sample is not None and seed is None:
        seed = secrets.randbelow(1 << 32)
    with private_folder(folder) as private:
        check = _Check(snapshot, private, sample=sample, seed=seed, progress=progress)
        with open_duckdb(memory_bytes=memory_bytes, threads=threads, spool=private) as db:
            result = check.run(db)
    return save_result(snapshot.store, result) if record else result


class _Check:
    """One verification; its methods are its steps, in order."""

    def __init__(
        self,
        snapshot: Snapshot,
        folder: Path,
        *,
        sample: float | None,
        seed: int | None,
        progress: Progress,
    ) -> None:
        self.tip, self.store, self.folder = snapshot, snapshot.store, folder
        self.sample, self.seed, self.progress = sample, seed, progress
        self.problems: list[Problem] = []
        self.chain: list[Snapshot] = []
        self.bad: set[str] = set()
        self.walked = False
        self.read = self.bytes = self.rows = 0

    def run(self, db: duckdb.DuckDBPyConnection) -> VerifyResult:
        self.walk()
        files = [f for s in self.chain for f in s.manifest.files()]
        self.look_for(files)
        self.read_files(db, self.drawn(files))
        return VerifyResult(
            environment=self.tip.environment,
            id=self.tip.id,
            manifest_sha256=self.tip.manifest_sha256 if self.chain else self.raw_sha256(),
            depth="full" if self.sample is None else "sample",
            ok=not self.problems,
            problems=tuple(self.problems),
            chain=tuple(s.id for s in self.chain),
            files=len(files),
            read=self.read,
            bytes=self.bytes,
            rows=self.rows,
            at=datetime.now(UTC),
            airkeep=__version__,
            share=self.sample,
            seed=self.seed,
        )

    def raw_sha256(self) -> str | None:
        """Of a manifest that cannot be understood."""
        try:
            return self.tip.manifest_sha256
        except SnapshotError:
            return None

    # The manifests.

    def walk(self) -> None:
        """Read the chain's manifests as far down as they can be read."""
        snapshot: Snapshot | None = self.tip
        while snapshot is not None:
            path = names.manifest_path(snapshot.environment, snapshot.id)
            try:
                manifest = snapshot.manifest
            except SnapshotError as error:
                self.blame(path, error)
                return
            self.look_at(snapshot, path, manifest)
            self.chain.append(snapshot)
            parent = manifest.parent
            if parent is not None and not parent.id < snapshot.id:
                self.problem(path, f"names {parent.id} as its parent, which is not older")
                return
            snapshot = snapshot.parent
        self.walked = True

    def look_at(self, snapshot: Snapshot, path: str, manifest: Manifest) -> None:
        if (manifest.environment, manifest.id) != (snapshot.environment, snapshot.id):
            self.problem(path, f"is the manifest of {manifest.environment}/{manifest.id}")
        if not self.chain:
            return
        expected = self.chain[-1].manifest.parent
        if expected is not None and expected.manifest_sha256 != snapshot.manifest_sha256:
            self.problem(
                path,
                f"has sha256 {snapshot.manifest_sha256[:12]}, its increment was made on "
                f"{expected.manifest_sha256[:12]}",
            )

    # The files.

    def look_for(self, files: Sequence[FileEntry]) -> None:
        """Compare the store's listing with the manifests: nothing missing, no other size."""
        folders = sorted({f.path.rpartition("/")[0] + "/" for f in files})
        with ThreadPoolExecutor(_LOADERS) as pool:
            listed = pool.map(lambda folder: list(self.store.list(folder)), folders)
            sizes = {entry.path: entry.bytes for entries in listed for entry in entries}
        seen: set[str] = set()
        for file in files:
            if file.path in seen:
                self.problem(file.path, "is named more than once")
            seen.add(file.path)
            size = sizes.get(file.path)
            if size is None:
                self.problem(file.path, "is not in the lake", kind="missing")
            elif size != file.bytes:
                self.problem(file.path, f"has {size} bytes, its manifest says {file.bytes}")

    def drawn(self, files: Sequence[FileEntry]) -> set[str]:
        """The paths to read: all that are there, or the sample; the schemas always."""
        there = [f.path for f in files if f.path not in self.bad]
        if self.sample is None:
            return set(there)
        data = sorted(p for p in there if p.endswith(".parquet"))
        count = min(len(data), max(1, round(len(data) * self.sample)))
        chosen = random.Random(self.seed).sample(data, count)  # noqa: S311 (no secret)
        return {*chosen, *(p for p in there if not p.endswith(".parquet"))}

    def read_files(self, db: duckdb.DuckDBPyConnection, wanted: set[str]) -> None:
        jobs = [
            *((None, s.manifest.schema_sql) for s in self.chain),
            *((label, f) for label in self.labels() for f in self.files_of(label)),
        ]
        jobs = [job for job in jobs if job[1].path in wanted]
        last = {label: n for n, (label, _) in enumerate(jobs)}
        total = sum(f.rows for _, f in jobs)
        with ThreadPoolExecutor(_LOADERS) as pool:
            brought = _ahead(pool, [file for _, file in jobs], self.bring)
            done = 0
            for n, ((label, file), error) in enumerate(zip(jobs, brought, strict=True)):
                self.progress(Step(label or "schema.sql", done, total))
                done += file.rows
                if error is not None:
                    self.blame(file.path, error)
                else:
                    self.read, self.bytes = self.read + 1, self.bytes + file.bytes
                    self.open(db, label, file)
                if label is not None and last[label] == n:
                    self.fold(db, label)
        for label in [t.label for t in self.tip_tables() if t.label not in last]:
            self.fold(db, label)

    def tip_tables(self) -> Sequence[TableEntry]:
        return self.chain[0].manifest.tables if self.chain else ()

    def labels(self) -> list[str]:
        return list(dict.fromkeys(t.label for s in self.chain for t in s.manifest.tables))

    def files_of(self, label: str) -> list[FileEntry]:
        entries = [s.manifest.table(label) for s in self.chain]
        return [f for e in entries if e is not None for f in (*e.files, *e.deleted)]

    def bring(self, file: FileEntry) -> SnapshotError | StoreError | None:
        try:
            bring(self.store, file, self.local(file))
        except (SnapshotError, StoreError) as error:
            return error
        return None

    def local(self, file: FileEntry) -> Path:
        return self.folder / local_name(file)

    def open(self, db: duckdb.DuckDBPyConnection, label: str | None, file: FileEntry) -> None:
        """Compare what the Parquet file says of itself with what the manifest says."""
        import duckdb

        if label is None:
            self.local(file).unlink()
            return
        path = literal(str(self.local(file)))
        with explained(file.path, f"looking at {label}"):
            try:
                [(rows,)] = db.execute(
                    f"SELECT num_rows FROM parquet_file_metadata({path})"
                ).fetchall()
                described = db.execute(f"DESCRIBE FROM read_parquet({path})").fetchall()
            except duckdb.OutOfMemoryException:
                raise
            except duckdb.Error:
                self.problem(file.path, "is no Parquet file")
                return
        if rows != file.rows:
            self.problem(file.path, f"has {rows} rows, its manifest says {file.rows}")
        found = {str(row[0]): _type(str(row[1])) for row in described}
        expected = self.expected(label, file)
        if found != expected:
            odd = sorted({n for n, _ in set(found.items()) ^ set(expected.items())})
            self.problem(file.path, f"has other columns than its manifest says: {', '.join(odd)}")

    def expected(self, label: str, file: FileEntry) -> dict[str, str]:
        for snapshot in self.chain:
            entry = snapshot.manifest.table(label)
            if entry is not None and file in entry.files:
                return {c.name: _type(c.parquet) for c in entry.columns if not c.generated}
            if entry is not None and file in entry.deleted:
                return {k: _type(entry.column(k).parquet) for k in entry.key}
        return {}

    # The tables.

    def fold(self, db: duckdb.DuckDBPyConnection, label: str) -> None:
        """Count the rows that readers would get, and look for keys that are there twice."""
        layers = [
            Layer(e, tuple(map(self.local, e.files)), tuple(map(self.local, e.deleted)))
            for e in layers_of(self.chain, label)
        ]
        entry = None if not self.chain else self.chain[0].manifest.table(label)
        files = self.files_of(label)
        try:
            if entry is None:
                return
            if layers[-1].entry.whole:
                if self.all_read(layers):
                    self.count(db, entry, layers)
            elif self.walked:
                folder = names.data_folder(label, self.tip.environment, self.tip.id)
                self.problem(folder, "is in no snapshot of its chain as a whole", kind="missing")
        finally:
            for file in files:
                self.local(file).unlink(missing_ok=True)

    def all_read(self, layers: Sequence[Layer]) -> bool:
        files = [f for layer in layers for f in (*layer.entry.files, *layer.entry.deleted)]
        return all(self.local(f).exists() and f.path not in self.bad for f in files)

    def count(
        self, db: duckdb.DuckDBPyConnection, entry: TableEntry, layers: Sequence[Layer]
    ) -> None:
        folder = names.data_folder(entry.label, self.tip.environment, self.tip.id)
        columns = entry.key or tuple(c.name for c in entry.columns if not c.generated)
        if not columns:
            return
        query = fold(layers, columns if entry.key else columns[:1])
        # SQLite takes NULL in a key, any number of times.
        filled = " AND ".join(f"{ident(c)} IS NOT NULL" for c in columns)
        group = ", ".join(map(ident, columns))
        counted = f"SELECT count(*) AS n, {filled} AS filled FROM ({query}) GROUP BY {group}"
        if not entry.key:
            counted = f"SELECT count(*) AS n, false AS filled FROM ({query})"
        with explained(str(self.tip.name), f"counting {entry.label}"):
            [(rows, twice)] = db.execute(
                f"SELECT coalesce(sum(n), 0)::BIGINT, count(*) FILTER (WHERE n > 1 AND filled) "
                f"FROM ({counted})"
            ).fetchall()
        self.rows += rows
        if rows != entry.rows:
            chain = "" if len(layers) == 1 else f" after folding {len(layers)} snapshots"
            self.problem(folder, f"has {rows} rows{chain}, its manifest says {entry.rows}")
        if twice:
            self.problem(folder, f"has {twice} keys more than once")

    # What was found.

    def problem(self, path: str, what: str, *, kind: Kind = "damaged") -> None:
        self.bad.add(path)
        self.problems.append(Problem(path, what, kind))

    def blame(self, path: str, error: SnapshotError | StoreError) -> None:
        match error:
            case MissingFileError():
                self.problem(path, "is not in the lake", kind="missing")
            case DamagedFileError():
                self.problem(path, f"has {error.found}, its manifest says {error.expected}")
            case NewerFormatError():
                self.problem(path, said_of(path, error), kind="newer")
            case ManifestError():
                self.problem(path, said_of(path, error), kind="manifest")
            case _:
                raise error


def _type(parquet: str) -> str:
    """One spelling for each of DuckDB's types."""
    return "TIMESTAMPTZ" if parquet == "TIMESTAMP WITH TIME ZONE" else parquet


def _ahead(
    pool: ThreadPoolExecutor,
    files: Sequence[FileEntry],
    work: Callable[[FileEntry], SnapshotError | StoreError | None],
) -> Iterator[SnapshotError | StoreError | None]:
    """The results in order, of work begun only a few files ahead: the disk is not endless."""
    waiting: deque[Future[SnapshotError | StoreError | None]] = deque()
    coming = iter(files)
    waiting.extend(pool.submit(work, file) for file in islice(coming, _AHEAD))
    while waiting:
        result = waiting.popleft().result()
        waiting.extend(pool.submit(work, file) for file in islice(coming, 1))
        yield result
