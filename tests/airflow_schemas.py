"""The schemas of real Airflows, as the tests of `tables` read them."""

from __future__ import annotations

import gzip
import json
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
OURS = ("1.10.12", "2.2.2", "2.6.3", "2.11.2", "3.0.6", "3.3.2-fab")
ALL = tuple(path.stem for path in sorted((SHARED / "schemas").glob("*.json"))) or OURS

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")

Tables = dict[str, dict[str, Any]]


@cache
def schema(version: str) -> Tables:
    """The tables of one Airflow version, as its own migrations left them."""
    packed = ROOT / "data" / "schemas" / f"{version}.json.gz"
    if packed.exists():
        text = gzip.decompress(packed.read_bytes())
    else:
        text = (SHARED / "schemas" / f"{version}.json").read_bytes()
    tables: Tables = json.loads(text)["tables"]
    return tables


def columns_of(version: str) -> dict[str, list[str]]:
    return {table: list(about["columns"]) for table, about in schema(version).items()}


def database(version: str) -> sqlite3.Connection:
    """An empty database with all tables of a version, keys checked and foreign keys not."""
    db = sqlite3.connect(":memory:")
    for table, about in schema(version).items():
        lines = [f'"{name}" {_affinity(c["type"])}' for name, c in about["columns"].items()]
        keys = [about["primary_key"], *about["unique"]]
        lines += [f"UNIQUE ({', '.join(key['columns'])})" for key in keys if key]
        db.execute(f'CREATE TABLE "{table}" ({", ".join(lines)})')
    return db


def _affinity(kind: str) -> str:
    return "INTEGER" if kind in {"integer", "bigint", "boolean"} else "TEXT"
