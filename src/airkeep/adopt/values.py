"""Read the text of one column back into the values that it was made of, and count what was done.

Other tools wrote Python values with `str`: 1 became `1.0` in a column with gaps, bytes became
`b'...'`, JSON became Python's own text. Each is read back where that is exact. A value that is not
understood makes the whole column text, as it stands in the source: half a repair would be a guess.
Nothing is ever unpickled or evaluated; Python's literals are read by `ast.literal_eval` only.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

Read = Callable[[str, Counter[str]], Any]

EMPTY = "empty: NULL and '' look alike in the source, read as NULL"
EMPTY_JSON = "empty: NULL, JSON null and an empty JSON text look alike in the source, read as NULL"
FLOAT = "integers that the source wrote as floats (1.0), read as integers"
BYTES = "bytes that the source wrote as Python's b'...', read as bytes"
LOST = "bytes that the source did not write (<memory at ...>), lost: NULL"
PYTHON = (
    "JSON, or Python's text of it: its spelling is not known, nor is a text told from the list or "
    "object that it looks like"
)
SCALAR = "JSON of a single value: a text that looks like other JSON, 5 or true, is read as that"
NUMBER = (
    "JSON numbers as floats (1.0): beside a gap the source wrote integers so too, rounded beyond "
    "15 digits; read as they stand"
)
TEXT = "JSON that begins like a list or an object and is none, read as a JSON text"
NO_ZONE = "times without a zone, read as UTC"
ZONE = "times with the zone UTC in a column without one, read without it"
HEX = "32 digits without dashes, read as a uuid"

_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_WHOLE_FLOAT = re.compile(r"(-?(?:0|[1-9]\d{0,14}))\.0")  # 15 digits: exact in a double
_FLOAT = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?(Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?)?"
)
_BYTES = re.compile(r"""b'(?:[^'\\]|\\.)*'|b"(?:[^"\\]|\\.)*\"""", re.ASCII)
_HEX = re.compile(r"\\x((?:[0-9a-fA-F]{2})*)")
_ADDRESS = re.compile(r"<memory at 0x[0-9a-fA-F]+>")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BARE_UUID = re.compile(r"[0-9a-fA-F]{32}")
_JSON_FLOAT = re.compile(r"-?\d+(\.\d+|(\.\d+)?[eE][+-]?\d+)")
_SINGLE = {"True": True, "False": False, "None": None}
_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
_TRUE = {"True", "true", "t", "1", "1.0"}
_FALSE = {"False", "false", "f", "0", "0.0"}


def reader_of(column_type: str) -> Read:
    """How a value of a PostgreSQL type is read; what is not known is text.

    The function given raises ValueError for text that is no value of the type.
    """
    word = column_type.partition("(")[0]
    if word in _BITS:
        return _integers(_BITS[word])
    return _READERS.get(word, _text)


def read_column(
    texts: Sequence[str], read: Read, repairs: Counter[str], *, empty: str | None
) -> tuple[list[Any], int]:
    """Every value, and the place of the first that is not understood, -1 where all are.

    Args:
        empty: the repair that an empty text is; None where it is sure to be NULL.
    """
    values: list[Any] = []
    for place, text in enumerate(texts):
        if text == "":
            values.append(None)
            if empty:
                repairs[empty] += 1
            continue
        try:
            values.append(read(text, repairs))
        except ValueError:
            return values, place
    return values, -1


def _text(text: str, _repairs: Counter[str]) -> str:
    return text


def _integers(bits: int) -> Read:
    least, most = -(1 << bits - 1), (1 << bits - 1) - 1

    def read(text: str, repairs: Counter[str]) -> int:
        if _INTEGER.fullmatch(text):
            value = int(text)
        elif found := _WHOLE_FLOAT.fullmatch(text):
            value = int(found[1])
            repairs[FLOAT] += 1
        else:
            raise ValueError
        if not least <= value <= most:
            raise ValueError
        return value

    return read


def _float(text: str, _repairs: Counter[str]) -> float:
    if not _FLOAT.fullmatch(text):
        raise ValueError
    value = float(text)
    if math.isinf(value) and "inf" not in text.lower():
        raise ValueError
    return value


