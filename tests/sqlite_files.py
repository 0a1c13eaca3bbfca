"""SQLite files for the tests: what is in one, and how a snapshot becomes one again."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from airkeep.database.address import Address
from airkeep.database.sqlite_write import Orphans, SqliteWriter
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.read import SnapshotReader

CORE = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
CREATE TABLE dag (dag_id VARCHAR(250) NOT NULL PRIMARY KEY, is_paused BOOLEAN);
CREATE TABLE dag_run (id INTEGER NOT NULL PRIMARY KEY, dag_id VARCHAR(250), run_id TEXT);
CREATE TABLE task_instance (dag_id TEXT, task_id TEXT, run_id TEXT, map_index INTEGER,
    PRIMARY KEY (run_id, dag_id, map_index, task_id));
"""

Content = dict[str, list[tuple[Any, ...]]]


def make_airflow(path: Path, more: str = "") -> Path:
    """A small file that has an Airflow's core tables, and what else the script makes."""
    db = sqlite3.connect(path)
    db.executescript(CORE + more)
    db.commit()
    db.close()
    return path


def content(path: Path) -> Content:
    """Every row of every table with each value's class and exact bits; `path` is not opened."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        for suffix in ("", "-wal", "-journal"):
            if Path(f"{path}{suffix}").exists():
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        db = sqlite3.connect(copy)
        db.text_factory = bytes
        names = [
            name.decode()
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith(b"sqlite_stat")
        ]
        found = {name: _rows(db, name) for name in names}
        db.close()
    return found


def _rows(db: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    name = '"' + table.replace('"', '""') + '"'
    columns = ['"' + row[1].decode().replace('"', '""') + '"'
               for row in db.execute(f"PRAGMA table_xinfo({name})")]  # fmt: skip
    wanted = ", ".join(f"typeof({c}), {c}" for c in columns)
    rows = db.execute(f"SELECT {wanted} FROM {name}").fetchall()
    return sorted((tuple(map(_exact, row)) for row in rows), key=repr)


def _exact(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else value


def schema(path: Path) -> set[tuple[Any, ...]]:
    """Everything that the schema table says, pages aside."""
    db = sqlite3.connect(path)
    found = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    db.close()
    return set(found)


def fingerprint(folder: Path) -> dict[str, tuple[Any, ...]]:
    """All that a writer could have changed in a folder: names, bytes, times, rights."""
    found: dict[str, tuple[Any, ...]] = {".": (folder.stat().st_mtime_ns,)}
    for path in sorted(folder.iterdir()):
        stat = os.lstat(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[path.name] = (digest, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_mode, stat.st_ino)
    return found


def restore_file(snapshot: Snapshot, target: Path, folder: Path) -> list[Orphans]:
    """Put a snapshot into a file that is not there yet, or into an empty or a migrated one."""
    manifest = snapshot.manifest
    with (
        SnapshotReader(snapshot, folder=folder) as reader,
        SqliteWriter(Address("sqlite", str(target))) as writer,
    ):
        writer.begin()
        if writer.catalog() is None:
            writer.create(snapshot.store.load(manifest.schema_sql.path).decode())
        catalog = writer.catalog()
        assert catalog is not None
        tables = catalog.by_label()
        for entry in manifest.tables:
            table = tables[entry.label]
            writer.delete(table)
            columns = [c for c in entry.columns if not c.generated]
            loaded = writer.load(table, columns, reader.batches(entry.label))
            assert loaded == entry.rows
        writer.set_sequences({s.name: s.last_value for s in manifest.sequences})
        assert writer.finish() == ()
        orphans = writer.check_references()
        writer.commit()
    return orphans
