"""Values as templates leave them, and as XCom takes them; nothing of Airflow is imported here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airkeep.errors import ConfigError


def days(name: str, value: float | str) -> timedelta | None:
    """A number of days, as a template leaves it; None for none."""
    try:
        number = float(value or 0)
        age = timedelta(days=number)
    except (ValueError, OverflowError):
        number, age = -1, timedelta()
    if number < 0:
        raise ConfigError(f"{name}: expected a number of days, found {value!r}")
    return age or None


def yes(name: str, value: bool | str) -> bool:
    """True or false, as a template leaves it."""
    word: str = choice(name, str(value).lower(), "true", "false")
    return word == "true"


def choice(name: str, value: str, *known: str) -> Any:
    """One of these words."""
    if value not in known:
        raise ConfigError(f"{name}: expected {' or '.join(known)}, found {value!r}")
    return value


def plain(document: Any) -> dict[str, Any]:
    """A dataclass as what every XCom backend takes."""
    import msgspec

    made: dict[str, Any] = msgspec.to_builtins(document)
    return made
