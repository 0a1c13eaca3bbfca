"""What somebody who sees the report for the first time asks of it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from airkeep.export.run import export
from chromium import broken_texts, chromium, opened_page
from report_pages import data, made, run, scrolled
from servers import AIRFLOW_DATA, airflow_sqlite

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow 3.3, as dumped, one environment: its processes all ended together."""
    folder = tmp_path_factory.mktemp("newcomer")
    dump = AIRFLOW_DATA / "airflow-332.dump"
    result = run("adopt", "-q", dump, folder / "lake", "--environment", "prod")
    assert result.exit_code == 0, result.exception
    return made(folder / "lake", folder / "r.html")


def test_a_scheduler_that_died_before_the_rest_is_the_first_thing_wrong(
    browser: Browser, tmp_path: Path
) -> None:
    source = airflow_sqlite("airflow-3.3.2", tmp_path)
    with sqlite3.connect(source) as db:
        (newest,) = db.execute("SELECT max(latest_heartbeat) FROM job").fetchone()
        db.execute(
            "UPDATE job SET start_date = datetime(?, '-4 hours'), end_date = NULL, "
            "latest_heartbeat = datetime(?, '-3 hours') WHERE job_type = 'SchedulerJob'",
            (newest, newest),
        )
    export(str(source), str(tmp_path / "lake"), environment="prod", allow_plain=True)
    file = made(tmp_path / "lake", tmp_path / "r.html", "--since", "2100-01-01")

    [metric] = [m for m in data(file)["overview"]["metrics"] if "scheduler" in m["label"]]
    assert metric["value"] == pytest.approx(3 * 3600, abs=600)
    with opened_page(browser, file) as found:
        first = found.page.locator(".attention li").first
        assert "silence of the scheduler alone" in first.inner_text()
        assert "3.0 h" in first.inner_text()
        assert first.locator(".badge.bad").count() == 1
        assert first.locator("a").get_attribute("href") == "#capacity-4"
        assert found.wrong == []


def test_a_scheduler_that_ended_with_all_else_is_not_wrong(page_file: Path) -> None:
    [metric] = [m for m in data(page_file)["overview"]["metrics"] if "scheduler" in m["label"]]
    assert metric["value"] is None


def silent_for(source: Path, hours: float) -> Path:
    """An Airflow all of whose parts, and all that it did, ended so long ago."""
    with sqlite3.connect(source) as db:
        alive = (
            ("job", "latest_heartbeat"), ("dag_run", "start_date"), ("dag_run", "end_date"),
            ("log", "dttm"), ("dag", "last_parsed_time"),
        )  # fmt: skip
        newest = max(db.execute(f"SELECT max({at}) FROM {table}").fetchone()[0]
                     for table, at in alive)  # fmt: skip
        now = datetime.now(UTC).replace(tzinfo=None)
        by = (now - datetime.fromisoformat(newest)).total_seconds() - hours * 3600
        for table, at in (*alive, ("job", "start_date"), ("job", "end_date")):
            db.execute(
                f"UPDATE {table} SET {at} = datetime({at}, ? || ' seconds') WHERE {at} IS NOT NULL",
                (f"{by:+.0f}",),
            )
    return source


def test_a_silence_of_all_of_airflow_is_a_fact_and_no_alarm(
    browser: Browser, tmp_path: Path
) -> None:
    source = silent_for(airflow_sqlite("airflow-3.3.2", tmp_path), 19)
    export(str(source), str(tmp_path / "lake"), environment="prod", allow_plain=True)
    for more in ((), ("--since", "2100-01-01")):
        file = made(tmp_path / "lake", tmp_path / f"r{len(more)}.html", *more)
        with opened_page(browser, file) as found:
            page = found.page
            card = page.locator(".card").inner_text()
            listed = page.locator("#capacity-4 tbody tr", has_text="SchedulerJob").first
            assert re.search(
                r"All of Airflow silent since 20\d\d-\d\d-\d\d \d\d:\d\d, 19 h before", card
            )
            assert "silence of the scheduler" not in card
            assert "silence of the scheduler" not in page.inner_text(".attention")
            assert "lived to the end" not in page.inner_text("main")
            assert "19 h" in listed.inner_text()


