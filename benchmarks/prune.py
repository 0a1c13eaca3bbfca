"""Measure `airkeep prune` beside Airflow's own `airflow db clean`, and who waits for them.

    python -m benchmarks.prune [--rows 1000000] [--write]

Both get a copy of the same database, in which a few old rows were changed and added since its
snapshot, as people do: a task set to another state, a note, an XCom. While they work a process
writes as a scheduler does. Afterwards the database is looked at for three kinds of mistakes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from tempfile import mkdtemp
from time import sleep
from typing import Any

from airkeep.database.server import Server
from benchmarks import contestants as who
from benchmarks import data
from benchmarks.contest import environment
from benchmarks.data import PROJECT, Source, ask, connection_environment, start_server, whole
from benchmarks.meter import measure
from benchmarks.report import Table, machine, write_page

AIRFLOW = PROJECT / ".cache" / "airflow" / "3.3.2" / "bin" / "airflow"
WRITER = Path(__file__).parent / "peers" / "scheduler.py"
LIMIT_S = 3600
ALONE_S = 20.0
TARGET = "target_prune"
OURS, CLEAN, CLEAN_BATCHES = (
    "airkeep prune", "airflow db clean --skip-archive",
    "airflow db clean --skip-archive --batch-size 5000",
)  # fmt: skip

# Since the snapshot: rows of old runs that somebody touched, which no backup holds as they are.
CHANGES = """
CREATE TABLE bench_touched AS SELECT id, dag_id, run_id FROM dag_run WHERE state = 'success'
  AND run_after < '{cutoff}' ORDER BY md5(id::text) LIMIT 150;
CREATE TABLE bench_tasks AS SELECT DISTINCT ON (r.id) t.id, r.id AS run FROM task_instance t
  JOIN bench_touched r USING (dag_id, run_id) WHERE r.id % 3 = 0 ORDER BY r.id, t.id;
UPDATE task_instance SET state = 'failed', hostname = 'set by hand'
  WHERE id IN (SELECT id FROM bench_tasks);
INSERT INTO dag_run_note (dag_run_id, content, created_at, updated_at)
  SELECT id, 'why', now(), now() FROM bench_touched WHERE id % 3 = 1 ON CONFLICT (dag_run_id)
  DO UPDATE SET content = 'why';
INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_result, dag_id, run_id, value, timestamp)
  SELECT DISTINCT ON (r.id) r.id, t.task_id, t.map_index, 'added', false, r.dag_id, r.run_id, '1',
  now() FROM bench_touched r JOIN task_instance t USING (dag_id, run_id) WHERE r.id % 3 = 2;
"""
# Rows that nobody has any more; runs that stay without some of their tasks; old runs that stay
# though nothing keeps them.
MISTAKES = {
    "rows lost": "SELECT (SELECT count(*) FROM bench_tasks b WHERE NOT EXISTS (SELECT FROM "
    "task_instance t WHERE t.id = b.id)) + (SELECT count(*) FROM bench_touched b WHERE id % 3 = 1 "
    "AND NOT EXISTS (SELECT FROM dag_run_note n WHERE n.dag_run_id = b.id)) + (SELECT count(*) "
    "FROM bench_touched b WHERE id % 3 = 2 AND EXISTS (SELECT FROM bench_had h WHERE h.dag_id = "
    "b.dag_id AND h.run_id = b.run_id) AND NOT EXISTS (SELECT FROM xcom x WHERE "
    "x.dag_run_id = b.id AND x.key = 'added'))",
    "runs left in part": "SELECT count(*) FROM dag_run r JOIN bench_had h USING (dag_id, run_id) "
    "WHERE h.tasks > (SELECT count(*) FROM task_instance t WHERE t.dag_id = r.dag_id "
    "AND t.run_id = r.run_id)",
    "old runs left": "SELECT count(*) FROM dag_run r WHERE state IN ('success', 'failed') AND "
    "greatest(end_date, start_date, queued_at, run_after, logical_date) < '{cutoff}' "
    "AND id NOT IN (SELECT id FROM bench_touched) AND NOT EXISTS (SELECT FROM dag_run_note n "
    "WHERE n.dag_run_id = r.id AND n.content = 'seen') "
    "AND EXISTS (SELECT FROM dag_run l WHERE l.dag_id = r.dag_id AND l.run_type = r.run_type "
    "AND l.state = r.state AND l.id > r.id AND l.run_after > r.run_after "
    "AND l.logical_date > r.logical_date AND l.start_date > r.start_date)",
    "old log lines left": "SELECT count(*) FROM log WHERE dttm < '{cutoff}'",
}


@dataclass(frozen=True)
class Outcome:
    """One contestant's run."""

    name: str
    figures: dict[str, Any]
    waits: dict[str, list[float]]
    gone: int
    mistakes: dict[str, int]


def commands(lake: str, cutoff: str) -> dict[str, list[str]]:
    """Who takes part, by name."""
    clean = [
        str(AIRFLOW),
        "db",
        "clean",
        "--clean-before-timestamp",
        cutoff,
        "--skip-archive",
        "-y",
    ]
    ours = [who.AIRKEEP, "prune", "env:", lake, "--older-than", cutoff, "-q"]
    return {OURS: ours, CLEAN: clean, CLEAN_BATCHES: [*clean, "--batch-size", "5000"]}


