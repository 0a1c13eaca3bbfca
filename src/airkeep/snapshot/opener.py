"""Secrets made comparable, though Fernet gives another token for the same content each time.

With a key they are compared by what they hold; without one they are equal when their bytes are,
else they are counted as not compared. What was decrypted never reaches DuckDB, which may spill to
disk: it gets a keyed hash.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airkeep.database.sql import ident
from airkeep.snapshot.manifest import SecretsMode
from airkeep.snapshot.read import BATCH_ROWS
from airkeep.snapshot.seal import PREFIX, Keyring, column_values
from airkeep.snapshot.sides import Side
from airkeep.tables.secrets import Holds, Secret

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True)
class Keys:
    """What opens secrets on either side."""

    fernet: Keyring | None = None
    archive: Keyring | None = None


class Opener:
    """Secrets in a form that can be compared.

    That is `k` and a hash of the content where it is known, `u` and a hash of the bytes where
    it is not, `d` and a number where it was dropped.

    Attributes:
        failed: names of values that no given key opened.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys, self._pepper = keys, secrets.token_bytes(32)
        self._dropped = 0
        self.failed: list[str] = []

    def form(
        self, value: Any, secret: Secret, flag: Any, *, mode: SecretsMode, name: str
    ) -> str | None:
        if mode == "drop":
            self._dropped += 1
            return f"d{self._dropped}"  # equal to nothing, so that it is counted
        if value is None:
            return None
        raw = value if isinstance(value, bytes) else str(value).encode()
        if mode == "seal" and raw.startswith(PREFIX.encode()):
            token = raw[len(PREFIX) :].partition(b":")[2]
            return self._opened(raw, token, self._keys.archive, name)
        held = secret.form_of(value, None if flag is None else bool(flag))
        if mode != "plain" and held is Holds.CIPHERTEXT:
            return self._opened(raw, raw, self._keys.fernet, name)
        return "k" + self._hash(raw)

    def _opened(self, raw: bytes, token: bytes, ring: Keyring | None, name: str) -> str:
        content = None if ring is None else ring.decrypt(token)
        if content is not None:
            return "k" + self._hash(content)
        if ring is not None:
            self.failed.append(name)
        return "u" + self._hash(raw)

    def _hash(self, content: bytes) -> str:
        return hmac.new(self._pepper, content, hashlib.sha256).hexdigest()


def open_secrets(
    db: duckdb.DuckDBPyConnection,
    side: Side,
    name: str,
    label: str,
    opener: Opener,
    mode: SecretsMode,
) -> Side:
    """The side with its secrets in a form that can be compared, as a table of its own."""
    held = [f.secret for f in side.fields if f.secret is not None]
    if not held:
        return side
    db.execute(f"CREATE TABLE {name} AS {_hidden(side)} LIMIT 0")
    with db.cursor() as writer:
        for batch in db.execute(side.query).to_arrow_reader(BATCH_ROWS):
            writer.register("batch", _opened_batch(batch, label, held, opener, mode))
            writer.execute(f"INSERT INTO {name} FROM batch")
            writer.unregister("batch")
    return replace(side, query=f"SELECT * FROM {name}")


def _hidden(side: Side) -> str:
    columns = ", ".join(
        ident(f.name) if f.secret is None else f"NULL::VARCHAR AS {ident(f.name)}"
        for f in side.fields
    )
    return f"SELECT {columns} FROM ({side.query})"


def _opened_batch(
    batch: pa.RecordBatch,
    label: str,
    held: Sequence[Secret],
    opener: Opener,
    mode: SecretsMode,
) -> pa.RecordBatch:
    import pyarrow as pa

    read = batch
    for secret in held:
        flags, names = column_values(read, secret.flag), column_values(read, secret.named_by)
        values = [
            opener.form(value, secret, flag, mode=mode, name=f"{label} {name}.{secret.column}")
            for value, flag, name in zip(
                column_values(read, secret.column), flags, names, strict=True
            )
        ]
        index = batch.schema.get_field_index(secret.column)
        batch = batch.set_column(index, secret.column, pa.array(values, type=pa.string()))
    return batch
