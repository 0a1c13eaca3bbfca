"""What makes a report doubtful is said at its top, wherever the page is passed on to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from airkeep.export.run import export
from airkeep.snapshot import names
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import SnapshotName
from chromium import chromium, opened_page
from report_pages import HOSTILE, data, made, run, scrolled
from servers import airflow_sqlite

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Three snapshots: prod twice, other once."""
    source = airflow_sqlite("airflow-3.3.2", tmp_path)
    place = tmp_path / "lake"
    for environment in ("prod", "prod", "other"):
        export(str(source), str(place), environment=environment, allow_plain=True)
    return place


def pass_over(lake: Path, name: SnapshotName) -> None:
    manifest = lake / names.manifest_path(name.environment, name.id)
    manifest.write_bytes(manifest.read_bytes()[:100])
    (lake / names.index_path(name.environment, name.id)).unlink(missing_ok=True)


def damage(lake: Path, name: SnapshotName) -> None:
    """As `verify` tells it, with a path as an attacker would write it there."""
    [unread] = lake.glob(f"tables/rendered_task_instance_fields/*/*{name.id}/*.parquet")
    unread.write_bytes(b"PAR1")
    assert run("verify", "-q", lake, str(name)).exit_code != 0
    [record] = [file for file in lake.rglob("*.json") if "verified" in str(file)]
    found = json.loads(record.read_text())
    for problem in found["problems"]:
        problem["path"] = HOSTILE
    record.write_text(json.dumps(found))


def test_a_snapshot_that_was_passed_over_is_named_on_every_page(
    browser: Browser, lake: Path, tmp_path: Path
) -> None:
    lost, _ = Lake(str(lake)).names("prod")
    pass_over(lake, lost)
    result = run("report", lake, "-o", tmp_path / "r.html")
    assert result.exit_code == 0, result.exception
    others = made(lake, tmp_path / "other.html", "-e", "other")

    with opened_page(browser, tmp_path / "r.html") as found:
        page = found.page
        shown = page.get_by_role("complementary", name="Warnings")
        [line] = shown.locator("li").all_inner_texts()
        assert f"{lost} was passed over" in line
        assert line in result.stderr
        first = page.locator("main").bounding_box()
        box = shown.bounding_box()
        assert box is not None
        assert first is not None
        assert box["y"] + box["height"] <= first["y"]
        page.locator("#dags td a").first.click()
        expect(page.locator("#dag h1")).to_have_count(1)
        assert shown.is_visible()
        page.emulate_media(media="print")
        assert shown.is_visible()
        scrolled(page)
        assert found.wrong == []
    assert data(others)["warnings"] == []
    with opened_page(browser, others) as found:
        assert not found.page.locator("#warnings").is_visible()


def test_a_damaged_snapshot_is_named_and_its_words_do_nothing(
    browser: Browser, lake: Path, tmp_path: Path
) -> None:
    [name] = Lake(str(lake)).names("other")
    damage(lake, name)
    file = made(lake, tmp_path / "r.html")
    with opened_page(browser, file) as found:
        line = found.page.locator("#warnings li").first
        assert f"{name} was found damaged on " in str(line.text_content())
        assert HOSTILE in str(line.text_content())
        assert found.page.locator("img").count() == 0
        assert found.wrong == []
    text = file.read_text(encoding="utf-8")
    assert "<img" not in text
    assert text.count("<script") == 3
