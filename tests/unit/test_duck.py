"""The PostgreSQL scanner: from its wheel, from DuckDB's repository, or an error that says how."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_postgres_scanner as wheel
import pytest

from airkeep.database.duck import install_postgres, open_duckdb, open_postgres_duckdb
from airkeep.errors import DatabaseError

OPEN = """
import json, sys
from pathlib import Path
folder, wheel = sys.argv[1:]
if wheel:
    sys.path.insert(0, wheel)
else:
    sys.modules["duckdb_extension_postgres_scanner"] = None  # as if it were not installed
from airkeep.database.duck import open_postgres_duckdb
from airkeep.errors import DatabaseError
try:
    db = open_postgres_duckdb(memory_bytes=400 << 20, threads=1, spool=Path(folder))
except DatabaseError as error:
    print(json.dumps({"error": str(error), "cause": repr(error.__cause__)}))
else:
    asked = "SELECT loaded FROM duckdb_extensions() WHERE extension_name = 'postgres_scanner'"
    print(json.dumps({"loaded": db.execute(asked).fetchone()}))
"""


def opened(folder: Path, *, wheel: Path | None = None) -> dict[str, Any]:
    """What comes of opening with another wheel, or none, where `folder` is the user's home."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(folder), str(wheel or "")],
        check=True, capture_output=True, text=True, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def install(folder: Path, repository: Path) -> list[tuple[bool]]:
    """Whether the scanner is loaded after it was installed from a repository in a folder."""
    with open_duckdb(memory_bytes=400 << 20, threads=1, spool=folder) as db:
        db.execute(f"SET extension_directory = '{folder / 'extensions'}'")
        db.execute(f"SET custom_extension_repository = '{repository}'")
        install_postgres(db)
        return db.execute(
            "SELECT loaded FROM duckdb_extensions() WHERE extension_name = 'postgres_scanner'"
        ).fetchall()


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
    line = f"pip install duckdb-extension-postgres-scanner=={duckdb.__version__}"
    with pytest.raises(DatabaseError, match=line) as caught:
        install(tmp_path, tmp_path / "not-there")
    assert caught.value.__cause__ is None


def test_an_extension_comes_from_duckdbs_repository_where_the_wheel_is_not(tmp_path: Path) -> None:
    assert install(tmp_path, repository(tmp_path)) == [(True,)]


def test_a_repositorys_extension_that_was_tampered_with_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="has no postgres extension"):
        install(tmp_path, repository(tmp_path, is_tampered=True))


@pytest.mark.parametrize("is_tampered", [False, True])
def test_without_the_wheel_what_was_installed_must_be_signed(
    is_tampered: bool, tmp_path: Path
) -> None:
    [(platform,)] = duckdb.sql("PRAGMA platform").fetchall()
    place = tmp_path / ".duckdb" / "extensions" / f"v{duckdb.__version__}" / platform
    place.mkdir(parents=True)
    content = extension().read_bytes()
    file = place / "postgres_scanner.duckdb_extension"
    file.write_bytes(tampered(content) if is_tampered else content)
    said = opened(tmp_path)
    if is_tampered:
        assert "has no postgres extension" in said["error"]
    else:
        assert said == {"loaded": [True]}


def test_a_wheel_that_is_damaged_names_the_line_that_mends_it(tmp_path: Path) -> None:
    place = tmp_path / "duckdb_extension_postgres_scanner" / "extensions"
    file = place / f"v{duckdb.__version__}" / "postgres_scanner.duckdb_extension"
    file.parent.mkdir(parents=True)
    (place.parent / "__init__.py").touch()
    file.write_bytes(extension().read_bytes()[:-1000])
    said = opened(tmp_path, wheel=tmp_path)

    line = f"pip install --force-reinstall duckdb-extension-postgres-scanner=={duckdb.__version__}"
    assert said["error"].endswith(line)
    assert said["cause"] == "None"


def test_nothing_unsigned_is_loaded_after_the_wheels_extension(tmp_path: Path) -> None:
    file = tmp_path / "other.duckdb_extension"
    file.write_bytes(tampered(extension().read_bytes()))
    with (
        open_postgres_duckdb(memory_bytes=400 << 20, threads=1, spool=tmp_path) as db,
        pytest.raises(duckdb.Error, match="signature"),
    ):
        db.execute(f"LOAD '{file}'")
