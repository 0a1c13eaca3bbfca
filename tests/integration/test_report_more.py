"""The report over much: 500 DAGs, every figure filled, hostile names in each, axe's rules."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from airkeep.export.run import export
from airkeep.models.catalog import models
from airkeep.report.dags import CHANGES, RUNS, STEPS, TASKS, WEEKS, Change, Dag
from airkeep.report.figures import Column, Figure, Part, Shown, kind, label, sources
from airkeep.report.overview import Overview, Standing
from airkeep.report.page import Report, render
from airkeep.report.questions import SECTIONS
from airkeep.report.run import report
from chromium import chromium, opened_page
from report_pages import HOSTILE, data, made, scrolled
from servers import airflow_sqlite

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MANY = 500
AXE = Path(__file__).parents[2] / ".cache" / "axe" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def full_dag(n: int) -> Dag:
    """A DAG of 63 tasks, every list at its most, names and numbers of usual length."""
    at = 1_795_000_000 + n * 61
    task = f"transform_customer_orders_{n:03}_{{:02}}"
    slowest = TASKS + STEPS
    return Dag(
        environment="production", dag_id=f"ingest_inventory_snapshot_hourly_{n:04}",
        owners="platform-team", schedule="15 */2 * * 1-5", is_paused=False, is_active=True,
        file=f"/opt/airflow/dags/ingest/ingest_inventory_snapshot_hourly_{n:04}.py",
        signals=("flaky", "worse", "slower"), runs=84, failed=3, success_rate=0.964286,
        success_rate_before=0.987654, mean_s=512.345, mean_before_s=498.765, slot_h=93.6941,
        last_state="success", last_started_at=at + n,
        strip=tuple((("success", "failed")[i % 2], ("scheduled", "manual")[i % 2],
                     at + i * 86_413, 512.3 + i) for i in range(RUNS)),
        weeks=tuple((f"2026-{1 + i // 5:02}-{1 + i % 28:02}", 84, 512.3 + i, 1220.0 + i)
                    for i in range(WEEKS)),
        changes=tuple((task.format(slowest + i), at + i * 86_413, 2.443, f"{n * i:032x}",
                       f"{n * i + i:032x}") for i in range(CHANGES)),
        tasks=tuple((task.format(i), 4316 + i, 0.9458, 479.1 + i, 1098.0 + i, 5.133)
                    for i in range(TASKS)),
        path=tuple((task.format(TASKS + i), at + i * 1013, 107.3 + i, 0.456 + i, i % 3 == 0,
                    12.39 + i, i % 4 - 1) for i in range(STEPS)),
    )  # fmt: skip


def full_figures() -> tuple[Part, ...]:
    """Every question answered with as many rows as it may have."""

    def value(column: str, n: int) -> str | bool | float:
        match kind(column):
            case "text":
                return "production" if column == "environment" else f"{column}_of_inventory_{n:04}"
            case "day":
                return f"2026-{1 + n // 28 % 12:02}-{1 + n % 28:02}"
            case "flag":
                return n % 2 == 0
            case "at":
                return 1_795_000_000 + n * 86_413
        return float(f"{1_087.25 + n * 1.618:.6g}")

    return tuple(
        Part(
            section.key,
            section.title,
            section.lead,
            tuple(
                Figure(
                    key=f"{section.key}-{n}",
                    title=asked.title,
                    why=asked.why,
                    mart=asked.mart,
                    narrowed=False,
                    columns=tuple(Column(c, label(c), kind(c)) for c in asked.columns),
                    rows=tuple(
                        tuple(value(c, n) for c in asked.columns)
                        for n in range(asked.each or asked.most)
                    ),
                    shown=(Shown("production", 200, 100_000),),
                    chart=None,
                )
                for n, asked in enumerate(section.questions)
            ),
        )
        for section in SECTIONS
    )


def test_500_dags_whose_lists_are_all_full_stay_below_5_mb_and_open_quickly(
    browser: Browser, tmp_path: Path
) -> None:
    standing = Standing("production", "3.3.2", "20261121T000000Z", 1_795_000_000, 30, 1, "full", 9)
    dags = tuple(full_dag(n) for n in range(MANY))
    change = Change("production", "ingest_inventory_snapshot", "slower", 1021.25, 2042.5, "s")
    compared = tuple((d.dag_id, 84, 0.964286, 512.345, 96, 0.987654, 498.765) for d in dags)
    days = tuple(("production", str(date(2026, 1, 1) + timedelta(n)), 960, 17) for n in range(371))
    page_text = render(
        Report(
            made_by="airkeep", lake="lake", at=1_795_000_000, since=None, narrows=(), narrowed=(),
            overview=Overview((standing,), (), days, (), compared), changes=(change,) * 100,
            dags=dags, parts=full_figures(), sources=sources(list(models().values())),
        )
    )  # fmt: skip
    file = tmp_path / "many.html"
    file.write_text(page_text, encoding="utf-8")

    assert file.stat().st_size < 5_000_000
    with opened_page(browser, file) as found:
        page = found.page
        assert page.locator("#dags tbody tr").count() < 20
        page.locator("#dags").get_by_role("button", name="Show all 500").click()
        assert page.locator("#dags tbody tr").count() == MANY
        slowest = page.evaluate(
            """() => Math.max(...[...document.querySelectorAll('#dags td a')].slice(0, 50)
              .map((a) => a.hash).map((hash) => {
                const began = performance.now();
                location.hash = hash;
                dispatchEvent(new HashChangeEvent('hashchange'));
                return performance.now() - began;
              }))"""
        )
        assert slowest < 2000
        assert found.wrong == []


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Airflow 3.3 in which whatever a person may name has the same bad name."""
    folder = tmp_path_factory.mktemp("hostile")
    source = airflow_sqlite("airflow-3.3.2", folder)
    lake = str(folder / "lake")
    export(str(source), lake, environment="hostile", allow_plain=True)
    with sqlite3.connect(source) as db:
        for table, column in (
            ("dag_tag", "name"), ("asset", "name"), ("asset", "uri"), ("asset_active", "name"),
            ("asset_active", "uri"), ("slot_pool", "pool"), ("task_instance", "pool"),
            ("task_instance_history", "pool"), ("import_error", "filename"), ("dag", "owners"),
            ("dag", "fileloc"), ("dag", "timetable_description"), ("log", "owner"),
            ("log", "event"), ("xcom", "key"),
            ("connection", "conn_id"), ("variable", "key"), ("task_instance", "operator"),
            ("task_instance", "hostname"), ("dag", "timetable_summary"),
        ):  # fmt: skip
            # Names that are keys stay apart by what stands before.
            db.execute(f"UPDATE OR IGNORE {table} SET {column} = rowid || ?", (HOSTILE,))
    export(str(source), lake, environment="hostile", allow_plain=True)
    with sqlite3.connect(source) as db:
        db.execute("UPDATE connection SET host = 'moved'")
        db.execute("UPDATE variable SET description = 'changed'")
    export(str(source), lake, environment="hostile", allow_plain=True)
    return made(folder / "lake", folder / "r.html")


