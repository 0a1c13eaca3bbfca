"""The report as people meet it: real lakes, the real command, a real browser."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from airkeep.database.server import Cluster
from airkeep.export.run import export
from airkeep.snapshot.lake import Lake
from chromium import chromium, opened_page
from report_pages import HOSTILE, data, made, run, scrolled
from servers import Databases, Templates, airflow_sqlite
from wild import NOT_AIRFLOW, export_wild

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (1440, 820, 390)
# Every text that is seen, beside what is behind it: WCAG 2.1's ratio, smallest first.
CONTRAST = """() => {
  const parts = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const level = (colour) => {
    const [r, g, b] = parts(colour).map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (parts(colour).length < 4 || parts(colour)[3] > 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    const words = texts.currentNode.data.trim();
    if (!words || /SCRIPT|STYLE|OPTION/.test(e.tagName) || !e.getClientRects().length) continue;
    if (e.closest('.quiet, .skip')) continue;
    const style = getComputedStyle(e);
    const ink = e instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [level(ink), level(behind(e))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), words.slice(0, 40), ink, behind(e)]);
  }
  return [...found.sort((a, b) => a[0] - b[0]).slice(0, 5), [found.length]];
}"""

BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow 2.11 and 3.3, and one whose DAGs have names as an attacker would choose them."""
    folder = tmp_path_factory.mktemp("reported")
    url = str(folder / "lake")
    for name, environment in (("airflow-2.11.2", "old"), ("airflow-3.3.2", "prod")):
        export(airflow_sqlite(name, folder), url, environment=environment, allow_plain=True)
    with sqlite3.connect(folder / "airflow-3.3.2.db") as db:
        (dag_id,), *_ = db.execute("SELECT dag_id FROM dag_run GROUP BY 1 ORDER BY count(*) DESC")
        for table in ("dag", "dag_run", "task_instance", "dag_version", "log"):
            db.execute(f"UPDATE {table} SET dag_id = ? WHERE dag_id = ?", (HOSTILE, dag_id))
        db.execute("UPDATE dag SET owners = ?", (HOSTILE,))
        db.execute("UPDATE task_instance SET task_id = dag_id || task_id")
        db.execute("UPDATE log SET owner = ?", (HOSTILE,))
    export(str(folder / "airflow-3.3.2.db"), url, environment="hostile", allow_plain=True)
    return folder / "lake"


