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
    """Which token stands for which sealed value."""

    salt: str = field(default_factory=lambda: secrets.token_hex(8))
    by_token: dict[str, str | bytes] = field(default_factory=dict, repr=False)
    by_value: dict[str | bytes, str] = field(default_factory=dict, repr=False)
    shown: set[str] = field(default_factory=set, repr=False)

    @property
    def gone(self) -> int:
        """How many values were hidden, and are in no row that came back."""
        return len(self.by_token) - len(self.shown)

    def hide(self, value: Any, secret: Secret) -> Any:
        """The token of a sealed value; any other value as it is."""
        if not _is_sealed(value):
            return value
        token = self.by_value.get(value)
        if token is None:
            token = f"airkeep-{self.salt}-{len(self.by_token)}"
            self.by_value[value], self.by_token[token] = token, value
        shown = _JSON.format(token=token) if secret.column == "kwargs" else token
        return shown.encode() if isinstance(value, bytes) else shown

    def show(self, value: Any) -> Any:
        """What a token stands for; any other value as it is.

        Raises:
            MigrationError: it is a token that nothing was hidden behind.
        """
        text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
        if not isinstance(text, str) or (found := _TOKEN.search(text)) is None:
            return value
        if found[0] not in self.by_token:
            raise MigrationError("a sealed secret was changed by a migration: upgrade without it")
        self.shown.add(found[0])
        return self.by_token[found[0]]


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