def _boolean(text: str, _repairs: Counter[str]) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError


def _time(text: str) -> tuple[datetime, str | None]:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError
    return datetime.fromisoformat(text), found[1]


def _instant(text: str, repairs: Counter[str]) -> datetime:
    at, zone = _time(text)
    if zone is None:
        repairs[NO_ZONE] += 1
        return at.replace(tzinfo=UTC)
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError from None


def _local_time(text: str, repairs: Counter[str]) -> datetime:
    at, zone = _time(text)
    if zone is None:
        return at
    if at.utcoffset():
        raise ValueError  # which of the two the database held is not known
    repairs[ZONE] += 1
    return at.replace(tzinfo=None)


def _bytes(text: str, repairs: Counter[str]) -> bytes | None:
    if found := _HEX.fullmatch(text):
        return bytes.fromhex(found[1])
    if _BYTES.fullmatch(text):
        value = _python(text)
        if isinstance(value, bytes):
            repairs[BYTES] += 1
            return value
    if _ADDRESS.fullmatch(text):
        repairs[LOST] += 1
        return None
    raise ValueError


def _uuid(text: str, repairs: Counter[str]) -> str:
    text = text.lower()
    if _UUID.fullmatch(text):
        return text
    if not _BARE_UUID.fullmatch(text):
        raise ValueError
    repairs[HEX] += 1
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _json(*, ascii_only: bool) -> Read:
    def read(text: str, repairs: Counter[str]) -> str:
        is_single = text[0] not in "[{"
        repairs[SCALAR if is_single else PYTHON] += 1
        if _is_json(text):
            if _JSON_FLOAT.fullmatch(text) and float(text).is_integer():
                repairs[NUMBER] += 1
            return text
        # A text, where it is nothing else: `str` writes it without its quotes.
        value = _SINGLE.get(text, text) if is_single else _container(text)
        if value is text and not is_single:
            repairs[TEXT] += 1
        return _dumped(value, ascii_only=ascii_only)

    return read


def _container(text: str) -> object:
    try:
        value = _python(text)
    except ValueError:
        return text
    return value if _is_plain(value) else text


def _dumped(value: object, *, ascii_only: bool) -> str:
    try:
        text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    except RecursionError:
        raise ValueError from None
    text.encode()  # half a surrogate pair is no text
    return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(_name: str) -> NoReturn:
    raise ValueError


def _python(text: str) -> object:
    """The value of a Python literal; no name, no call, nothing that runs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape that Python does not know
            return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError from None


def _is_plain(value: object) -> bool:
    """Whether JSON can say it: no tuples, sets, bytes, and no keys that are no text."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(inner) for k, inner in value.items())
    if isinstance(value, list):
        return all(_is_plain(inner) for inner in value)
    return value is None or isinstance(value, (str, bool, int, float))


_READERS: dict[str, Read] = {
    "double precision": _float,
    "real": _float,
    "boolean": _boolean,
    "timestamp with time zone": _instant,
    "timestamp without time zone": _local_time,
    "bytea": _bytes,
    "uuid": _uuid,
    "json": _json(ascii_only=True),  # as Airflow writes it
    "jsonb": _json(ascii_only=False),  # as PostgreSQL prints it
}


def _strict(read: Read, form: re.Pattern[str]) -> Read:
    def strictly(text: str, repairs: Counter[str]) -> Any:
        if not form.fullmatch(text):
            raise ValueError
        return read(text, repairs)

    return strictly


# What a column without a known type may be: the narrowest first, text at last.
GUESSES: tuple[tuple[str, Read], ...] = (
    ("bigint", _strict(_integers(64), _INTEGER)),
    ("double precision", _strict(_float, re.compile(r"-?[\d.]+([eE][+-]?\d+)?"))),
    ("boolean", _strict(_boolean, re.compile("[Tt]rue|[Ff]alse"))),
    ("timestamp with time zone", _strict(_instant, re.compile(r".*[T ].*(Z|[+-]\d\d.*)"))),
    ("timestamp without time zone", _strict(_local_time, re.compile(r".*:\d\d(\.\d+)?"))),
    ("bytea", _bytes),
    ("text", _text),
)
