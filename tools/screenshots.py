"""`make screenshots`: take the pictures of the report in docs/.

Of two environments whose history `../shared/data/scale` makes: what is in data/ ran for an hour.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airkeep.database.server import Server
from airkeep.export.run import export
from airkeep.report.run import report
from chromium import chromium, opened_page
from servers import SHARED

if TYPE_CHECKING:
    from playwright.sync_api import Page

DATA = SHARED / "data"
ENVIRONMENTS = (
    ("prod", "3.3.2", "scale_3.3.sql", 40, "d2f4e1b3c5a7"),
    ("staging", "2.11.2", "scale_2.11.sql", 20, "5f2621c13b39"),
)
# A schema alone has neither of these, and every Airflow does.
POOL = (
    "INSERT INTO slot_pool (pool, slots, include_deferred) VALUES ('default_pool', 128, false) "
    "ON CONFLICT DO NOTHING"
)
REVISION = (
    "CREATE TABLE IF NOT EXISTS alembic_version (version_num varchar(32) PRIMARY KEY); "
    "INSERT INTO alembic_version VALUES ('{}') ON CONFLICT DO NOTHING"
)
IMAGES = Path(__file__).parents[1] / "docs" / "images"
PICTURES = (
    ("report-overview", 1280, 860, False),
    ("report-dag", 1280, 1180, True),
    ("report-phone", 390, 780, False),
)
HIDE = """folder => {
  const about = document.getElementById("about");
  about.textContent = about.textContent.replace(folder, "lake");
}"""


def main() -> int:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, Server.start() as server, chromium() as browser:
        lake, page = Path(name, "lake"), Path(name, "report.html")
        for environment, version, script, dags, revision in ENVIRONMENTS:
            url = server.create(environment)
            server.run("psql", "-q", "-f", str(DATA / "schemas" / f"{version}.sql"),
                       database=environment)  # fmt: skip
            server.run("psql", "-q", "-c", POOL, "-c", REVISION.format(revision),
                       database=environment)  # fmt: skip
            server.run("psql", "-q", "-v", f"n_dags={dags}", "-v", "n_runs=8000", "-v",
                       "n_tis=50000", "-f", str(DATA / "scale" / script),
                       database=environment)  # fmt: skip
            export(url, str(lake), environment=environment, allow_plain=True)
        report(str(lake), page)
        for picture, width, height, dag in PICTURES:
            with opened_page(browser, page, width=width, height=height) as opened:
                if dag:
                    open_slower(opened.page)
                # Whose machine it was is nobody's business.
                opened.page.evaluate(HIDE, str(lake))
                opened.page.wait_for_timeout(500)
                opened.page.screenshot(path=IMAGES / f"{picture}.png")
                print(IMAGES / f"{picture}.png")
    return 0


def open_slower(page: Page) -> None:
    """A DAG of which a task became slower: its page has the most to show."""
    page.locator("#duration-0 tr", has_text="prod").locator("td a").first.click()


if __name__ == "__main__":
    sys.exit(main())
