"""Reports that tests make by the real command, and what is in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner, Result

from airkeep.cli.main import cli

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
    """Through all of the page, so that every chart is drawn."""
    for y in range(0, int(page.evaluate("document.documentElement.scrollHeight")), 600):
        page.evaluate(f"scrollTo(0, {y})")
        page.wait_for_timeout(20)
    page.evaluate("scrollTo(0, 0)")


def data(file: Path) -> dict[str, Any]:
    found = re.search(r'id="report">(.*?)</script>', file.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document
