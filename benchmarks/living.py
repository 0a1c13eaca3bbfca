"""Measure a restore into an environment in use, and who waits for it.

    python -m benchmarks.living [--rows 1000000] [--write]

The target is a copy of the exported database that lost its older half: runs, what hangs on them,
the log. The numbers of the runs that stay are those that the lost ones had, so that every run comes
back under another number, and each of its XComs follows. While the restore works a process writes
as a scheduler does.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from airkeep.database.server import Server
from benchmarks import contestants as who
from benchmarks import data
from benchmarks.contest import environment
from benchmarks.data import Source, ask, connection_environment, start_server, whole
from benchmarks.meter import measure
from benchmarks.prune import LIMIT_S, TARGET, Bench, latencies
from benchmarks.report import Table, machine, write_page

HALF = "(SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM dag_run)"
LOST = f"""
DELETE FROM dag_run WHERE id <= {HALF};
DELETE FROM log WHERE id <= (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM log);
SET session_replication_role = replica;
CREATE TEMP TABLE moved AS SELECT id AS old, row_number() OVER (ORDER BY id) AS new FROM dag_run;
UPDATE dag_run t SET id = m.new FROM moved m WHERE t.id = m.old;
UPDATE xcom t SET dag_run_id = m.new FROM moved m WHERE t.dag_run_id = m.old;
UPDATE dag_run_note t SET dag_run_id = m.new FROM moved m WHERE t.dag_run_id = m.old;
UPDATE dagrun_asset_event t SET dag_run_id = m.new FROM moved m WHERE t.dag_run_id = m.old;
UPDATE backfill_dag_run t SET dag_run_id = m.new FROM moved m WHERE t.dag_run_id = m.old;
ANALYZE; CHECKPOINT
"""
YOUNG = "SELECT percentile_disc(0.75) WITHIN GROUP (ORDER BY run_after)::date FROM dag_run"


class Living(Bench):
    """One database, its snapshot, and a copy that lost half of it."""

    def again(self) -> None:
        server = self._server
        server.drop(TARGET)
        server.create(TARGET, template=self._source.name)
        script = Path(self._lake + ".sql")
        script.write_text(LOST)
        server.run("psql", "--quiet", f"--file={script}", database=TARGET)
        script.unlink()

    def restore(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, list[float]]]:
        """What it cost, what it said, and how long the writer's statements took."""
        self.again()
        around = environment(connection_environment(self.url))
        command = [
            who.AIRKEEP, "restore", self._lake, "latest", "env:", "--on-conflict", "skip",
            "--in-flight", "keep", "--missed-runs", "make", "--json", "-q",
        ]  # fmt: skip
        log = data.CACHE / "last.log"
        log.write_text("")  # what came before is not JSON
        with self.writer() as waits:
            figures = measure(command, environment=around, log=log, limit_s=LIMIT_S)
        said = json.loads(log.read_text())
        return figures, said, waits


def tables(server: Server, bench: Living) -> list[Table]:
    """What is printed."""
    alone = bench.alone()
    figures, said, waits = bench.restore()
    fates: dict[str, int] = {}
    for table in said["plan"]["tables"]:
        for fate in table["fates"]:
            fates[fate["kind"]] = fates.get(fate["kind"], 0) + fate["rows"]
    tasks = int(ask(server, TARGET, "SELECT count(*) FROM task_instance"))
    return [
        Table(
            f"Restore into a database in use (afterwards {tasks:,} task instances)",
            ["", "CPU s", "wall s", "of it under locks s", "peak MB", *fates],
            [
                ["airkeep restore --on-conflict skip", f"{figures['cpu_s']:.1f}",
                 f"{figures['wall_s']:.1f}", f"{said['locked_s']:.1f}",
                 f"{figures['peak_bytes'] / 1e6:.0f}", *(f"{n:,}" for n in fates.values())]
            ],
        ),
        Table(
            "How long the writer's statements took, ms",
            ["", "p50", "p99", "longest", "statements"],
            [*latencies("nobody restores", alone), *latencies("during the restore", waits)],
        ),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a restore into a database in use.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    arguments = parser.parse_args()
    about = machine()
    with start_server() as server:
        source: Source = whole(server, arguments.rows)
        lake = mkdtemp(prefix="living-", dir=data.CACHE)
        try:
            bench = Living(server, source, lake, ask(server, source.name, YOUNG))
            found = tables(server, bench)
        finally:
            shutil.rmtree(lake)
            server.drop(TARGET)
    print("\n".join(about), *(t.text() for t in found), sep="\n")
    if arguments.write:
        write_page("living", about, found)


if __name__ == "__main__":
    main()