class Bench:
    """One database, its snapshot, and a copy of it for each contestant.

    The copies carry the number of the database that was exported, as a prune wants the very one.
    """

    def __init__(self, server: Server, source: Source, lake: str, cutoff: str) -> None:
        self._server, self._source, self._lake, self._cutoff = server, source, lake, cutoff
        server.drop(TARGET)
        server.create(TARGET, template=source.name)
        self._oid = ask(
            server, TARGET, "SELECT oid FROM pg_database WHERE datname = current_database()"
        )
        self.url = source.url.replace(source.name, TARGET)
        around = environment(connection_environment(self.url))
        command = [who.AIRKEEP, "export", "env:", lake, "-e", "prod", "-q", "--allow-plain"]
        self.export = measure(
            command, environment=around, log=data.CACHE / "last.log", limit_s=LIMIT_S
        )

    def again(self) -> None:
        server, name = self._server, self._source.name
        server.drop(TARGET)
        server.run(
            "psql", "--quiet", f"--command=CREATE DATABASE {TARGET} TEMPLATE {name} OID {self._oid}"
        )
        had = (
            "CREATE TABLE bench_had AS SELECT dag_id, run_id, count(*) AS tasks "
            "FROM task_instance GROUP BY 1, 2;"
        )
        script = had + CHANGES.format(cutoff=self._cutoff) + "; ANALYZE; CHECKPOINT"
        for statement in script.split(";"):
            if statement.strip():
                server.run("psql", "--quiet", f"--command={statement}", database=TARGET)

    def rows(self) -> int:
        counted = " + ".join(f"(SELECT count(*) FROM {t})" for t in self._source.tables)
        return int(ask(self._server, TARGET, f"SELECT {counted}"))

    def alone(self) -> dict[str, list[float]]:
        """How long the writer's statements take when nobody deletes."""
        self.again()
        with self.writer() as waits:
            sleep(ALONE_S)
        return waits

    def run(self, name: str, command: list[str]) -> Outcome:
        self.again()
        before = self.rows()
        around = environment(connection_environment(self.url))
        around |= {"AIRFLOW_HOME": self._lake + "-home", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        with self.writer() as waits:
            log = data.CACHE / "last.log"
            figures = measure(command, environment=around, log=log, limit_s=LIMIT_S)
        made = sum(len(waits[deed]) for deed in ("insert", "log", "note on an old run"))
        mistakes = {
            what: int(ask(self._server, TARGET, question.format(cutoff=self._cutoff)))
            for what, question in MISTAKES.items()
        }
        return Outcome(name, figures, waits, before - self.rows() + made, mistakes)

    @contextmanager
    def writer(self) -> Iterator[dict[str, list[float]]]:
        """The process that writes; its times are there at the end."""
        waits: dict[str, list[float]] = {}
        process = subprocess.Popen(
            [sys.executable, str(WRITER), self._cutoff, "7"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment(connection_environment(self.url)),
        )  # fmt: skip
        if process.stdout is None or process.stdout.readline().strip() != "ready":
            raise RuntimeError("the writer did not begin")
        try:
            yield waits
        finally:
            told, _ = process.communicate("end\n", timeout=60)
        waits.update(json.loads(told))


def latencies(name: str, waits: dict[str, list[float]]) -> list[list[str]]:
    """Median, p99 and the longest of each deed, in milliseconds."""
    rows = []
    for deed, found in waits.items():
        if len(found) > 1:
            parts = quantiles(found, n=100, method="inclusive")
            shown = (parts[49], parts[98], max(found))
            rows.append([f"{name}: {deed}", *(f"{s * 1000:.1f}" for s in shown), str(len(found))])
    return rows


def tables(bench: Bench, outcomes: list[Outcome], alone: dict[str, list[float]]) -> list[Table]:
    """What is printed."""
    done = [
        [o.name, f"{o.figures['cpu_s']:.1f}", f"{o.figures['wall_s']:.1f}",
         f"{o.figures['peak_bytes'] / 1e6:.0f}", f"{o.gone:,}",
         *(f"{n:,}" for n in o.mistakes.values())]
        for o in outcomes
    ]  # fmt: skip
    waits = [row for o in outcomes for row in latencies(o.name, o.waits)]
    return [
        Table(
            f"Prune, beside a writer (the export before took {bench.export['wall_s']:.1f} s)",
            ["", "CPU s", "wall s", "peak MB", "rows deleted", *MISTAKES],
            done,
        ),
        Table(
            "How long the writer's statements took, ms",
            ["", "p50", "p99", "longest", "statements"],
            [*latencies("nobody deletes", alone), *waits],
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure prune beside airflow db clean.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", help="contestants whose name has one of these words")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    arguments = parser.parse_args()
    about = machine()
    with start_server() as server:
        source = whole(server, arguments.rows)
        question = (
            "SELECT percentile_disc(0.7) WITHIN GROUP (ORDER BY run_after)::date FROM dag_run"
        )
        cutoff = ask(server, source.name, question)
        lake = mkdtemp(prefix="prune-", dir=data.CACHE)
        try:
            bench = Bench(server, source, lake, cutoff)
            wanted = {
                name: command
                for name, command in commands(lake, cutoff).items()
                if not arguments.only or any(word in name for word in arguments.only)
            }
            alone = bench.alone()
            found = tables(bench, [bench.run(*one) for one in wanted.items()], alone)
        finally:
            shutil.rmtree(lake)
            shutil.rmtree(lake + "-home", ignore_errors=True)
            server.drop(TARGET)
    print("\n".join(about), *(t.text() for t in found), sep="\n")
    if arguments.write:
        write_page("prune", about, found)


if __name__ == "__main__":
    main()