@pytest.fixture(scope="module")
def page_file(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    return made(lake, folder / "r.html", "-e", "old,prod", "--compare", "old,prod")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def open_dag(page: Page, file: Path) -> str:
    """Through the table of DAGs to the one with the longest history: its name."""
    dag: dict[str, Any] = max(data(file)["dags"], key=lambda d: (len(d["weeks"]), len(d["strip"])))
    page.get_by_label("Search in DAGs", exact=True).fill(dag["dag_id"])
    page.locator("#dags td a", has_text=dag["dag_id"]).first.click()
    return str(dag["dag_id"])


def first_column(page: Page, place: str, n: int) -> list[str]:
    return page.locator(f"{place} tbody tr td:nth-child({n})").all_inner_texts()


# The command ------------------------------------------------------------------------------------


def test_the_command_says_what_it_wrote_and_touches_no_other_file(
    lake: Path, tmp_path: Path
) -> None:
    file = tmp_path / "r.html"
    first = run("report", "-q", "--json", lake, "-o", file, "-e", "prod")
    text = file.read_bytes()
    again = run("report", lake, "-o", file)

    assert json.loads(first.stdout)["environments"] == ["prod"]
    assert "is there already" in str(again.exception)
    assert file.read_bytes() == text
    assert [f.name for f in tmp_path.iterdir()] == ["r.html"]


def test_what_cannot_be_is_said_before_the_work(lake: Path, tmp_path: Path) -> None:
    def said(*more: str | Path) -> str:
        result = run("report", lake, *more)
        assert result.exit_code != 0
        return f"{result.exception} {result.output}"

    assert "there is no folder" in said("-o", tmp_path / "no" / "r.html")
    assert "takes two environments" in said("-o", tmp_path / "r.html", "--compare", "prod")
    assert "did you mean prod" in said("-o", tmp_path / "r.html", "--compare", "old,prdo")
    assert list(tmp_path.iterdir()) == []


def test_since_leaves_out_what_began_before(lake: Path, tmp_path: Path) -> None:
    whole = data(made(lake, tmp_path / "a.html", "-e", "prod"))
    days = sorted(day for _, day, *_ in whole["overview"]["calendar"])
    later = data(made(lake, tmp_path / "b.html", "-e", "prod", "--since", days[-1]))
    none = data(made(lake, tmp_path / "c.html", "-e", "prod", "--since", "2100-01-01"))

    begins = datetime.fromisoformat(f"{days[-1]}T00:00:00+00:00").timestamp()
    starts = [run[2] for dag in later["dags"] for run in dag["strip"]]
    assert len(starts) > 0
    assert min(starts) >= begins == later["since"]
    assert not any(dag["strip"] for dag in none["dags"])


def test_the_figures_are_those_of_the_marts(lake: Path, page_file: Path) -> None:
    found = data(page_file)
    answer = run("models", "-q", "--json", lake, "success_by_dag_day", "-e", "old,prod")
    rows = json.loads(answer.stdout)

    by_day: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        one = by_day.setdefault((row["environment"], row["day"]), [0, 0])
        one[0] += row["runs"]
        one[1] += row["failed"]
    calendar = found["overview"]["calendar"]
    assert len(calendar) > 3
    assert all(by_day[environment, day] == counts for environment, day, *counts in calendar)
    assert {e["name"] for e in found["overview"]["environments"]} == {"old", "prod"}
    for part in found["parts"]:
        for one in part["figures"]:
            assert one["mart"] in found["sources"]
            assert [len(one["columns"])] * len(one["rows"]) == [len(r) for r in one["rows"]]


# The page ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_draws_without_a_complaint_a_request_or_a_text_that_is_hard_to_read(
    browser: Browser, page_file: Path, width: int, scheme: str
) -> None:
    with opened_page(browser, page_file, width=width, color_scheme=scheme) as found:
        page = found.page
        for where in ("overview", "dag"):
            if where == "dag":
                open_dag(page, page_file)
            scrolled(page)
            drawn = page.locator(".chart svg").count()
            overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            *worst, (texts, *_) = page.evaluate(CONTRAST)
            assert drawn == page.locator(".chart").count() > 0
            assert overflow <= 0
            assert texts > 50
            assert worst[0][0] >= 4.5, worst
            assert not re.search(r"\bnull\b", page.inner_text("main"))
        assert found.wrong == []


def test_a_click_sorts_and_another_turns_it_around(browser: Browser, page_file: Path) -> None:
    with opened_page(browser, page_file) as found:
        page = found.page
        head = page.locator("#dags th", has_text="DAG")
        orders = []
        for expected in ("ascending", "descending"):
            head.get_by_role("button").click()
            assert head.get_attribute("aria-sort") == expected
            orders.append(first_column(page, "#dags", 2))
        page.get_by_role("button", name="Show all").first.click()
        everyone = first_column(page, "#dags", 2)

        assert orders[0] == sorted(orders[0], key=str.lower)
        assert orders[1] == sorted(orders[1], key=str.lower, reverse=True)
        assert orders[0] != orders[1]
        assert len(everyone) == len(data(page_file)["dags"])
        assert page.locator("[role=status]").inner_text() != ""


