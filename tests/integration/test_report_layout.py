"""The report's layout beside pictures that a person has looked at.

`LOOKED_AT=1 uv run pytest tests/integration/test_report_layout.py` takes them anew, for a person
who looks at them then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chromium import chromium, opened_page
from pictures import Unlike, shrunk, unlike
from report_pages import data, made, run, scrolled
from servers import AIRFLOW_DATA

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PICTURES = Path(__file__).parent / "report_layout"
SHOWN = [(width, where) for width in (1440, 820, 390) for where in ("overview", "dag")]
# Where it lies and which airkeep made it is not layout.
ABOUT = "document.getElementById('about').textContent = 'lake, as of then · airkeep'"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow 2.11 and 3.3 as of the time at which they were dumped: always the same page."""
    folder = tmp_path_factory.mktemp("layout")
    for name, environment in (("airflow-2112", "old"), ("airflow-332", "prod")):
        dump = AIRFLOW_DATA / f"{name}.dump"
        result = run("adopt", "-q", dump, folder / "lake", "--environment", environment)
        assert result.exit_code == 0, result.exception
    return made(
        folder / "lake", folder / "r.html", "--compare", "old,prod", "--total", "prod=449.11"
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def picture(browser: Browser, file: Path, width: int, where: str, style: str = "") -> bytes:
    """All of a page, with one more rule of style if one is given."""
    with opened_page(browser, file, width=width, color_scheme="light", bypass_csp=True) as found:
        page = found.page
        page.evaluate(ABOUT)
        if style:
            page.add_style_tag(content=style)
        if where == "dag":
            dag = max(data(file)["dags"], key=lambda d: (len(d["path"]), len(d["strip"])))
            page.evaluate(
                "dag => { location.hash = dag }", f"dag/{dag['environment']}/{dag['dag_id']}"
            )
            page.locator("#dag h1").wait_for()
        scrolled(page)
        return shrunk(browser, page.screenshot(full_page=True, animations="disabled"))


def beside(browser: Browser, width: int, where: str, taken: bytes) -> Unlike:
    return unlike(browser, (PICTURES / f"{where}-{width}.png").read_bytes(), taken)


@pytest.mark.parametrize(("width", "where"), SHOWN)
def test_its_layout_is_the_one_that_was_looked_at(
    browser: Browser, page_file: Path, tmp_path: Path, width: int, where: str
) -> None:
    taken = picture(browser, page_file, width, where)
    if os.environ.get("LOOKED_AT"):
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / f"{where}-{width}.png").write_bytes(taken)
        return
    (tmp_path / f"{where}-{width}.png").write_bytes(taken)
    found = beside(browser, width, where, taken)
    assert not found.much, f"{found}, see {tmp_path}"


@pytest.mark.parametrize(
    "style",
    [
        ".attention { display: block }",
        ".cards { display: block }",
        "#overview { order: 2 } main { display: flex; flex-direction: column }",
        ".chart { height: 180px }",
        "#hygiene { display: none }",
        "#dags { transform: translateX(24px) }",
        ".frame { grid-template-columns: 0 1fr }",
    ],
)
def test_a_section_that_moves_or_collapses_is_seen(
    browser: Browser, page_file: Path, style: str
) -> None:
    taken = picture(browser, page_file, 1440, "overview", style)
    assert beside(browser, 1440, "overview", taken).much


def test_letters_that_are_smoothed_another_way_are_not_a_change(
    browser: Browser, page_file: Path
) -> None:
    bolder = "* { -webkit-text-stroke: 0.25px }"
    taken = picture(browser, page_file, 1440, "overview", bolder)
    assert taken != (PICTURES / "overview-1440.png").read_bytes()
    assert not beside(browser, 1440, "overview", taken).much
