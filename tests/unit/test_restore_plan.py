"""The order in which a restore loads tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from airkeep.restore.plan import load_order
from airkeep.snapshot.manifest import ReferenceEntry, TableEntry


def table(label: str, parents: Sequence[str]) -> TableEntry:
    references = tuple(
        ReferenceEntry(f"{label}_{parent}_{n}", ("x",), parent, ("id",))
        for n, parent in enumerate(parents)
    )
    return TableEntry(
        label=label, schema="public", name=label, role="core", columns=(), key=("id",),
        references=references, rows=0, files=(),
    )  # fmt: skip


def tables(edges: Mapping[str, Sequence[str]]) -> list[TableEntry]:
    return [table(label, parents) for label, parents in edges.items()]


def assert_parents_first(
    entries: Sequence[TableEntry], order: Sequence[str], waiting: Sequence[tuple[str, str]]
) -> None:
    """Every reference is loaded after what it points at, points at itself, or waits."""
    assert sorted(order) == sorted(e.label for e in entries)
    for entry in entries:
        for reference in entry.references:
            if reference.target in order and (entry.label, reference.name) not in waiting:
                assert order.index(reference.target) <= order.index(entry.label)


def test_parents_come_before_children() -> None:
    order, waiting = load_order(tables({"ti": ["run"], "run": ["dag"], "dag": []}))
    assert (order, waiting) == (["dag", "run", "ti"], [])


def test_a_table_may_refer_to_itself_and_to_one_that_is_left_out() -> None:
    order, waiting = load_order(tables({"a": ["a", "elsewhere"]}))
    assert (order, waiting) == (["a"], [])


def test_in_a_cycle_every_reference_of_one_step_waits() -> None:
    entries = tables({"a": ["b"], "b": ["c", "c"], "c": ["a"]})
    order, waiting = load_order(entries)
    assert len({child for child, _ in waiting}) == 1
    assert_parents_first(entries, order, waiting)


LABELS = st.sampled_from("abcdefgh")


@given(st.lists(st.tuples(LABELS, LABELS), max_size=30))
def test_without_a_cycle_nothing_waits(pairs: list[tuple[str, str]]) -> None:
    edges: dict[str, list[str]] = {label: [] for label in "abcdefgh"}
    for one, other in pairs:
        edges[max(one, other)].append(min(one, other))  # downhill only, or to itself
    entries = tables(edges)
    order, waiting = load_order(entries)
    assert waiting == []
    assert_parents_first(entries, order, waiting)


@given(st.lists(st.tuples(LABELS, LABELS), max_size=30))
def test_with_cycles_all_that_is_not_in_order_waits(pairs: list[tuple[str, str]]) -> None:
    edges: dict[str, list[str]] = {label: [] for label in "abcdefgh"}
    for child, parent in pairs:
        edges[child].append(parent)
    entries = tables(edges)
    order, waiting = load_order(entries)
    assert_parents_first(entries, order, waiting)
    assert (order, waiting) == load_order(entries)