def test_hostile_tags_assets_pools_files_owners_and_keys_are_shown_and_do_nothing(
    browser: Browser, hostile_page: Path
) -> None:
    figures = {
        figure["mart"]: json.dumps(figure["rows"])
        for part in data(hostile_page)["parts"]
        for figure in part["figures"]
    }
    for mart in (
        "slot_hours_by_tag", "asset_fan_out", "asset_freshness", "pool_saturation",
        "import_errors_by_day", "xcom_hogs", "config_changes", "who_did_what",
    ):  # fmt: skip
        assert "onerror=alert(2)" in figures[mart], mart
    with opened_page(browser, hostile_page) as found:
        page = found.page
        page.evaluate(
            "for (const one of document.querySelectorAll('.bar button:not([hidden])')) one.click()"
        )
        scrolled(page)
        page.locator("#dags td a").first.click()
        scrolled(page)
        assert page.locator("img").count() == 0
        assert found.wrong == []
    text = hostile_page.read_text(encoding="utf-8")
    assert "<img" not in text
    assert text.count("<script") == text.count("</script") == 3


@pytest.fixture(scope="module")
def since_pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One lake, whole and since a time after all that happened."""
    folder = tmp_path_factory.mktemp("since")
    source = airflow_sqlite("airflow-3.3.2", folder)
    export(str(source), str(folder / "lake"), environment="prod", allow_plain=True)
    whole = made(folder / "lake", folder / "whole.html")
    return whole, made(folder / "lake", folder / "later.html", "--since", "2100-01-01")


def figures(file: Path) -> dict[str, dict[str, Any]]:
    """By their titles; each row by its columns' names."""
    return {
        one["title"]: {
            **one,
            "rows": [
                dict(zip((c["name"] for c in one["columns"]), row, strict=True))
                for row in one["rows"]
            ],
        }
        for part in data(file)["parts"]
        for one in part["figures"]
    }


