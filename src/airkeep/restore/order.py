"""The order in which tables are written: parents before children."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise


def parents_first(
    edges: Mapping[str, Mapping[str, bool]],
) -> tuple[list[str], list[tuple[str, str]]]:
    """Parents before children, the same order each time.

    Args:
        edges: a child's parents, and whether the database itself insists on each.

    Returns:
        The order, and the pairs (child, parent) that it does not keep, since they close a cycle:
        one that nothing insists on is passed over before one that the database does.
    """
    left = {child: dict(parents) for child, parents in edges.items()}
    passed_over: list[tuple[str, str]] = []
    while True:
        try:
            order = TopologicalSorter({k: sorted(v) for k, v in sorted(left.items())})
            return list(order.static_order()), passed_over
        except CycleError as error:
            # The cycle is listed so that each node is a predecessor of the next.
            steps = list(pairwise(error.args[1]))
            parent, child = min(steps, key=lambda step: left[step[1]][step[0]])
            del left[child][parent]
            passed_over.append((child, parent))
