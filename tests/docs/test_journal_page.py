"""docs/format.md tells every event of a journal, and every field of it."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from airkeep.environment.events import Entry, Event, LocalPlace, MwaaPlace
from docs.pages import page, section

PAGE = section(page("docs/format.md"), "## Environments and jobs")


@pytest.mark.parametrize("event", get_args(Event))
def test_an_event_has_its_line(event: type[msgspec.Struct]) -> None:
    [line] = [x for x in PAGE.splitlines() if x.startswith(f"| `{event.__struct_config__.tag}` |")]
    for field in event.__struct_fields__:
        assert f"`{field}`" in line


@pytest.mark.parametrize("shape", [Entry, MwaaPlace, LocalPlace])
def test_what_it_is_made_of_is_named(shape: type[msgspec.Struct]) -> None:
    for field in shape.__struct_fields__:
        assert f"`{field}`" in PAGE
