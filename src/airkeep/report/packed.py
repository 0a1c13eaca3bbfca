"""Rows as a page carries them: by column, what repeats once.

A text is its place in one list of texts that the whole page shares. Places, and numbers that are
large, as times are, are steps: the first as it is, then what each adds to the one before.
`values.js` unpacks both.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from airkeep.report.figures import Row, Value

Column = list[Value] | dict[str, list[int]]
Places = dict[str | None, int]
_LARGE = 1_000_000


def packed(rows: Sequence[Row], places: Places) -> list[Column]:
    """The columns of these rows, empty for no row.

    Args:
        places: each text's place, in order; new ones are added.
    """
    return [_column(values, places) for values in zip(*rows, strict=True)]


def _column(values: tuple[Value, ...], places: Places) -> Column:
    texts = [value for value in values if value is None or isinstance(value, str)]
    if len(texts) == len(values):
        return {"texts": _steps([places.setdefault(text, len(places)) for text in texts])}
    whole = [v for v in values if isinstance(v, int) and not isinstance(v, bool)]
    if len(whole) == len(values) and min(whole) > _LARGE:
        return {"steps": _steps(whole)}
    return [_short(value) for value in values]


def _steps(numbers: Sequence[int]) -> list[int]:
    return [after - before for before, after in pairwise([0, *numbers])]


def _short(value: Value) -> Value:
    """479.0 is 479 to the page."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
