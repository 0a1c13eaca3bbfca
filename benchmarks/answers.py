"""Ask a lake of 10 M task instances everything: `make bench-answers`.

    python -m benchmarks.answers [--rows 10000000] [--runs 3] [--write]

All marts and the report by airkeep; and five headline questions by airkeep, by the living
PostgreSQL, by pandas and by Spark over the same Parquet files. The database answers from what it
still has; the lake also knows the tries that it forgot since.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from airkeep.database.server import Server
from airkeep.snapshot.lake import Lake
from benchmarks import contestants as who
from benchmarks.contest import Contestant, Result, hold
from benchmarks.data import CACHE, TABLE, Source, connection_environment, start_server
from benchmarks.history import ENVIRONMENTS, long_history, make_lake
from benchmarks.report import Table, contest_table, machine, write_page
from benchmarks.run import Target, judge, unmeasured
from benchmarks.venvs import MissingError, python_of

QUESTIONS = (
    "success_by_dag_day",
    "task_duration_by_week",
    "lost_hours",
    "queue_wait",
    "slot_hours_by_dag",
)
READ = ("dag_run", TABLE, "task_instance_history", "dag")
FIVE = "airkeep models, five"
ALL = "airkeep models, all marts"
REPORT = "airkeep report"
LIVE = "PostgreSQL, living"
PANDAS = "pandas"
SPARK = "Spark, 2 local cores"


def everything(lake: Path) -> list[Contestant]:
    """What airkeep itself is asked; memory is DuckDB's limit, the process takes more."""
    tuned = ["--memory", "3GB", "--threads", "2", "-q"]
    return [
        Contestant(ALL, [who.AIRKEEP, "models", str(lake), "--all", "-o", "{out}/answers", *tuned]),
        Contestant(REPORT, [who.AIRKEEP, "report", str(lake), "-o", "{out}/report.html", *tuned]),
    ]


def headlines(source: Source, lake: Path, files: Path) -> list[Contestant]:
    """Five questions, and everybody who can answer them."""
    tuned = ["--memory", "3GB", "--threads", "2", "-q"]
    ours = [who.AIRKEEP, "models", str(lake), *QUESTIONS, "-o", "{out}/answers", *tuned]
    databases = [source.name] * len(ENVIRONMENTS)
    psql = [sys.executable, str(who.PEERS / "ask_postgres.py"), "{out}", who.program("psql")]
    return [
        Contestant(FIVE, ours),
        Contestant(
            LIVE,
            [*psql, str(who.PEERS / "questions.sql"), *databases],
            connection_environment(source.url),
            is_slow=True,
        ),
        _over_files(PANDAS, "pandas", files),
        _over_files(SPARK, "spark", files),
    ]


def _over_files(name: str, venv: str, files: Path) -> Contestant:
    try:
        python = python_of(venv)
    except MissingError as missing:
        return Contestant(name, missing=str(missing))
    command = (python, str(who.PEERS / f"ask_{venv}.py"), "{out}", str(files))
    return Contestant(name, command, {"PYSPARK_PYTHON": python}, is_slow=True)


def chains(lake: Path) -> Path:
    """What pandas and Spark are told: per table and environment the files of its chain."""
    opened = Lake(str(lake))
    found: dict[str, dict[str, list[dict[str, list[str]]]]] = {name: {} for name in READ}
    for environment in ENVIRONMENTS:
        chain = opened[f"{environment}/latest"].chain()[::-1]
        for name in READ:
            entries = [e for s in chain if (e := s.manifest.table(name)) is not None]
            start = max(n for n, entry in enumerate(entries) if entry.whole)
            found[name][environment] = [
                {
                    "files": [str(lake / f.path) for f in entry.files],
                    "deleted": [str(lake / f.path) for f in entry.deleted],
                }
                for entry in entries[start:]
            ]
    file = CACHE / "chains.json"
    file.write_text(json.dumps(found))
    return file


def targets(results: Sequence[Result]) -> Table:
    asked = {ALL: 60.0, REPORT: 90.0}
    rows = []
    for result in results:
        wall, peak = (
            Target(f"{result.name}, wall", most=asked[result.name]),
            Target(f"{result.name}, highest peak", most=4096),
        )
        if not result.runs:
            rows += [unmeasured(wall), unmeasured(peak)]
            continue
        most = max(run.peak_bytes for run in result.runs.values()) / 1e6
        rows += [judge(wall, result.median("wall_s"), " s"), judge(peak, most, " MB")]
    return Table("Asked and found", ["", "asked", "found", ""], rows)


def measured(server: Server, rows: int, runs: int) -> list[Table]:
    source = long_history(server, rows // len(ENVIRONMENTS))
    lake = make_lake(server, source)
    newest = [Lake(str(lake))[f"{name}/latest"] for name in ENVIRONMENTS]
    many = sum(t.rows for one in newest for t in one.tables if t.label == TABLE)
    about = f"{len(ENVIRONMENTS)} environments, 30 snapshots, {many:,} task instances"
    own = hold("everything", everything(lake), rounds=runs)
    five = hold("five questions", headlines(source, lake, chains(lake)), rounds=runs)
    return [
        contest_table(f"All marts, and the report: {about}", own, floor=ALL),
        contest_table(f"Five headline questions: {about}", five, floor=FIVE),
        targets(own),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a large lake everything.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    arguments = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    about = machine()
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    with start_server() as server:
        tables = measured(server, arguments.rows, arguments.runs)
    print("\n".join(about))
    for table in tables:
        print(table.text())
    if arguments.write:
        write_page("answers", about, tables)


if __name__ == "__main__":
    main()
