"""JSON that Airflow keeps, in a form that is equal where the value is.

Airflow 2 keeps a run's conf as a pickle and an XCom as bytes, Airflow 3 both as JSON, whose
database type may have written a number or the order of keys otherwise. What Airflow's migration
is known to change on the way (a NaN, a NUL character) is done here to the old value, too, and
counted: so a difference that is left is one that nobody can explain.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from airkeep.upgrade.pickled import NotPlainError, plain_data

NAN_TO_NULL = "NaN or Infinity became null"
NAN_TO_TEXT = "NaN or Infinity became a text"
NUL_STRIPPED = "NUL characters were left out"
NOT_JSON = "no JSON can hold it: it became NULL"
EMPTY = "an empty conf became NULL, or {}"
OBJECTS = "a pickle of objects, which nothing here unpickles: not compared"
PICKLED = "a pickle: moved to _xcom_archive"
UNREADABLE = "no JSON and no pickle: not compared"

_PICKLE = b"\x80"
_EXACT = Context(prec=10_000)


@dataclass
class Tally:
    """What was met among the old values; `left_out` ones are not compared."""

    converted: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


class LeftOutError(ValueError):
    """This value is not compared."""


def of_json(value: str | None) -> str | None:
    """A JSON text as Airflow 3 holds it; JSON's null and no value are one."""
    if value is None:
        return None
    try:
        return _form(json.loads(value, parse_float=Decimal, parse_int=Decimal))
    except (ValueError, RecursionError):
        raise LeftOutError(UNREADABLE) from None


def of_new_conf(value: str | None) -> str | None:
    """A conf of Airflow 3: an empty one and none are one, too, as its migration has it."""
    formed = of_json(value)
    return None if formed == _form({}) else formed


def of_old_xcom(value: bytes | str | None, tally: Tally) -> str | None:
    """An XCom of Airflow 2, as Airflow 3's migration is to leave it.

    Raises:
        LeftOutError: it is not compared, and why.
    """
    if value is None:
        return None
    raw = value.encode() if isinstance(value, str) else value
    if raw[:1] == _PICKLE:
        raise LeftOutError(PICKLED)
    met: set[str] = set()

    def constant(_: str) -> None:
        met.add(NAN_TO_NULL)

    try:
        parsed = json.loads(raw, parse_float=Decimal, parse_int=Decimal, parse_constant=constant)
        formed = _form(_without_nul(parsed, met))
    except (ValueError, RecursionError):
        raise LeftOutError(UNREADABLE) from None
    tally.converted.update(met)
    return formed


def of_old_conf(value: bytes | str | None, tally: Tally) -> str | None:
    """A conf of Airflow 2, as Airflow 3's migration is to leave it.

    Raises:
        LeftOutError: it is not compared, and why.
    """
    if value is None:
        return None
    raw = value.encode() if isinstance(value, str) else value
    try:
        data = plain_data(raw)
    except NotPlainError:
        raise LeftOutError(OBJECTS) from None
    if data is None:
        return None
    if data == {}:
        tally.converted[EMPTY] += 1
        return None
    met: set[str] = set()
    try:
        text = json.dumps(_quoted_nan(_without_nul(data, met), met))
    except (TypeError, ValueError, RecursionError):
        tally.converted[NOT_JSON] += 1
        return None
    tally.converted.update(met)
    return of_json(text)


def _without_nul(value: Any, met: set[str]) -> Any:
    if isinstance(value, str):
        if "\0" in value:
            met.add(NUL_STRIPPED)
        return value.replace("\0", "")
    if isinstance(value, Mapping):
        return {_without_nul(k, met): _without_nul(v, met) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(item, met) for item in value]
    return value


def _quoted_nan(value: Any, met: set[str]) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        met.add(NAN_TO_TEXT)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {_quoted_nan(k, met): _quoted_nan(v, met) for k, v in value.items()}
    if isinstance(value, list):
        return [_quoted_nan(item, met) for item in value]
    return value


def _form(value: Any) -> str | None:
    """One text for equal values; None for JSON's null."""
    return None if value is None else json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    """Numbers as what they are worth: `jsonb` writes 1e5 as 100000, and knows no -0."""
    if isinstance(value, Decimal):
        return {"number": str(value.normalize(_EXACT)) if value else "0"}
    if isinstance(value, dict):
        return {"object": {k: _plain(v) for k, v in value.items()}}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return {"number": repr(value)}
    return value
