"""SQLite's values as text, for columns that hold more than one storage class.

SQLite types values, not columns: a column declared NUMERIC (which JSON and BOOLEAN are to it)
holds integers, floats and text side by side, and the difference between 5 and '5' must
survive. Such a column travels as SQLite literals, one of

    -42                           INTEGER: digits
    1.5  -0.0  1e+22  9e999       REAL: the shortest decimal that gives the same double, always
                                  with a point or an exponent; 9e999 and -9e999 are the infinities
    'it''s'                       TEXT
    X'00FF'                       BLOB
    CAST(X'FF00' AS TEXT)         TEXT that no quotes can hold: with a NUL, or not valid UTF-8;
                                  the digits are its bytes in a database whose encoding is UTF-8

and SQL NULL is Parquet's null. Doubles must be read with correct rounding, as Python and C do;
SQLite's own parser may be off in the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

_CAST, _AS_TEXT = "CAST(X'", "' AS TEXT)"


@dataclass(frozen=True)
class RawText:
    """TEXT that is not valid UTF-8."""

    data: bytes


Value = int | float | str | bytes | RawText | None


def literal_of(value: float | bytes | None, storage: str) -> str | None:
    """A value as a literal.

    Args:
        value: as `sqlite3` gives it with `text_factory = bytes`.
        storage: what SQLite's typeof() says.
    """
    if value is None:
        return None
    if not isinstance(value, bytes):
        return _number(value)
    if storage == "blob":
        return f"X'{value.hex().upper()}'"
    if b"\0" not in value:
        try:
            return "'" + value.decode().replace("'", "''") + "'"
        except UnicodeDecodeError:
            pass
    return f"{_CAST}{value.hex().upper()}{_AS_TEXT}"


def _number(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "9e999" if value > 0 else "-9e999"
    return repr(value)


def value_of(literal: str | None) -> Value:
    """The value that a literal stands for.

    Raises:
        ValueError: it is none of the five forms.
    """
    if literal is None:
        return None
    if literal.startswith("'"):
        return literal[1:-1].replace("''", "'")
    if literal.startswith("X'"):
        return bytes.fromhex(literal[2:-1])
    if literal.startswith(_CAST):
        data = bytes.fromhex(literal[len(_CAST) : -len(_AS_TEXT)])
        try:
            return data.decode()
        except UnicodeDecodeError:
            return RawText(data)
    return float(literal) if set(literal) & set(".e") else int(literal)
