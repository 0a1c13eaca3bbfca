"""Measure how long a lake of 5,000 snapshots takes to be listed: `make bench-listing`.

    PYTHONPATH=tests python -m benchmarks.listing [--snapshots 5000] [--runs 5] [--write]

The lake lies on the real S3 server of the tests, on this machine: what a request costs is the
server's work, not the network's. Each snapshot has the manifest and the index entry of one with 50
tables, a schema, and every second one the record of a verification; there are no rows.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from airkeep.snapshot import names
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.manifest import encode
from airkeep.snapshot.names import SnapshotName
from airkeep.snapshot.results import Verified
from benchmarks import contestants as who
from benchmarks.contest import Contestant, hold
from benchmarks.data import CACHE
from benchmarks.report import contest_table, machine, write_page
from fake_lake import commit, make_manifest, snapshot_name
from s3_server import S3Server, running_s3_server

TABLES = 50
SAVERS = 32
IDS = "ids, cold"
NEWEST = "details of the newest 50, cold"
COLD, CACHED = "details of all, cold", "details of all, cached"


def fill(lake: Lake, count: int) -> None:
    """Save what exports and verifications would have left."""

    def save(number: int) -> None:
        name = snapshot_name(number, hours=1)
        save_one(lake, name, is_verified=number % 2 == 0)

    with ThreadPoolExecutor(SAVERS) as pool:
        list(pool.map(save, range(count)))


def save_one(lake: Lake, name: SnapshotName, *, is_verified: bool) -> None:
    small = make_manifest(name)
    [table] = small.tables
    tables = tuple(
        replace(table, label=f"table_{n}", name=f"table_{n}", columns=table.columns * 20)
        for n in range(TABLES)
    )
    manifest = replace(small, tables=tables)
    lake.store.save(manifest.schema_sql.path, b"schema")
    commit(lake.store, manifest)
    if is_verified:
        at = datetime(2026, 11, 21, tzinfo=UTC)
        record = Verified("0" * 64, "full", ok=True, at=at, airkeep="0", files=1, read=1)
        lake.store.save(names.verified_path(name.environment, name.id, at), encode(record))


def contestants(server: S3Server, url: str, cache: Path) -> list[Contestant]:
    around = {**server.variables, "XDG_CACHE_HOME": str(cache)}
    listing = [who.AIRKEEP, "snapshots", url, "-q", "--json"]

    def forget() -> None:
        shutil.rmtree(cache, ignore_errors=True)

    ids = f"import airkeep; assert len(airkeep.Lake({url!r}).names()) > 100"
    return [
        Contestant(IDS, [sys.executable, "-c", ids], around),
        Contestant(NEWEST, listing, around),
        Contestant(COLD, [*listing, "--all"], around, before=forget),
        Contestant(CACHED, [*listing, "--all"], around),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the listing of a large lake.")
    parser.add_argument("--snapshots", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    arguments = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    about = machine()
    with running_s3_server() as server, TemporaryDirectory(dir=CACHE) as folder:
        url = server.new_lake_url()
        fill(Lake(url, options=server.options), arguments.snapshots)
        given = contestants(server, url, Path(folder) / "cache")
        results = hold("Listing", given, rounds=arguments.runs)
    title = f"A lake of {arguments.snapshots:,} snapshots on SeaweedFS"
    table = contest_table(title, results, floor=IDS)
    print("\n".join(about))
    print(table.text())
    if arguments.write:
        write_page("listing", about, [table])


if __name__ == "__main__":
    main()
