"""What Airflow 2 kept as pickles and bytes, beside the JSON that Airflow 3 makes of it."""

from __future__ import annotations

import datetime
import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airkeep.upgrade.pickled import NotPlainError, plain_data
from airkeep.upgrade.values import (
    EMPTY,
    NAN_TO_NULL,
    NAN_TO_TEXT,
    NOT_JSON,
    NUL_STRIPPED,
    OBJECTS,
    PICKLED,
    UNREADABLE,
    LeftOutError,
    Tally,
    of_json,
    of_new_conf,
    of_old_conf,
    of_old_xcom,
)

texts = st.text(max_size=5)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner) | st.tuples(inner, inner),
    max_leaves=5,
)


class Trap:
    """Unpickled, it would say so."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was loaded",))


@given(plain, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_is_read_as_pickle_reads_it(value: Any, protocol: int) -> None:
    assert plain_data(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize(
    "pickled",
    [
        pickle.dumps(Trap()),
        pickle.dumps({"at": datetime.datetime(2026, 1, 1)}),
        pickle.dumps({"a": 1})[:-1],
        b"",
        b"\x80\x05.",
        b"not a pickle",
    ],
)
def test_objects_and_damage_are_refused_and_nothing_is_run(pickled: bytes) -> None:
    with pytest.raises(NotPlainError):
        plain_data(pickled)


@settings(max_examples=40)
@given(st.dictionaries(texts, plain, min_size=1, max_size=3))
def test_a_conf_is_equal_to_the_json_that_airflow_makes_of_it(conf: dict[str, Any]) -> None:
    if "\\u0000" in json.dumps(conf) or any(map(math.isinf, _floats(conf))):
        return
    assert of_old_conf(pickle.dumps(conf), Tally()) == of_new_conf(json.dumps(conf))


def _floats(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [f for item in value.values() for f in _floats(item)]
    if isinstance(value, list | tuple):
        return [f for item in value for f in _floats(item)]
    return [value] if isinstance(value, float) else []


def test_numbers_and_keys_are_equal_however_the_database_writes_them() -> None:
    assert of_json('{"a": 1e5, "b": -0.0}') == of_json('{"b":0,"a":100000}')
    assert of_json("1") != of_json('"1"')
    assert of_json("1") != of_json("true")
    long = "1234567890" * 5
    assert of_json(f"{long}.5") != of_json(f"{long}.6")
    assert of_json("null") is None


def test_what_the_migration_is_known_to_change_is_counted() -> None:
    tally = Tally()
    assert of_old_xcom(b'{"a": [NaN, 1]}', tally) == of_json('{"a": [null, 1]}')
    assert of_old_xcom(b'"x\\u0000y"', tally) == of_json('"xy"')
    assert of_old_conf(pickle.dumps({"n": math.inf, "t": "\0"}), tally) == of_json(
        '{"n": "Infinity", "t": ""}'
    )
    assert of_old_conf(pickle.dumps({}), tally) is None
    assert of_old_conf(pickle.dumps({"b": b"bytes"}), tally) is None
    assert dict(tally.converted) == {
        NAN_TO_NULL: 1,
        NUL_STRIPPED: 2,
        NAN_TO_TEXT: 1,
        EMPTY: 1,
        NOT_JSON: 1,
    }


def test_what_cannot_be_compared_says_why() -> None:
    with pytest.raises(LeftOutError, match=PICKLED):
        of_old_xcom(pickle.dumps(1), Tally())
    with pytest.raises(LeftOutError, match=UNREADABLE):
        of_old_xcom(b"{not json", Tally())
    with pytest.raises(LeftOutError, match=OBJECTS):
        of_old_conf(pickle.dumps({"x": Trap()}), Tally())
