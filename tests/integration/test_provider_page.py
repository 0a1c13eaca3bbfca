"""A real Airflow 3 that exports itself: its scheduler, its workers, and the report in its pages.

The workers have what Amazon MWAA gives them, since Airflow 3 keeps its database's address from its
tasks; about two minutes, told once.
"""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import airkeep
from airkeep.database.address import parse_address
from airkeep.database.server import Cluster
from airkeep.snapshot.lake import Lake
from chromium import chromium
from provided import EXAMPLES, NEWEST, Provided
from running import Running
from servers import query

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

DAG = "airkeep_export"
USER, PASSWORD = "ann", "for-tests-only"


@dataclass(frozen=True)
class Story:
    """An Airflow at work, whose first daily export has ended."""

    airflow: Running
    lake: Path

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.airflow.port}"


@pytest.fixture(scope="module")
def story(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    airflow, folder = Provided(NEWEST), tmp_path_factory.mktemp("page")
    airflow.install()
    (folder / "dags").mkdir()
    shutil.copy(EXAMPLES / f"{DAG}.py", folder / "dags")
    name = "airkeep_provider_page"
    url = server.create(name)
    try:
        (folder / "passwords.json").write_text(json.dumps({USER: PASSWORD}))
        running = Running(
            airflow, folder / "home", url, folder / "dags",
            AIRKEEP_LAKE=str(folder / "lake"), AIRFLOW_ENV_NAME="prod",
            AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="True",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=f"{USER}:viewer",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=str(folder / "passwords.json"),
            **as_on_mwaa(url),
        )  # fmt: skip
        running.run("db", "migrate")
        with running.processes():
            story = Story(running, folder / "lake")
            # The first answer takes seconds, and a task waits for five of them only.
            urllib.request.urlopen(f"{story.page}/execution/health", timeout=120).close()
            running.wait("SELECT count(*) FROM serialized_dag", lambda dags: dags == 1)
            running.run("dags", "unpause", DAG)
            running.wait_for_runs(DAG, 1)
            yield story
    finally:
        server.drop(name)


def as_on_mwaa(url: str) -> dict[str, str]:
    """The database in the variables that a worker of Amazon's has."""
    address = parse_address(url)
    login = {"username": address.user, "password": address.password}
    return {
        "POSTGRES_HOST": address.host,
        "POSTGRES_PORT": str(address.port),
        "POSTGRES_DB": address.database,
        "DB_SECRETS": json.dumps(login),
    }


def test_a_worker_that_may_not_see_the_database_s_address_exports_it(story: Story) -> None:
    [name] = Lake(story.lake).names("prod")
    [result] = airkeep.verify(story.lake, str(name))
    assert result.ok
    states = dict(
        query(story.airflow.url, "SELECT task_id, state::text FROM task_instance ORDER BY 1")
    )
    assert states == {"csv": "success", "export": "success", "register": "skipped",
                      "report": "success", "verify": "success"}  # fmt: skip


@contextmanager
def opened(story: Story) -> Iterator[Page]:
    """Airflow's page for the report, as somebody who is logged in sees it."""
    login = json.dumps({"username": USER, "password": PASSWORD}).encode()
    asked = urllib.request.Request(
        f"{story.page}/auth/token", login, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        token = json.load(answer)["access_token"]
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_cookies([{"name": "_token", "value": token, "url": story.page}])
        page = context.new_page()
        page.goto(f"{story.page}/plugin/airkeep")
        page.frame_locator("iframe").get_by_role("heading").first.wait_for(timeout=60_000)
        yield page


def test_airflow_s_own_page_shows_the_newest_report(story: Story) -> None:
    with opened(story) as page:
        assert DAG in (page.frame_locator("iframe").locator("body").text_content() or "")
        page.get_by_role("button", name="Browse").click()
        page.get_by_role("menuitem", name="airkeep").wait_for(timeout=30_000)


def test_the_report_s_scripts_reach_nothing_of_airflow_s(story: Story) -> None:
    with opened(story) as page:
        asked = "fetch('/api/v2/dags').then((a) => a.status, () => 'refused')"
        assert page.evaluate(asked) == 200
        [frame] = [f for f in page.frames if f.url.endswith("/airkeep/report")]
        assert frame.evaluate("window.origin") == "null"
        assert frame.evaluate(asked) == "refused"


def test_who_is_not_logged_in_sees_no_report(story: Story) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{story.page}/airkeep/report", timeout=30)
    assert refused.value.code == 401
    refused.value.close()
