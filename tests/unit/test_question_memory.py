"""Without a word on memory a question takes half of what is there, an export little."""

from __future__ import annotations

from pathlib import Path

import pytest

from airkeep.cli.context import Context
from airkeep.cli.output import Output
from airkeep.config import load_settings
from airkeep.database.limits import machine_memory, question_bytes


@pytest.mark.parametrize(
    ("machine", "expected"),
    [(500_000_000, 400_000_000), (2_000_000_000, 1_000_000_000), (64 << 30, 2_000_000_000)],
)
def test_a_question_takes_half_of_the_machine_within_bounds(machine: int, expected: int) -> None:
    assert question_bytes(machine) == expected


def test_a_container_may_have_less_than_its_machine(tmp_path: Path) -> None:
    limited, unbounded = tmp_path / "limited", tmp_path / "unbounded"
    limited.write_text("1000000\n")
    unbounded.write_text("max\n")
    assert machine_memory([tmp_path / "none", unbounded, limited]) == 1_000_000
    assert machine_memory([unbounded]) == machine_memory([]) > 1_000_000


def test_a_question_takes_more_than_an_export_until_it_is_set() -> None:
    unset = Context(load_settings({}, {}, None), Output())
    told = Context(load_settings({"memory": "700MB"}, {}, None), Output())
    assert unset.limits.memory_bytes == 400_000_000
    assert unset.question_limits.memory_bytes == question_bytes()
    assert told.limits == told.question_limits
    assert told.limits.memory_bytes == 700_000_000
