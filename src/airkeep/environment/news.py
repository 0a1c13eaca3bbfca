"""What is told of a journey: to people in a sentence, to programs as JSON. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from airkeep.environment.events import Journey


class News(msgspec.Struct, frozen=True, kw_only=True):
    """A journey that is over.

    Attributes:
        why: it failed; no secret is in it, as in no error's message.
        saved: what was not paid while it slept: `7.35 USD`.
    """

    environment: str
    journey: Journey
    outcome: Literal["done", "failed"]
    due_at: datetime
    snapshot: str | None = None
    why: str = ""
    took_s: float = 0.0
    saved: str | None = None


def headline(news: News) -> str:
    """The shortest of it: a subject."""
    if news.outcome == "failed":
        return f"airkeep: {news.environment}: {news.journey} failed"
    return f"airkeep: {news.environment} is {'asleep' if news.journey == 'down' else 'awake'}"


def text(news: News) -> str:
    """All of it, in a line."""
    due = f"due {news.due_at:%Y-%m-%d %H:%M} UTC"
    if news.outcome == "failed":
        return f"{headline(news)} ({due}): {news.why}"
    kept = f", snapshot {news.snapshot}" if news.snapshot else ""
    spared = f", {news.saved} saved" if news.saved else ""
    return f"{headline(news)} ({due}, took {_took(news.took_s)}{kept}{spared})"


def _took(took_s: float) -> str:
    return f"{took_s:.0f} s" if took_s < 90 else f"{took_s / 60:.0f} min"


def document(news: News) -> bytes:
    """All of it as JSON; `text` beside it is what chat programs show of a webhook."""
    fields = {name: getattr(news, name) for name in news.__struct_fields__}
    return msgspec.json.encode({"text": text(news), **fields})
