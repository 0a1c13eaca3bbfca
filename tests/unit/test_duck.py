"""The PostgreSQL scanner without its wheel: from DuckDB's repository, or an error that says how."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_postgres_scanner as wheel
import pytest

from airkeep.database.duck import load_postgres, open_duckdb

LOAD = """
import json, sys
from pathlib import Path
sys.modules["duckdb_extension_postgres_scanner"] = None  # as if it were not installed
from airkeep.database.duck import load_postgres, open_duckdb
from airkeep.errors import DatabaseError
folder, repository = map(Path, sys.argv[1:])
db = open_duckdb(memory_bytes=400 << 20, threads=1, spool=folder, unsigned=True)
db.execute(f"SET extension_directory = '{folder / 'extensions'}'")
db.execute(f"SET custom_extension_repository = '{repository}'")
try:
    load_postgres(db)
except DatabaseError as error:
    print(json.dumps({"error": str(error), "cause": repr(error.__cause__)}))
else:
    asked = "SELECT loaded FROM duckdb_extensions() WHERE extension_name = 'postgres_scanner'"
    print(json.dumps({"loaded": db.execute(asked).fetchone()}))
"""


def load(folder: Path, repository: Path) -> dict[str, Any]:
    """What comes of loading where the wheel is not installed, from a repository in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder), str(repository)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def extension() -> Path:
    [file] = (f for p in wheel.__path__ for f in Path(p).rglob("postgres_scanner.duckdb_extension"))
    return file


def tampered(content: bytes) -> bytes:
    """Another byte in the middle: the footer with the signature stays as it was."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def repository(folder: Path, *, is_tampered: bool = False) -> Path:
    """A repository as DuckDB lays one out, with the wheel's file."""
    [(platform,)] = duckdb.sql("PRAGMA platform").fetchall()
    place = folder / "repository" / f"v{duckdb.__version__}" / platform
    place.mkdir(parents=True)
    content = extension().read_bytes()
    packed = place / "postgres_scanner.duckdb_extension.gz"
    packed.write_bytes(gzip.compress(tampered(content) if is_tampered else content, 1))
    return folder / "repository"


def test_an_extension_that_cannot_be_had_names_the_line_that_installs_it(tmp_path: Path) -> None:
    said = load(tmp_path, tmp_path / "not-there")

    assert f"pip install duckdb-extension-postgres-scanner=={duckdb.__version__}" in said["error"]
    assert said["cause"] == "None"


def test_an_extension_comes_from_duckdbs_repository_where_the_wheel_is_not(tmp_path: Path) -> None:
    assert load(tmp_path, repository(tmp_path)) == {"loaded": [True]}


def test_a_repositorys_extension_that_was_tampered_with_is_not_loaded(tmp_path: Path) -> None:
    place = repository(tmp_path, is_tampered=True)

    assert "has no postgres extension" in load(tmp_path, place)["error"]


def test_nothing_unsigned_is_loaded_after_the_wheels_extension(tmp_path: Path) -> None:
    file = tmp_path / "other.duckdb_extension"
    file.write_bytes(tampered(extension().read_bytes()))
    with open_duckdb(memory_bytes=400 << 20, threads=1, spool=tmp_path, unsigned=True) as db:
        load_postgres(db)
        with pytest.raises(duckdb.Error, match="signature"):
            db.execute(f"LOAD '{file}'")
