"""Debian's Chromium, driven by Playwright: opens pages, and tells what went wrong there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROGRAM = Path("/usr/bin/chromium")
# All text of a page, that of closed details and of names for screen readers included.
_TEXTS = """() => [
  document.querySelector('main')?.textContent || '',
  ...[...document.querySelectorAll('[aria-label], [title]')]
    .flatMap((e) => [e.getAttribute('aria-label') || '', e.getAttribute('title') || '']),
]"""
_BROKEN = re.compile(r".{0,40}(?:\[object |\b(?:NaN|undefined|Infinity)\b).{0,40}")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--font-render-hinting=none",
)  # fmt: skip


@dataclass
class Opened:
    """A page, and all that it complained of or asked the outside for."""

    page: Page
    wrong: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser; the test skips where there is none."""
    if not PROGRAM.exists():
        pytest.skip(f"{PROGRAM} is not there: `make chromium`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(PROGRAM), args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened_page(
    browser: Browser, file: Path, *, width: int = 1440, height: int = 900, **how: Any
) -> Iterator[Opened]:
    """Open a file as a person does who has no network; at the end no text of it may be broken."""
    page = browser.new_page(viewport={"width": width, "height": height}, **how)
    found = Opened(page)
    page.on("console", lambda said: found.wrong.append(f"console {said.type}: {said.text}"))
    page.on("pageerror", lambda error: found.wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: found.wrong.append(f"dialog: {dialog.message}"))
    page.on("request", lambda asked: _note(found, asked.url, file))
    try:
        page.goto(file.as_uri())
        yield found
        broken = broken_texts(page)
        assert not broken, broken
    finally:
        page.close()


def broken_texts(page: Page) -> list[str]:
    """Where a page says what no person wrote: values that a script made a text of by mistake."""
    texts: list[str] = page.evaluate(_TEXTS)
    return [found[0] for text in texts for found in _BROKEN.finditer(text)][:5]


def _note(found: Opened, url: str, file: Path) -> None:
    if url.partition("#")[0] != file.as_uri() and not url.startswith("data:"):
        found.wrong.append(f"request: {url}")
