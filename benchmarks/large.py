"""Measure one table of 10 M rows beside one of 1 M: `make bench-large`.

    python -m benchmarks.large [--rows 10000000] [--seed-rows 1000000] [--runs 3] [--write]

Memory must not grow with the table. airkeep and the bare scan only; the peers are in `run`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks import contestants as who
from benchmarks.contest import Contestant, Result, hold
from benchmarks.data import (
    CACHE,
    TABLE,
    Source,
    connection_environment,
    drop_stale,
    large_table,
    one_table,
    start_server,
)
from benchmarks.report import Table, contest_table, machine, write_page
from benchmarks.run import Target, judge, unmeasured


def contestants(source: Source) -> list[Contestant]:
    around = connection_environment(source.url)
    command = who.export_command([TABLE])
    return [
        Contestant(who.OURS, command, around),
        Contestant(who.OURS_SMALL, [*command, "--memory", "200MB"], around),
        who.bare(source, [TABLE], memory="400MB"),
    ]


def targets(contests: Sequence[tuple[Source, Sequence[Result]]]) -> Table:
    rows = []
    for source, results in contests:
        for result, most in zip(results, (450, 200), strict=False):
            what = f"highest peak of {result.name}, {source.table_rows:,} rows"
            target = Target(what, most=most)
            peak = max((run.peak_bytes for run in result.runs.values()), default=0) / 1e6
            rows.append(judge(target, peak, " MB") if result.runs else unmeasured(target))
    return Table("Asked and found", ["", "asked", "found", ""], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one large table.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seed-rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    arguments = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    about = machine()
    tables, contests = [], []
    with start_server() as server:
        drop_stale(server)
        large = large_table(server, arguments.rows, seed_rows=arguments.seed_rows)
        for source in (one_table(server, arguments.seed_rows), large):
            title = f"Export of {TABLE}, {source.table_rows:,} rows"
            results = hold(title, contestants(source), rounds=arguments.runs)
            contests.append((source, results))
            tables.append(contest_table(title, results, floor=who.BARE, bare=who.BARE))
    tables.append(targets(contests))
    print("\n".join(about))
    for table in tables:
        print(table.text())
    if arguments.write:
        write_page("large", about, tables)


if __name__ == "__main__":
    main()
