"""`make demo`: the main job on a real Airflow database, told step by step.

Starts the embedded PostgreSQL, loads a database that Airflow 3.3 made by running DAGs, exports
and verifies it, damages a copy of the lake, restores into an empty database, compares, and shows
the lake, with an older environment beside it, as one page.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import monotonic
from typing import TypeVar

import airkeep
from airkeep.database.server import Server
from airkeep.report.run import report

PROJECT = Path(__file__).parents[1]
DUMP = PROJECT / "data" / "airflow" / "airflow-332.dump"
OLDER = PROJECT / "data" / "airflow" / "airflow-263.dump"
FOLDER = PROJECT / ".cache" / "demo"
VICTIM = "tables/task_instance"

T = TypeVar("T")


class Story:
    """The table of what happened, printed a line at a time."""

    def __init__(self) -> None:
        self.ok = True
        self.began = monotonic()

    @property
    def took_s(self) -> float:
        return monotonic() - self.began

    @contextmanager
    def timed(
        self, what: str, deed: Callable[[], AbstractContextManager[object]]
    ) -> Iterator[Callable[[str], None]]:
        """A deed that lasts as long as the block: its beginning is what is timed."""
        began = monotonic()
        with deed():
            took_s = monotonic() - began
            yield lambda tells: print(f"  {what:<34} {took_s:5.1f} s   {tells}", flush=True)

    def step(self, what: str, deed: Callable[[], T], tell: Callable[[T], str]) -> T:
        began = monotonic()
        result = deed()
        print(f"  {what:<34} {monotonic() - began:5.1f} s   {tell(result)}", flush=True)
        return result

    def expect(self, *, that: bool) -> str:
        self.ok = self.ok and that
        return "yes" if that else "NO"


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    lake, damaged, page = FOLDER / "lake", FOLDER / "damaged", FOLDER / "report.html"
    story = Story()
    print("airkeep demo: a real Airflow 3.3 database out into a lake, and back\n")
    server = story.step("start PostgreSQL", Server.start, lambda _: "embedded, on loopback")
    with server:
        server.create("airflow")
        source, target = server.address("airflow"), server.create("restored")
        story.step(
            "load what Airflow made",
            lambda: server.restore_dump("airflow", DUMP),
            lambda _: DUMP.name,
        )
        tell_journey(story, source, target, lake, damaged)
        tell_answers(story, server, lake, page)
    print(f"\n  the lake        {lake}")
    print(f"  a damaged copy  {damaged}")
    print(f"  try             .venv/bin/airkeep show {lake.relative_to(PROJECT)} demo/latest")
    print(f"  the report      {page}")
    print(f"\n{'all of it held' if story.ok else 'SOMETHING DID NOT HOLD'}, ", end="")
    print(f"in {story.took_s:.1f} s")
    return 0 if story.ok else 1


def tell_journey(story: Story, source: str, target: str, lake: Path, damaged: Path) -> None:
    snapshot = story.step(
        "export",
        lambda: airkeep.export(source, str(lake), environment="demo"),
        lambda s: (
            f"Airflow {s.manifest.airflow_version}: {len(s.tables)} tables, "
            f"{s.manifest.rows:,} rows, {s.manifest.bytes / 1e3:.0f} kB"
        ),
    )
    story.step(
        "verify",
        lambda: airkeep.verify(str(lake), "latest")[0],
        lambda r: f"{r.read} files hashed and read: ok {story.expect(that=r.ok)}",
    )
    story.step(
        "damage a copy, verify it",
        lambda: verify_damaged(lake, damaged),
        lambda problem: f"found {story.expect(that=VICTIM in problem)}: {problem}",
    )
    story.step(
        "restore into an empty database",
        lambda: airkeep.restore(
            str(lake), "latest", target, create_schema=True, in_flight="keep", missed_runs="make"
        ),
        lambda r: f"{r.rows:,} rows",
    )
    story.step(
        "compare with what was restored",
        lambda: airkeep.compare(str(lake), "latest", target),
        lambda c: (
            f"equal {story.expect(that=c.equal)}: "
            f"{sum(t.rows.equal for t in c.tables):,} rows of {len(c.tables)} tables"
        ),
    )
    story.step(
        "export an increment, unchanged",
        lambda: airkeep.export(source, str(lake), environment="demo", increment=True),
        lambda s: (
            f"{s.manifest.mode} of {snapshot.id}, {sum(len(t.files) for t in s.tables)} data files"
        ),
    )


def tell_answers(story: Story, server: Server, lake: Path, page: Path) -> None:
    older = server.create("older")
    server.restore_dump("older", OLDER)
    story.step(
        "export an older environment",
        lambda: airkeep.export(older, str(lake), environment="older"),
        lambda s: f"Airflow {s.manifest.airflow_version}: {s.manifest.rows:,} rows",
    )
    story.step(
        "report on both",
        lambda: report(str(lake), page),
        lambda w: f"{w.dags} DAGs, {w.figures} figures, {w.bytes / 1e6:.1f} MB in one file",
    )


def verify_damaged(lake: Path, damaged: Path) -> str:
    """Flip one bit in a copy of the lake; say what verify found."""
    shutil.copytree(lake, damaged)
    [file] = damaged.glob(f"{VICTIM}/*/*/00000.parquet")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)
    [result] = airkeep.verify(str(damaged), "latest")
    return result.problems[0].path if result.problems else "no problem"


if __name__ == "__main__":
    sys.exit(main())
