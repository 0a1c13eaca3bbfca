"""Measure airkeep beside its peers and print the tables: `make bench`.

    python -m benchmarks.run [--rows 1000000] [--runs 5] [--only export whole restore ...]
                             [--peers airkeep "bare DuckDB scan" ...] [--write]

The database is made once and kept under .cache/bench, as are the peers' virtual environments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryDirectory

from airkeep.database.server import Server
from benchmarks import contestants as who
from benchmarks.contest import Contestant, Result, hold
from benchmarks.data import (
    CACHE,
    TABLE,
    Source,
    connection_environment,
    drop_stale,
    one_table,
    start_server,
    whole,
)
from benchmarks.report import Table, contest_table, machine, write_page

HELP_RUNS = 15
BARE_PYTHON = "python -c pass"
HELP = "airkeep --help"
FULL = "full export"
UNCHANGED = "increment, its tables unchanged"
IDLE = "increment, no transaction since"


@dataclass(frozen=True)
class Target:
    """A number that was asked for: a measure of one contestant, or its ratio over another's."""

    what: str
    contest: str = ""
    name: str = ""
    measure: str = "peak_bytes"
    over: str = ""
    most: float | None = None
    least: float | None = None


TARGETS = (
    Target("export: CPU over the bare scan's", "export", who.OURS, "cpu_s", who.BARE, most=1.15),
    Target("export: wall over the floor's", "export", who.OURS, "wall_s", who.FLOOR, most=1.3),
    Target("export: ADBC's wall over ours", "export", who.ADBC, "wall_s", who.OURS, least=2),
    Target("export: csv loop's CPU over ours", "export", who.CSV_LOOP, "cpu_s", who.OURS, least=11),
    Target("export: peak memory", "export", who.OURS, most=450),
    Target("export: peak memory with --memory 200MB", "export", who.OURS_SMALL, most=200),
    Target("restore: wall over pg_restore's", "restore", who.OURS, "wall_s", who.RESTORE, most=1),
    Target("restore: peak memory", "restore", who.OURS, most=450),
    Target("restore: peak memory with --memory 200MB", "restore", who.OURS_SMALL, most=200),
    Target("increment: wall over full", "increment", UNCHANGED, "wall_s", FULL, most=0.15),
)  # fmt: skip


def unmeasured(target: Target) -> list[str]:
    """One line for a target whose contestant failed or is not here: never left out in silence."""
    asked = f"at most {target.most:g}" if target.most is not None else f"at least {target.least:g}"
    return [target.what, asked, "not measured", "no"]


def judge(target: Target, found: float, unit: str) -> list[str]:
    """One line: asked, found, and whether it is so."""
    if target.most is not None:
        is_met, asked = found <= target.most, f"at most {target.most:g}{unit}"
    else:
        is_met, asked = found >= (target.least or 0), f"at least {target.least:g}{unit}"
    shown = f"{found:.0f}" if unit == " MB" else f"{found:.3g}"
    return [target.what, asked, f"{shown}{unit}", "yes" if is_met else "no"]