def test_a_search_leaves_the_rows_with_its_words(browser: Browser, page_file: Path) -> None:
    wanted = data(page_file)["dags"][0]["dag_id"]
    with opened_page(browser, page_file) as found:
        page = found.page
        page.get_by_label("Search in DAGs", exact=True).fill(f"{wanted.upper()} prod")
        names = first_column(page, "#dags", 2)
        page.get_by_label("Search in DAGs", exact=True).fill("no such name anywhere")

        assert names
        assert all(wanted in name for name in names)
        assert "No row has these words" in page.inner_text("#dags")


def test_an_environment_is_chosen_and_everything_follows(browser: Browser, page_file: Path) -> None:
    with opened_page(browser, page_file) as found:
        page = found.page
        page.get_by_label("Environment", exact=True).select_option("old")
        wanted = {d["dag_id"] for d in data(page_file)["dags"] if d["environment"] == "old"}
        names = set(first_column(page, "#dags", 1))

        assert page.locator("#overview .card").count() == 1
        assert names
        assert names <= wanted
        assert found.wrong == []


def test_a_number_leads_to_its_sql(browser: Browser, page_file: Path) -> None:
    with opened_page(browser, page_file) as found:
        page = found.page
        page.locator("#dags .source a", has_text="dag_week").click()
        place = page.locator("#sql-dag_week")

        assert place.get_attribute("open") is not None
        assert "GROUP BY environment, dag_id" in place.inner_text()
        for mart in page.locator(".source a").evaluate_all("all => all.map(a => a.hash.slice(1))"):
            assert page.locator(f"[id='{mart}']").count() == 1


def test_the_keyboard_is_enough(browser: Browser, page_file: Path) -> None:
    wanted = data(page_file)["dags"][0]["dag_id"]
    with opened_page(browser, page_file) as found:
        page = found.page
        page.keyboard.press("Tab")
        expect(page.locator(".skip:focus")).to_have_count(1)
        page.keyboard.press("Enter")
        expect(page.locator("#main:focus")).to_have_count(1)
        page.keyboard.press("/")
        page.keyboard.type(wanted)
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('#dags td a')"):
                break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        expect(page.locator("#dag h1")).to_have_text(wanted)
        expect(page.locator("#main:focus")).to_have_count(1)
        page.go_back()
        expect(page.locator("#dags")).to_have_count(1)
        assert found.wrong == []


def test_every_control_and_picture_has_a_name_and_every_heading_its_place(
    browser: Browser, page_file: Path
) -> None:
    with opened_page(browser, page_file) as found:
        page = found.page
        for where in ("overview", "dag"):
            if where == "dag":
                open_dag(page, page_file)
            nameless = page.evaluate(
                "[...document.querySelectorAll('[role=img], [role=region], input, nav')]"
                ".filter(e => !e.getAttribute('aria-label') && !e.labels?.length).length"
            )
            levels = page.evaluate(
                "[...document.querySelectorAll('h1,h2,h3,h4')].map(e => +e.tagName[1])"
            )
            ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
            assert nameless == 0
            assert levels[0] == 1
            assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
            assert len(ids) == len(set(ids))
            assert page.locator("th:not([scope])").count() == 0


def test_the_theme_is_switched_and_charts_follow(browser: Browser, page_file: Path) -> None:
    with opened_page(browser, page_file, color_scheme="light") as found:
        page = found.page
        scrolled(page)
        light = page.locator(".chart svg").first.inner_html()
        page.get_by_label("Theme").select_option("dark")
        scrolled(page)
        assert page.evaluate(BACKGROUND) == "rgb(13, 17, 23)"
        assert page.locator(".chart svg").first.inner_html() != light


def test_it_prints_with_its_charts_and_on_white(browser: Browser, page_file: Path) -> None:
    with opened_page(browser, page_file, color_scheme="dark") as found:
        page = found.page
        printed = page.pdf(format="A4")
        page.emulate_media(media="print")
        assert len(printed) > 50_000
        assert printed.count(b"/Type /Page") > 2
        assert page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
        assert not page.locator("nav").is_visible()
        assert found.wrong == []


