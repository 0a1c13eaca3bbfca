"""Short tokens in the place of sealed secrets while a snapshot is in a scratch database.

A sealed value is longer than what it seals, so it may not fit its column, and nobody should need a
key to upgrade a sealed snapshot. So each one is a token in the scratch database; what was sealed is
kept here, in memory, and put back when the rows leave. Nothing is decrypted on the way.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airkeep.errors import MigrationError
from airkeep.snapshot.seal import PREFIX, SecretsBack, SecretsWay
from airkeep.tables.secrets import Secret

if TYPE_CHECKING:
    import pyarrow as pa

_TOKEN = re.compile(r"airkeep-[0-9a-f]{16}-\d+")
# What a trigger's arguments must be to Airflow's migration, which reads them.
_JSON = '{{"__type": "dict", "__var": {{"airkeep": "{token}"}}}}'


@dataclass
class Masks:
    """Which token stands for which sealed value.

    Attributes:
        hidden: the tokens that went into the scratch database; `shown`: those that came back.
    """

    salt: str = field(default_factory=lambda: secrets.token_hex(8))
    by_token: dict[str, str | bytes] = field(default_factory=dict, repr=False)
    by_value: dict[str | bytes, str] = field(default_factory=dict, repr=False)
    hidden: set[str] = field(default_factory=set, repr=False)
    shown: set[str] = field(default_factory=set, repr=False)

    @property
    def gone(self) -> int:
        """How many values were hidden, and are in no row that came back."""
        return len(self.hidden - self.shown)

    def start_anew(self) -> None:
        """Count from here: what the tokens are in now goes into another database."""
        self.hidden.clear()
        self.shown.clear()

    def hide(self, value: Any, secret: Secret) -> Any:
        """The token of a sealed value; any other value, a token among them, as it is."""
        if not _is_sealed(value):
            if (known := _token_in(value)) in self.by_token:
                self.hidden.add(known)
            return value
        token = self.by_value.get(value)
        if token is None:
            token = f"airkeep-{self.salt}-{len(self.by_token)}"
            self.by_value[value], self.by_token[token] = token, value
        self.hidden.add(token)
        shown = _JSON.format(token=token) if secret.column == "kwargs" else token
        return shown.encode() if isinstance(value, bytes) else shown

    def show(self, value: Any) -> Any:
        """What a token stands for; any other value as it is.

        Raises:
            MigrationError: it is a token that nothing was hidden behind.
        """
        token = _token_in(value)
        if not token:
            return value
        if token not in self.by_token:
            raise MigrationError("a sealed secret was changed by a migration: upgrade without it")
        self.shown.add(token)
        return self.by_token[token]


def _token_in(value: Any) -> str:
    """The token that a value is, or has in it; empty where there is none."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    found = _TOKEN.search(text) if isinstance(text, str) else None
    return found[0] if found else ""


def _is_sealed(value: Any) -> bool:
    if isinstance(value, bytes):
        return value.startswith(PREFIX.encode())
    return isinstance(value, str) and value.startswith(PREFIX)


@dataclass
class Masking(SecretsBack):
    """Into the scratch database."""

    masks: Masks = field(default_factory=Masks)

    def treat(self, batch: pa.RecordBatch, label: str, secrets: Sequence[Secret]) -> pa.RecordBatch:
        for secret in secrets:
            values = batch.column(secret.column).to_pylist()
            batch = _with(batch, secret.column, [self.masks.hide(v, secret) for v in values])
        return batch


@dataclass
class Unmasking(SecretsWay):
    """Out of it."""

    masks: Masks = field(default_factory=Masks)

    def treat(
        self,
        batch: pa.RecordBatch,
        label: str,
        secrets: Sequence[Secret],
        required: Collection[str] = (),
    ) -> pa.RecordBatch:
        for secret in secrets:
            values = batch.column(secret.column).to_pylist()
            batch = _with(batch, secret.column, [self.masks.show(v) for v in values])
        return batch


def _with(batch: pa.RecordBatch, column: str, values: list[Any]) -> pa.RecordBatch:
    import pyarrow as pa

    index = batch.schema.get_field_index(column)
    kind = batch.schema.field(index)
    return batch.set_column(index, kind, pa.array(values, type=kind.type))