class Bench:
    """One run of everything that was asked for; each contest keeps its results for the targets."""

    def __init__(self, server: Server, rows: int, runs: int, peers: Sequence[str]) -> None:
        self._server, self._runs, self._peers = server, runs, frozenset(peers)
        self.whole, self.table = whole(server, rows), one_table(server, rows)
        self.results: dict[str, dict[str, Result]] = {}

    def export(self) -> Table:
        """One table's way out, from a database that has all the others too."""
        given = who.exporters(self.whole, [TABLE], is_whole=False)
        title = f"Export of {TABLE}, {self.whole.table_rows:,} rows"
        return self._contest("export", title, given, floor=who.FLOOR, bare=who.BARE)

    def export_whole(self) -> Table:
        source = self.whole
        given = who.exporters(source, source.tables, is_whole=True)
        title = f"Export of the whole database, {len(source.tables)} tables, {source.rows:,} rows"
        return self._contest("whole", title, given, floor=who.FLOOR, bare=who.BARE)

    def restore(self) -> Table:
        """One table's way back, its keys and indexes included."""
        title = f"Restore of {TABLE}, {self.table.table_rows:,} rows, with its keys and indexes"
        return self._restore("restore", title, self.table, is_whole=False)

    def restore_whole(self) -> Table:
        title = f"Restore of the whole database, {self.whole.rows:,} rows"
        return self._restore("restore-whole", title, self.whole, is_whole=True)

    def increment(self) -> Table:
        """A full export, and increments of a table that is as it was.

        Once beside others' transactions, so every row is looked at, and once without any.
        """

        def write_elsewhere() -> None:
            self._server.run("psql", "--command=SELECT pg_current_xact_id()")

        with TemporaryDirectory(prefix="lake-", dir=CACHE) as lake:
            command = who.export_command((), lake=lake)
            around = connection_environment(self.table.url)
            given = [
                Contestant(FULL, command, around),
                Contestant(UNCHANGED, [*command, "--increment"], around, before=write_elsewhere),
                Contestant(IDLE, [*command, "--increment"], around),
            ]
            title = f"Increment, {TABLE} alone, {self.table.table_rows:,} rows"
            return self._contest("increment", title, given, floor=FULL)

    def help(self) -> Table:
        given = [
            Contestant(BARE_PYTHON, [sys.executable, "-c", "pass"]),
            Contestant(HELP, [who.AIRKEEP, "--help"]),
        ]
        return self._contest("help", "Answering --help", given, floor=BARE_PYTHON, rounds=HELP_RUNS)

    def _restore(self, key: str, title: str, source: Source, *, is_whole: bool) -> Table:
        try:
            with who.restorers(self._server, source, is_whole=is_whole) as given:
                return self._contest(key, title, given, floor=who.RESTORE)
        finally:
            who.drop_target(self._server, source)

    def _contest(
        self,
        key: str,
        title: str,
        given: Sequence[Contestant],
        *,
        floor: str,
        bare: str | None = None,
        rounds: int | None = None,
    ) -> Table:
        always = {floor, bare, FULL, UNCHANGED, IDLE, HELP}
        chosen = [c for c in given if not self._peers or c.name in self._peers | always]
        results = hold(title, chosen, rounds=rounds or self._runs)
        self.results[key] = {r.name: r for r in results}
        return contest_table(title, results, floor=floor, bare=bare)

    # What was asked for.

    def targets(self) -> Table:
        """Every number that was asked for, beside what was found."""
        rows = [row for target in TARGETS if (row := self._judge(target)) is not None]
        rows += [row for row in [self._help_target()] if row is not None]
        return Table("Asked and found", ["", "asked", "found", ""], rows)

    def _judge(self, target: Target) -> list[str] | None:
        results = self.results.get(target.contest, {})
        one, other = results.get(target.name), results.get(target.over)
        if one is None or (target.over and other is None):
            return None
        if one.failed or (other is not None and other.failed):
            return unmeasured(target)
        if target.over:
            found = None if other is None else one.ratio(other, target.measure)
            unit = ""
        else:
            found, unit = one.median(target.measure) / 1e6, " MB"
        return None if found is None else judge(target, found, unit)

    def _help_target(self) -> list[str] | None:
        results = self.results.get("help")
        if not results:
            return None
        ours, bare = results[HELP].runs, results[BARE_PYTHON].runs
        over = median(ours[n].wall_s - bare[n].wall_s for n in ours)
        return judge(Target("airkeep --help over a bare interpreter", most=0.3), over, " s")


CONTESTS: dict[str, Callable[[Bench], Table]] = {
    "export": Bench.export,
    "whole": Bench.export_whole,
    "restore": Bench.restore,
    "restore-whole": Bench.restore_whole,
    "increment": Bench.increment,
    "help": Bench.help,
}


def main() -> None:
    arguments = _arguments()
    CACHE.mkdir(parents=True, exist_ok=True)
    about = machine()
    with start_server() as server:
        drop_stale(server)
        bench = Bench(server, arguments.rows, arguments.runs, arguments.peers)
        print("\n".join(about))
        tables = []
        for make in (*(CONTESTS[name] for name in arguments.only), Bench.targets):
            tables.append(make(bench))
            print(tables[-1].text(), flush=True)
    if arguments.write:
        write_page("run", about, tables)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure airkeep beside its peers.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="task instances, about")
    parser.add_argument("--runs", type=int, default=5, help="rounds of each contest")
    parser.add_argument("--only", nargs="+", choices=CONTESTS, default=list(CONTESTS))
    parser.add_argument(
        "--peers", nargs="+", default=[], metavar="NAME",
        help="only these contestants, beside those that ratios are taken of",
    )  # fmt: skip
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
