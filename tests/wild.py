"""Every database under ../shared/data in a lake: found in public, made by Airflows, and empty."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airkeep.database.address import parse_address
from airkeep.database.server import Cluster
from airkeep.export.run import export
from airkeep.snapshot.lake import Lake
from servers import Databases, query

NOT_AIRFLOW = {"empty", "not-airflow", "not-airflow-appbuilder", "celery-result-backend"}
Ask = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Source:
    """A database that was exported into the lake.

    Attributes:
        environment: what the lake calls it.
        ask: run one statement on the database itself.
        columns: of each of its tables.
    """

    environment: str
    ask: Ask
    columns: dict[str, set[str]]


def export_found(
    shared: Path, server: Cluster, databases: Databases, lake: Lake, folder: Path
) -> list[Source]:
    """Export every database that has rows, and is an Airflow's.

    Args:
        databases: alive as long as the sources are asked.
        folder: for copies of SQLite files.
    """
    files = [file for file in shared.glob("data/*/*.db") if file.parent.name != "wild"]
    sources = [_from_file(file, lake, folder) for file in sorted(files)]
    for file in sorted(shared.glob("data/airflow/*.dump")):
        if file.stem not in NOT_AIRFLOW:
            url = databases.dump(file)
            sources.append(_exported(f"pg-{file.stem}", url, _postgres(url), lake))
    return [*sources, *export_wild(shared, server, databases, lake, folder)]


def export_wild(
    shared: Path, server: Cluster, databases: Databases, lake: Lake, folder: Path
) -> list[Source]:
    """Export those that were found in public, SQLite files and SQL dumps; arguments as above."""
    files = sorted(f for f in shared.glob("data/wild/*.db") if f.stem not in NOT_AIRFLOW)
    dumps = sorted(shared.glob("data/wild/*.sql"))
    return [
        *(_from_file(file, lake, folder) for file in files),
        *(_from_sql(file, server, databases, lake) for file in dumps),
    ]


def export_schemas(shared: Path, server: Cluster, databases: Databases, lake: Lake) -> list[Source]:
    """Export a database of every version whose schema is at hand: all tables, no row."""
    files = sorted(shared.glob("data/schemas/*.sql"))
    return [_from_sql(file, server, databases, lake) for file in files]


def _from_file(file: Path, lake: Lake, folder: Path) -> Source:
    ask = _sqlite(_copied(file, folder))
    return _exported(f"{file.parent.name}-{file.stem}", str(file), ask, lake)


def _from_sql(file: Path, server: Cluster, databases: Databases, lake: Lake) -> Source:
    url = databases.empty()
    text = file.read_text(encoding="utf-8")
    # Owners' roles are not here; psql goes on after those lines, as its user would.
    database = parse_address(url).database
    server.run("psql", "-q", "-v", "ON_ERROR_STOP=0", stdin=text, database=database)
    return _exported(f"{file.parent.name}-{file.stem}", url, _postgres(url), lake)


def _exported(name: str, place: str, ask: Ask, lake: Lake) -> Source:
    snapshot = export(place, lake, environment=name, allow_plain=True)
    return Source(
        name, ask, {t.label: {c.name for c in t.columns} for t in snapshot.manifest.tables}
    )


def _copied(file: Path, folder: Path) -> Path:
    copy = folder / file.parent.name / file.name
    copy.parent.mkdir(exist_ok=True)
    for suffix in ("", "-wal"):
        if Path(f"{file}{suffix}").exists():
            shutil.copyfile(f"{file}{suffix}", f"{copy}{suffix}")
    return copy


def _sqlite(file: Path) -> Ask:
    def ask(statement: str) -> list[tuple[Any, ...]]:
        db = sqlite3.connect(file)
        try:
            return db.execute(statement).fetchall()
        finally:
            db.close()

    return ask


def _postgres(url: str) -> Ask:
    return lambda statement: query(url, statement)
