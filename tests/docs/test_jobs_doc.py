"""docs/jobs.md says of every command whether a job may run it, and if not, why."""

from __future__ import annotations

from airkeep.jobs.job import INSIDE, OUTSIDE
from docs.pages import page

SECTION = page("docs/jobs.md").partition("## What a job may run")[2].partition("\n## ")[0]


def test_what_a_job_may_run_is_said() -> None:
    listed, _, table = SECTION.partition("| command | why not |")
    assert all(f"`{name}`" in listed for name in INSIDE)
    assert all(f"`{name}`" in table for name in OUTSIDE)
