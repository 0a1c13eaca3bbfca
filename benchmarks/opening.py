"""Measure how long a lake of 1,000 snapshots takes to be opened: `make bench-opening`.

    PYTHONPATH=tests python -m benchmarks.opening [--snapshots 1000] [--runs 5] [--write]

Each snapshot has the manifest of 50 tables of 20 columns and one small file of dag_run; every tenth
is full, the others are increments. Opened is a lake when a question can be asked: its names are
listed, the manifests that the question needs are read, the views are made. The lake lies in a
folder, and on the real S3 server of the tests, on this machine: what a request costs is the
server's work, not the network's. A process of its own each time; its start is the floor.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from airkeep.snapshot import manifest as m
from airkeep.snapshot import names
from airkeep.snapshot.lake import Lake
from benchmarks.contest import LOG, Contestant, hold
from benchmarks.data import CACHE
from benchmarks.report import contest_table, machine, write_page
from fake_lake import commit, make_manifest, snapshot_name
from s3_server import running_s3_server

TABLES = 50
COLUMNS = 20
CHAIN = 10
SAVERS = 32
FLOOR = "imports alone"
QUESTIONS = {"newest state": "dag_run", "history": "dag_run_history"}

OPEN = """
import sys
from pathlib import Path
from tempfile import mkdtemp

from airkeep.lake.connect import connect
from airkeep.snapshot.cache import Cache
from airkeep.snapshot.lake import Lake

import duckdb, sqlglot

url, cache, table = sys.argv[1:]
lake = Lake(url)
if table:
    read = []
    remember = Cache(lake.store, Path(cache)).load
    lake = Lake(url, load=lambda path: read.append(path) or remember(path))
    with connect(lake, folder=Path(mkdtemp(dir=cache))) as opened:
        opened.need([table])
    print(len(read), file=sys.stderr)
"""


def fill(lake: Lake, count: int) -> None:
    """Save what exports would have left."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = BytesIO()
    columns = {f"column_{n}": ["a value"] for n in range(COLUMNS)}
    pq.write_table(pa.table(columns), rows)
    data = rows.getvalue()
    manifests: list[m.Manifest] = []
    for number in reversed(range(count)):
        parent = manifests[-1] if len(manifests) % CHAIN else None
        manifests.append(_manifest(number, parent, data))

    def save(manifest: m.Manifest) -> None:
        lake.store.save(manifest.schema_sql.path, b"schema")
        lake.store.save(manifest.tables[0].files[0].path, data)
        commit(lake.store, manifest)

    with ThreadPoolExecutor(SAVERS) as pool:
        list(pool.map(save, manifests))


def _manifest(number: int, parent: m.Manifest | None, data: bytes) -> m.Manifest:
    name = snapshot_name(number, hours=1)
    small = make_manifest(name, parent=parent)
    columns = tuple(m.ColumnEntry(f"column_{n}", "text", "VARCHAR") for n in range(COLUMNS))
    reference = m.ReferenceEntry("fk", ("column_1",), "dag", ("column_1",))
    tables = []
    for n in range(TABLES):
        label = "dag_run" if n == 0 else f"table_{n}"
        path = f"{names.data_folder(label, name.environment, name.id)}/00000.parquet"
        file = m.FileEntry(path, 1, len(data), sha256(data).hexdigest())
        entry = m.TableEntry(
            *(label, "public", label, "run", columns, ("column_0",), (reference,), 1, (file,)),
            whole=parent is None,
        )
        tables.append(entry)
    return replace(small, tables=tuple(tables))


def contestants(
    where: str, url: str, cache: Path, around: Mapping[str, str], read: dict[str, int]
) -> list[Contestant]:
    """Each question cold and cached; `read` takes how many manifests each one reads."""

    def forget() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)

    def opening(table: str) -> list[str]:
        return [sys.executable, "-c", OPEN, url, str(cache), table]

    found = []
    for what, table in QUESTIONS.items():
        name = f"{what}, {where}"

        def note(name: str = name) -> str:
            read[name] = int(LOG.read_text().split()[-1])
            return ""

        cold = Contestant(f"{name}, cold", opening(table), around, before=forget, check=note)
        found.append(cold)
        found.append(Contestant(f"{name}, cached", opening(table), around))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the opening of a large lake.")
    parser.add_argument("--snapshots", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    arguments = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    about = machine()
    with running_s3_server() as server, TemporaryDirectory(dir=CACHE) as folder:
        bucket, local = server.new_lake_url(), str(Path(folder) / "lake")
        fill(Lake(bucket, options=server.options), arguments.snapshots)
        fill(Lake(local), arguments.snapshots)
        read: dict[str, int] = {}
        floor = Contestant(FLOOR, [sys.executable, "-c", OPEN, local, folder, ""], {})
        given = [
            floor,
            *contestants("folder", local, Path(folder) / "cache-1", {}, read),
            *contestants("SeaweedFS", bucket, Path(folder) / "cache-2", server.variables, read),
        ]
        results = hold("Opening", given, rounds=arguments.runs)
    about.append("Manifests read: " + ", ".join(f"{name} {n:,}" for name, n in read.items()))
    title = f"A lake of {arguments.snapshots:,} snapshots is opened"
    table = contest_table(title, results, floor=FLOOR)
    print("\n".join(about))
    print(table.text())
    if arguments.write:
        write_page("opening", about, [table])


if __name__ == "__main__":
    main()