def test_since_leaves_what_is_about_now_ever_or_the_last_week_as_it_is(
    since_pages: tuple[Path, Path],
) -> None:
    whole, later = (data(file) for file in since_pages)
    every = figures(since_pages[0])
    since = figures(since_pages[1])

    idle = "DAGs that are there and do not run"
    assert [row["runs"] for row in every[idle]["rows"]] == [
        row["runs"] for row in since[idle]["rows"]
    ]
    assert whole["overview"]["metrics"] == later["overview"]["metrics"]
    assert whole["overview"]["environments"] == later["overview"]["environments"]
    assert whole["changes"] == later["changes"]
    for name in ("signals", "runs", "last_state", "last_started_at", "slot_h"):
        assert [d[name] for d in whole["dags"]] == [d[name] for d in later["dags"]]
    assert any(dag["last_started_at"] for dag in later["dags"])
    for title, figure in since.items():
        if not figure["narrowed"]:
            assert figure["rows"] == every[title]["rows"], title
    open_ones = [r for r in every["Files that do not import"]["rows"] if r["is_open"]]
    assert since["Files that do not import"]["rows"] == open_ones


def test_since_leaves_of_a_period_what_lies_in_it_and_each_list_says_which_it_is(
    browser: Browser, since_pages: tuple[Path, Path]
) -> None:
    every, since = (figures(file) for file in since_pages)
    later = data(since_pages[1])

    assert sum(row["events"] for row in every["Producers and consumers"]["rows"]) > 0
    assert sum(row["events"] for row in since["Producers and consumers"]["rows"]) == 0
    for title, figure in since.items():
        counts = {
            "Producers and consumers",
            "Files that do not import",
            "How full the pools were in their last 30 days",
            "Silent schedulers and triggerers",  # a silence that goes on is of now
        }
        if figure["narrowed"] and title not in counts:
            assert figure["rows"] == [], title
    for title in ("Slot hours by day", "Slot hours by DAG", "Queue wait by day", "Who did what"):
        assert every[title]["rows"]
        assert since[title]["narrowed"]
    assert not any(dag[name] for dag in later["dags"] for name in ("strip", "changes", "path"))
    with opened_page(browser, since_pages[1]) as found:
        page = found.page
        assert "Only since 2100-01-01 00:00 UTC" in page.inner_text("#overview")
        for title, figure in since.items():
            if figure["rows"]:
                words = "since 2100-01-01" if figure["narrowed"] else "of the whole lake"
                place = page.locator(f"[id='{figure['key']}']")
                assert place.locator("h3").inner_text() == title
                assert words in place.locator(".source").inner_text()
        assert found.wrong == []
    with opened_page(browser, since_pages[0]) as found:
        assert "whole lake" not in found.page.inner_text("main")


