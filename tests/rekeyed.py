"""Secrets of a database as an Airflow with a key would read them, and rows of every form."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import airkeep
from airkeep.tables.secrets import SECRETS, Holds, looks_like_fernet
from servers import FERNET_KEY, query

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The demo key's successor, and one that nobody has.
NEW_KEY = "zXcTFEUnQO0vJ8aTTbzSHb1QtgqdfQxU1cn1HfKPlKY="
LOST_KEY = "pJ0mT1Yq0zq0mUO0M2lq4oWb5mYb4m1hQbqk3t5mX7M="
ARCHIVE_KEY = "6ZHkX1YQz1fVVW7j9fZpD6nS7mT9k0eM6Vv3oRrO5nM="
DUMPS = (
    "airflow-263",
    "airflow-2112",
    "airflow-306",
    "airflow-332",
    "migrated-2112-to-332-fab",
)
CLEAR = ("extra-in-the-clear", "variable-in-the-clear", "password-behind-a-wrong-flag")
HIDDEN = ("the-password-itself", "the-kwargs-themselves", "the-token-itself")


def encrypted(text: str, key: str = FERNET_KEY) -> str:
    from cryptography.fernet import Fernet

    return Fernet(key).encrypt(text.encode()).decode()


def odd_rows(version: str) -> list[str]:
    """Statements for rows of every form: mixed flags, empty, NULL, both kinds of trigger, ...

    Args:
        version: of the Airflow: `2...` or `3...`, as in a dump's name.
    """
    # As Airflow's own serializer writes keyword arguments.
    hidden, empty = (
        f'{{"__var": {{{given}}}, "__type": "dict"}}'
        for given in ('"a": "the-kwargs-themselves"', "")
    )
    password, kwargs = encrypted("the-password-itself"), encrypted(hidden)
    rows = [
        "INSERT INTO connection (conn_id, conn_type, password, extra, is_encrypted, "
        f"is_extra_encrypted) VALUES ('mixed', 'http', '{password}', "
        '\'{"plain": "extra-in-the-clear"}\', true, false), '
        "('empty', 'http', '', '', true, true), ('null', 'http', NULL, NULL, false, false), "
        f"('unflagged', 'http', '{password}', NULL, false, false), "
        "('misflagged', 'http', 'password-behind-a-wrong-flag', NULL, true, false)",
        "INSERT INTO variable (key, val, is_encrypted) VALUES "
        f"('hidden', '{password}', true), ('clear', 'variable-in-the-clear', false), "
        "('void', '', false)",
    ]
    if not version.startswith(("airflow-26", "2.6")):
        rows.append(
            "INSERT INTO trigger (classpath, kwargs, created_date) VALUES "
            f"('a.Trigger', '{kwargs}', '2026-01-01 00:00:00'), "
            f"('b.Trigger', '{empty}', '2026-01-01 00:00:00')"
        )
    if "33" in version.replace(".", ""):
        rows.append(
            "INSERT INTO connection_test_request (id, token, connection_id, state, created_at, "
            "updated_at, conn_type, password, extra, is_encrypted, is_extra_encrypted) VALUES "
            "('0192a3b4c5d67e8f9a0b1c2d3e4f5a6b', 'the-token-itself', 'tested', 'pending', "
            f"'2026-01-01 00:00:00', '2026-01-01 00:00:00', 'http', '{password}', '{kwargs}', "
            "true, true)"
        )
    return rows


def sqlite_lake(file: Path, lake: Path) -> Path:
    """A lake with one snapshot of a file with such rows, kept under the demo key."""
    with closing(sqlite3.connect(file)) as db:
        for statement in odd_rows("3.3.2"):
            db.execute(statement)
        db.commit()
    airkeep.export(
        str(file), str(lake), environment="prod", allow_plain=True, fernet_key=FERNET_KEY
    )
    return lake


def secrets_in(ask: Callable[[str], list[tuple[Any, ...]]], columns: set[tuple[str, str]]) -> Any:
    """Every value that may be ciphertext, by (table, name, column): (its flag, the value)."""
    found: dict[tuple[str, str, str], tuple[bool | None, str | None]] = {}
    for secret in SECRETS:
        if (secret.table, secret.column) not in columns or secret.holds is not Holds.CIPHERTEXT:
            continue
        flag = f'"{secret.flag}"' if (secret.table, secret.flag) in columns else "NULL"
        for name, is_encrypted, value in ask(
            f'SELECT "{secret.named_by}", {flag}, "{secret.column}" FROM "{secret.table}"'
        ):
            flagged = None if is_encrypted is None else bool(is_encrypted)
            found[secret.table, str(name), secret.column] = flagged, value
    return found


def read_secrets(url: str) -> dict[tuple[str, str, str], tuple[bool | None, str | None]]:
    """Those of a PostgreSQL database."""
    columns = query(
        url,
        "SELECT table_name::text, column_name::text FROM information_schema.columns "
        "WHERE table_schema = 'public'",
    )
    found: dict[tuple[str, str, str], tuple[bool | None, str | None]] = secrets_in(
        lambda statement: query(url, statement), {(t, c) for t, c in columns}
    )
    return found


def opened(
    found: dict[tuple[str, str, str], tuple[bool | None, str | None]], key: str
) -> dict[tuple[str, str, str], str | None]:
    """What an Airflow with that key alone reads; it fails where that Airflow would."""
    from cryptography.fernet import Fernet

    lock = Fernet(key)
    return {
        name: lock.decrypt(value.encode()).decode()
        if value and flag is not False and looks_like_fernet(value)
        else value
        for name, (flag, value) in found.items()
    }


def ciphertexts(url: str) -> set[str]:
    """`table name.column` of every encrypted value."""
    return {
        f"{table} {name}.{column}"
        for (table, name, column), (flag, value) in read_secrets(url).items()
        if value and flag is not False and looks_like_fernet(value)
    }
