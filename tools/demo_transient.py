"""`make demo-transient`: an Airflow that runs DAGs, sleeps as files, and wakes as it was.

Everything is what a user types: `airkeep up local`, `airkeep down local`, `airkeep report`. What
Airflow's own REST API tells of every run, task, XCom and note is asked before and after.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

from airflows import Airflow
from local_airflow import LocalAirflow, run_words
from servers import PROJECT, reachable_folder
from tools.demo import Story

VERSION = "3.3.2"
FOLDER = PROJECT / ".cache" / "demo-transient"
RUNS = 3


def main() -> int:
    story = Story()
    print(f"airkeep demo: an Airflow {VERSION} that goes to sleep, and wakes as it was\n")
    story.step("install Airflow, once", Airflow(VERSION).install, lambda _: "with uv")
    with reachable_folder() as folder:
        shutil.copytree(PROJECT / "examples" / "local" / "dags", folder / "dags")
        tell(story, LocalAirflow(folder, VERSION))
        keep(folder)
    print(f"\n  its lake        {FOLDER / 'lake'}")
    print(f"  the report      {FOLDER / 'report.html'}")
    print(f"\n{'all of it held' if story.ok else 'SOMETHING DID NOT HOLD'}, ", end="")
    print(f"in {story.took_s:.1f} s")
    return 0 if story.ok else 1


def tell(story: Story, local: LocalAirflow) -> None:
    with story.timed("airkeep up local", local.up) as told:
        told("scheduler, DAG processor, triggerer, API server: healthy")
        story.step(f"run a DAG {RUNS} times", lambda: run_all(local), lambda _: "success")
        before: dict[str, Any] = story.step("ask its REST API for all", local.history, told_of)
        down(story, local)
    gone = not (local.folder / ".airkeep" / "local" / "postgres").exists()
    print(f"  its database is gone: {story.expect(that=gone)}")
    with story.timed("airkeep up local", local.up) as told:
        told("made again, restored, unpaused")
        after = story.step("ask its REST API for all", local.history, told_of)
        print(f"  the histories are equal: {story.expect(that=after == before)}")
        story.step("run the DAG once more", lambda: run_words(local, note="after"), lambda _: "ok")
        down(story, local)
    story.step("airkeep report", lambda: report(local), lambda told: told)


def run_all(local: LocalAirflow) -> None:
    for number in range(RUNS):
        run_words(local, note=f"run {number}")


def told_of(history: dict[str, Any]) -> str:
    runs = {path.split("/run/")[0] for path in history if path.endswith("/run/state")}
    tasks = [path for path in history if re.search(r"/tasks/\d+/state$", path)]
    xcoms = [path for path in history if re.search(r"/\d+/key$", path)]
    return f"{len(runs)} runs, {len(tasks)} tasks, {len(xcoms)} XComs"


def down(story: Story, local: LocalAirflow) -> None:
    story.step("airkeep down local", lambda: run(local, "down", "local"), lambda said: said)


def report(local: LocalAirflow) -> str:
    return run(local, "report", ".airkeep/lake", "-o", "report.html")


def run(local: LocalAirflow, *words: str) -> str:
    done = local.command(*words)
    if done.returncode:
        raise SystemExit(done.stderr + local.logs())
    return done.stdout.strip()


def keep(folder: Path) -> None:
    """Copy what is worth a look to where it stays."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(folder / ".airkeep" / "lake", FOLDER / "lake")
    shutil.copy(folder / "report.html", FOLDER / "report.html")


if __name__ == "__main__":
    sys.exit(main())
