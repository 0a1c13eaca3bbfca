"""Reports that tests make by the real command, and what is in them."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner, Result

from airkeep.cli.main import cli
from chromium import broken_texts

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)>\u2028'\"&{{data}}"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def made(lake: Path, file: Path, *more: str) -> Path:
    result = run("report", "-q", lake, "-o", file, *more)
    assert result.exit_code == 0, result.exception
    return file


def scrolled(page: Page) -> None:
    """Through all of the page, so that every chart is drawn and every text looked at."""
    for y in range(0, int(page.evaluate("document.documentElement.scrollHeight")), 600):
        page.evaluate(f"scrollTo(0, {y})")
        page.wait_for_timeout(20)
    page.evaluate("scrollTo(0, 0)")
    broken = broken_texts(page)
    assert not broken, broken


def data(file: Path) -> dict[str, Any]:
    """What a page holds, its lists as rows again."""
    found = re.search(r'id="report">(.*?)</script>', file.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    for part in document["parts"]:
        for figure in part["figures"]:
            figure["rows"] = _rows(figure["rows"], document["texts"])
    for dag in document["dags"]:
        for name in ("strip", "weeks", "changes", "tasks", "path"):
            dag[name] = _rows(dag[name], document["texts"])
    return document


def _rows(columns: list[Any], texts: list[str | None]) -> list[list[Any]]:
    values = [
        column
        if isinstance(column, list)
        else [texts[n] for n in accumulate(column["texts"])]
        if "texts" in column
        else list(accumulate(column["steps"]))
        for column in columns
    ]
    return [list(row) for row in zip(*values, strict=True)]