def test_where_airflow_lives_its_card_says_nothing_of_a_silence(
    browser: Browser, tmp_path: Path
) -> None:
    source = silent_for(airflow_sqlite("airflow-3.3.2", tmp_path), 0.01)
    export(str(source), str(tmp_path / "lake"), environment="prod", allow_plain=True)
    with opened_page(browser, made(tmp_path / "lake", tmp_path / "r.html")) as found:
        card = found.page.locator(".card").inner_text()
        assert "All of Airflow silent" not in card
        assert "silence of the scheduler alone" in card.partition("None:")[2]


def test_an_axis_of_days_has_no_hours(browser: Browser, page_file: Path) -> None:
    with opened_page(browser, page_file) as found:
        scrolled(found.page)
        for title in ("Finished runs by day", "Queue wait by day", "Slot hours by day"):
            chart = found.page.locator(".figure", has_text=title).locator(".chart").first
            words = chart.locator("svg text").all_text_contents()
            assert any(re.fullmatch(r"[A-Z][a-z]{2}( \d+)?", word) for word in words), words
            assert not [word for word in words if re.search(r"\d\d:\d\d", word)]


def test_a_title_is_spelt_alike_wherever_it_stands(browser: Browser, page_file: Path) -> None:
    titles = {f["title"] for p in data(page_file)["parts"] for f in p["figures"] if not f["rows"]}
    with opened_page(browser, page_file) as found:
        lines = found.page.locator("section > .none a").all_inner_texts()
        assert set(lines) == titles


def test_an_interval_is_said_and_not_called_a_delta(
    browser: Browser, page_file: Path, tmp_path: Path
) -> None:
    with opened_page(browser, page_file) as found:
        figure = found.page.locator(".figure", has_text="Runs that were due and never came")
        assert "every 60 s" in figure.inner_text()
    dump = AIRFLOW_DATA / "airflow-2112.dump"
    run("adopt", "-q", dump, tmp_path / "lake", "--environment", "old")
    old = made(tmp_path / "lake", tmp_path / "old.html")
    with opened_page(browser, old) as found:
        found.page.evaluate("location.hash = 'dag/old/lab_asset_producer'")
        facts = found.page.locator("#dag .facts")
        expect(facts).to_contain_text("every 2.0 min")
        assert "timedelta" not in found.page.inner_text("main")


def test_an_address_of_a_dag_that_is_not_there_says_so_and_leads_back(
    browser: Browser, page_file: Path
) -> None:
    with opened_page(browser, page_file) as found:
        page = found.page
        page.evaluate("location.hash = 'dag/prod/no_such_%3Cb%3Edag'")
        expect(page.locator("#dag h1")).to_have_text("No such DAG")
        assert "no DAG no_such_<b>dag of prod" in page.inner_text("#dag")
        assert "No such DAG" in page.title()
        page.get_by_role("link", name="← All DAGs").click()
        expect(page.locator("#dags h2")).to_have_count(1)
        assert page.title() == "Airflow report"
        page.evaluate("location.hash = 'dag'")
        expect(page.locator("#dag h1")).to_have_text("No such DAG")
        assert found.wrong == []


def test_the_first_screen_uses_its_width_for_one_environment_and_for_two(
    browser: Browser, page_file: Path, tmp_path: Path
) -> None:
    for name, environment in (("airflow-332", "prod"), ("airflow-2112", "old")):
        dump = AIRFLOW_DATA / f"{name}.dump"
        run("adopt", "-q", dump, tmp_path / "lake", "--environment", environment)
    both = made(tmp_path / "lake", tmp_path / "both.html")
    right = (
        "Math.max(...[...document.querySelectorAll('{}')]"
        ".map(e => e.getBoundingClientRect().right))"
    )
    for file in (page_file, both):
        with opened_page(browser, file, width=1440) as found:
            cards = found.page.evaluate(right.format(".card"))
            numbers = found.page.evaluate(right.format(".card .numbers > *"))
            assert cards > 1400
            assert numbers > 1380