def test_a_number_leads_to_its_sql_and_the_keyboard_back(
    browser: Browser, hostile_page: Path
) -> None:
    with opened_page(browser, hostile_page) as found:
        page = found.page
        focused = page.locator(":focus")
        page.locator("#capacity .source a").last.focus()
        was = focused.inner_text()
        page.keyboard.press("Enter")
        expect(page.locator("summary:focus")).to_have_count(1)
        page.keyboard.press("Tab")
        expect(focused).to_have_text("↩ Back to the number")
        page.keyboard.press("Enter")
        expect(focused).to_have_text(was)
        page.keyboard.press("Enter")
        expect(page.locator("summary:focus")).to_have_count(1)
        page.go_back()
        expect(focused).to_have_text(was)

        page.locator("#dags td a").first.click()
        page.locator("#dag .source a", has_text="critical_path").focus()
        page.keyboard.press("Enter")
        expect(page.locator("summary:focus")).to_have_count(1)
        expect(page.locator("#dag h1")).to_have_count(1)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(focused).to_have_text("critical_path (SQL)")
        assert found.wrong == []


def test_two_environments_stand_side_by_side_with_every_headline_number(
    browser: Browser, tmp_path: Path
) -> None:
    for name, environment in (("airflow-2.11.2", "old"), ("airflow-3.3.2", "new")):
        source = airflow_sqlite(name, tmp_path)
        export(str(source), str(tmp_path / "lake"), environment=environment, allow_plain=True)
    file = tmp_path / "r.html"
    report(str(tmp_path / "lake"), file, compare=("old", "new"))

    metrics = [m["label"] for m in data(file)["overview"]["metrics"] if m["environment"] == "old"]
    with opened_page(browser, file) as found:
        table = found.page.get_by_label("Headline numbers side by side")
        assert table.locator("tbody th").all_inner_texts() == metrics
        assert table.locator("thead th").all_inner_texts()[:2] == ["old", "new"]
        assert not table.locator("td", has_text="NaN").count()


def test_what_has_nothing_to_show_is_one_line(browser: Browser, tmp_path: Path) -> None:
    source = airflow_sqlite("airflow-3.3.2", tmp_path)
    export(str(source), str(tmp_path / "lake"), environment="prod", allow_plain=True)
    file = made(tmp_path / "lake", tmp_path / "r.html")
    document = data(file)
    [hygiene] = [p for p in document["parts"] if p["key"] == "hygiene"]
    empty = [f["title"] for f in hygiene["figures"] if not f["rows"]]
    assert "Connections and variables that changed" in empty
    with opened_page(browser, file) as found:
        [line] = found.page.locator("#hygiene > .none").all_inner_texts()
        assert all(title in line for title in empty)
        assert found.page.locator("#hygiene .figure").count() == len(hygiene["figures"]) - len(
            empty
        )


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_rule_of_axe_is_broken(
    browser: Browser, hostile_page: Path, width: int, scheme: str
) -> None:
    if not AXE.exists():
        pytest.skip(f"{AXE} is not there: `make axe`")
    with opened_page(browser, hostile_page, width=width, color_scheme=scheme) as found:
        page = found.page
        for where in ("overview", "dag"):
            if where == "dag":
                page.locator("#dags td a").first.click()
            scrolled(page)
            # The page's policy lets no foreign script in; the debugger may run one.
            page.evaluate(f"() => {{ {AXE.read_text(encoding='utf-8')}\n }}")
            violations = page.evaluate("axe.run().then((found) => found.violations)")
            assert [(v["id"], v["nodes"][0]["html"][:200]) for v in violations] == []


def test_nothing_is_wider_than_the_paper(browser: Browser, hostile_page: Path) -> None:
    widths = "Math.max(...[...document.querySelectorAll('.calendar')].map((e) => e.scrollWidth))"
    with opened_page(browser, hostile_page, width=760) as found:
        found.page.emulate_media(media="print")
        assert 0 < found.page.evaluate(widths) <= 760