def test_hostile_names_are_shown_as_they_are_and_do_nothing(
    browser: Browser, lake: Path, tmp_path: Path
) -> None:
    file = made(lake, tmp_path / "r.html", "-e", "hostile")
    text = file.read_text(encoding="utf-8")
    with opened_page(browser, file) as found:
        page = found.page
        scrolled(page)
        page.get_by_label("Search in DAGs", exact=True).fill("onerror")
        link = page.locator("#dags td a").first
        shown = link.text_content()
        link.click()
        scrolled(page)

        assert shown == HOSTILE
        assert page.locator("#dag h1").text_content() == HOSTILE
        assert page.locator("img").count() == 0
        assert found.wrong == []
    assert "<img" not in text
    assert text.count("<script") == text.count("</script") == 3
    assert "\u2028" not in text


def test_the_policy_stops_what_is_not_ours(
    browser: Browser, page_file: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.html"
    page_text = page_file.read_text(encoding="utf-8")
    changed.write_text(page_text.replace("</body>", "<script>window.foreign = 1</script></body>"))
    with opened_page(browser, changed) as found:
        assert found.page.evaluate("window.foreign") is None
        assert any("Content Security Policy" in one for one in found.wrong)


def test_an_empty_lake_and_one_without_runs_give_a_page(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    empty = made(tmp_path / "lake", tmp_path / "empty.html")
    source = airflow_sqlite("airflow-3.3.2", tmp_path)
    with sqlite3.connect(source) as db:
        for table in ("task_instance", "dag_run", "log", "dag"):
            db.execute(f"DELETE FROM {table}")
    export(str(source), str(tmp_path / "bare"), environment="bare", allow_plain=True)
    bare = made(tmp_path / "bare", tmp_path / "bare.html")
    for file, said in ((empty, "no snapshot yet"), (bare, "No run is recorded")):
        with opened_page(browser, file) as found:
            scrolled(found.page)
            assert said in found.page.inner_text("main")
            assert found.wrong == []


def test_one_run_gives_a_page(browser: Browser, tmp_path: Path) -> None:
    source = airflow_sqlite("airflow-3.3.2", tmp_path)
    with sqlite3.connect(source) as db:
        first = "SELECT min(id) FROM dag_run WHERE state = 'success'"
        db.execute(f"DELETE FROM dag_run WHERE id <> ({first})")
        db.execute("DELETE FROM task_instance WHERE run_id NOT IN (SELECT run_id FROM dag_run)")
    export(str(source), str(tmp_path / "lake"), environment="one", allow_plain=True)
    file = made(tmp_path / "lake", tmp_path / "one.html")
    with opened_page(browser, file) as found:
        scrolled(found.page)
        open_dag(found.page, file)
        scrolled(found.page)
        assert found.page.locator(".strip li").count() == 1
        assert found.wrong == []


def test_databases_found_in_public_give_one_page(
    browser: Browser, shared: Path, server: Cluster, templates: Templates, tmp_path: Path
) -> None:
    """Airflow 1.7 to 3.1, SQLite files and SQL dumps, with all that real life did to them."""
    databases = Databases(templates)
    lake = Lake(str(tmp_path / "lake"))
    try:
        sources = export_wild(shared, server, databases, lake, tmp_path)
    finally:
        databases.drop()
    written = made(tmp_path / "lake", tmp_path / "wild.html")

    shown = {one["name"] for one in data(written)["overview"]["environments"]}
    wild = [f for f in (shared / "data" / "wild").iterdir() if f.suffix in (".db", ".sql")]
    assert shown == {source.environment for source in sources}
    assert shown == {f"wild-{f.stem}" for f in wild if f.stem not in NOT_AIRFLOW}
    with opened_page(browser, written) as found:
        scrolled(found.page)
        assert found.page.locator("#overview .card").count() == len(sources)
        open_dag(found.page, written)
        scrolled(found.page)
        assert found.wrong == []
