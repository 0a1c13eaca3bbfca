"""The PostgreSQL scanner without its wheel: from DuckDB's repository, or an error that says how."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_postgres_scanner as wheel

LOAD = """
import json, sys
from pathlib import Path
sys.modules["duckdb_extension_postgres_scanner"] = None  # as if it were not installed
from airkeep.database.duck import load_postgres, open_duckdb
from airkeep.errors import DatabaseError
folder, repository = map(Path, sys.argv[1:])
db = open_duckdb(memory_bytes=400 << 20, threads=1, spool=folder)
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


def test_an_extension_that_cannot_be_had_names_the_line_that_installs_it(tmp_path: Path) -> None:
    said = load(tmp_path, tmp_path / "not-there")

    assert f"pip install duckdb-extension-postgres-scanner=={duckdb.__version__}" in said["error"]
    assert said["cause"] == "None"


def test_an_extension_comes_from_duckdbs_repository_where_the_wheel_is_not(tmp_path: Path) -> None:
    [(platform,)] = duckdb.sql("PRAGMA platform").fetchall()
    place = tmp_path / "repository" / f"v{duckdb.__version__}" / platform
    place.mkdir(parents=True)
    [ours] = (f for p in wheel.__path__ for f in Path(p).rglob("postgres_scanner.duckdb_extension"))
    packed = place / "postgres_scanner.duckdb_extension.gz"
    with ours.open("rb") as source, gzip.open(packed, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target)

    assert load(tmp_path, tmp_path / "repository") == {"loaded": [True]}