def test_a_week_stands_beside_the_one_before(browser: Browser, tmp_path: Path) -> None:
    source = airflow_sqlite("airflow-3.3.2", tmp_path)
    with sqlite3.connect(source) as db:
        db.execute(
            "UPDATE dag_run SET start_date = datetime(start_date, '-9 days'), "
            "end_date = datetime(end_date, '-9 days') WHERE id % 2 AND start_date > '2026-11-01'"
        )
    export(str(source), str(tmp_path / "lake"), environment="prod", allow_plain=True)
    file = made(tmp_path / "lake", tmp_path / "r.html")
    [runs] = [m for m in data(file)["overview"]["metrics"] if m["label"] == "finished runs"]
    with opened_page(browser, file) as found:
        row = found.page.locator(".card tr", has_text="finished runs")
        cells = row.locator("td").all_inner_texts()
        assert cells[:2] == [str(runs["value"]), str(runs["before"])]
        assert len(cells) == 3


def test_every_text_of_every_dags_page_and_of_every_source_is_for_people(
    browser: Browser, page_file: Path
) -> None:
    document = data(page_file)
    with opened_page(browser, page_file) as found:
        page = found.page
        scrolled(page)
        page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true })")
        assert broken_texts(page) == []
        source = document["sources"]["zombies"]
        facts = page.locator("#sql-zombies dl.facts")
        for what, said in (
            ("grain", "grain"), ("key", "key"), ("units", "units"), ("leaves out", "leaves_out"),
        ):  # fmt: skip
            expect(facts.locator("dt", has_text=re.compile(f"^{what}$"))).to_have_count(1)
            assert facts.locator(f"dt:text-is('{what}') + dd").inner_text() == source[said]
        for dag in document["dags"]:
            page.evaluate("hash => { location.hash = hash }", f"dag/prod/{dag['dag_id']}")
            expect(page.locator("#dag h1")).to_have_text(dag["dag_id"])
            scrolled(page)
        assert found.wrong == []


def test_an_environment_looks_the_same_in_every_chart_and_one_point_is_seen(
    browser: Browser, tmp_path: Path
) -> None:
    source = airflow_sqlite("airflow-3.3.2", tmp_path)
    with sqlite3.connect(source) as db:
        first = "(SELECT min(id) FROM dag_run WHERE state = 'success')"
        db.execute(f"DELETE FROM dag_run WHERE id <> {first}")
        db.execute("DELETE FROM task_instance WHERE run_id NOT IN (SELECT run_id FROM dag_run)")
    lake = tmp_path / "lake"
    run("adopt", "-q", AIRFLOW_DATA / "airflow-332.dump", lake, "--environment", "busy")
    run("adopt", "-q", AIRFLOW_DATA / "airflow-2112.dump", lake, "--environment", "middle")
    export(str(source), str(lake), environment="a-quiet-one", allow_plain=True)
    palette = """[...Array(6).keys()].map((n) =>
      getComputedStyle(document.documentElement).getPropertyValue(`--c${n + 1}`).trim())"""
    titles = ("Queue wait by day", "Most tasks at once", "Slot hours by day")
    looks = {}
    with opened_page(browser, made(lake, tmp_path / "r.html")) as found:
        page = found.page
        colours = page.evaluate(palette)
        for environment in ("a-quiet-one", "busy", "middle"):
            page.get_by_label("Environment", exact=True).select_option(environment)
            scrolled(page)
            charts = [page.locator(".figure", has_text=title).locator(".chart") for title in titles]
            drawn = [chart.first.inner_html() for chart in charts]
            looks[environment] = {c for svg in drawn for c in colours if f'"{c}"' in svg}
            hours = charts[1].first.locator("svg text").all_text_contents()
            assert {minute for word in hours for minute in re.findall(r":(\d\d)", word)} <= {"00"}
            if environment == "a-quiet-one":
                largest = max(float(size) for size in re.findall(r"matrix\(([\d.]+),", drawn[1]))
                assert largest == 5  # of a radius of 1, and not 2 as in a line of many points
        assert found.wrong == []
    assert [len(one) for one in looks.values()] == [1, 1, 1]
    assert len(set.union(*looks.values())) == 3
