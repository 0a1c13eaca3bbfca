"""`make screenshots`: take the pictures of the report in docs/, from the data in data/."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from airkeep.database.server import Server
from airkeep.export.run import export
from airkeep.report.run import report
from chromium import chromium, opened_page
from servers import AIRFLOW_DATA

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PICTURES = (
    ("report-overview", 1280, 800, False),
    ("report-dag", 1280, 800, True),
    ("report-phone", 390, 780, False),
)


def main() -> int:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, Server.start() as server, chromium() as browser:
        lake, page = Path(name, "lake"), Path(name, "report.html")
        for environment, dump in (("staging", "airflow-2112"), ("prod", "airflow-332")):
            url = server.create(environment)
            server.restore_dump(environment, AIRFLOW_DATA / f"{dump}.dump")
            export(url, str(lake), environment=environment)
        report(str(lake), page)
        for picture, width, height, dag in PICTURES:
            with opened_page(browser, page, width=width, height=height) as opened:
                if dag:
                    opened.page.locator("#dags td a").first.click()
                opened.page.wait_for_timeout(500)
                opened.page.screenshot(path=IMAGES / f"{picture}.png")
                print(IMAGES / f"{picture}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
