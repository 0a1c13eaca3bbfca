"""Write src/airkeep/tables/shapes.tsv from the descriptions of Airflow's own schemas.

    uv run python tools/make_shapes.py [../shared/data/schemas]

Nothing runs this in a build: the file is committed, and a test compares the two while
../shared lies beside the project. A table that looks the same in several versions is one line.
The tables of the FAB provider are taken from the description that has them, under the
version that they came with.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "schemas"
TARGET = ROOT / "src" / "airkeep" / "tables" / "shapes.tsv"
HEAD = (
    "# made by tools/make_shapes.py: versions; then table, versions, key, columns (! is NOT NULL)"
)
SHORT = {
    "character varying": "varchar",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "double precision": "double",
}


def order(version: str) -> list[int]:
    """Versions sort as numbers do."""
    return [int(part) for part in version.split(".")]


def versions(folder: Path) -> dict[str, dict[str, Any]]:
    """The tables of each version, oldest first; FAB's too where they are described."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.json")):
        version = file.stem.removesuffix("-fab")
        tables = json.loads(file.read_text())["tables"]
        found[version] = {**found.get(version, {}), **tables}  # "-fab" sorts before it
    return {version: found[version] for version in sorted(found, key=order)}


def line(table: dict[str, Any]) -> str:
    """Key and columns of one table."""
    key = ",".join((table["primary_key"] or {"columns": []})["columns"])
    columns = []
    for name, column in table["columns"].items():
        kind = re.sub("|".join(SHORT), lambda word: SHORT[word[0]], column["type"])
        columns.append(f"{name} {kind}{'' if column['nullable'] else '!'}")
    return f"{key}\t{'; '.join(columns)}"


def text(found: dict[str, dict[str, Any]]) -> str:
    """The whole file."""
    seen: dict[tuple[str, str], list[str]] = {}
    for number, tables in enumerate(found.values()):
        for name, table in tables.items():
            seen.setdefault((name, line(table)), []).append(str(number))
    rows = [f"{name}\t{','.join(at)}\t{what}" for (name, what), at in sorted(seen.items())]
    return "\n".join([HEAD, " ".join(found), *rows]) + "\n"


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE
    TARGET.write_text(text(versions(source)), encoding="utf-8")
    print(f"{TARGET}: {len(TARGET.read_text().splitlines()) - 2} tables")
