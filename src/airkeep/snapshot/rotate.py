"""Secrets from old keys to a new one: each value looked at, counted, and turned.

Of a database, and of a snapshot that keeps secrets, the values are Airflow's Fernet tokens; of a
sealed snapshot they are envelopes with a token inside (see `seal`). Everything else stays as it is:
what Airflow left in plain text, empty values, flags. A token keeps the time that it was made at,
as `airflow rotate-fernet-key` keeps it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from airkeep.snapshot.manifest import SecretsMode
from airkeep.snapshot.seal import PREFIX, Keyring, column_values
from airkeep.tables.secrets import Holds, Secret, secrets_of

if TYPE_CHECKING:
    import pyarrow as pa

State = Literal["old", "current", "plain", "unreadable"]
# Of a token: its state, a hash of what it hides, and the token under the new key.
Known = dict[bytes, tuple[State, bytes, bytes]]


@dataclass(frozen=True)
class ColumnTally:
    """What stands in one column, empty values left out.

    Attributes:
        encrypted: how many values are encrypted; `current` of them open with the new key alone.
        plain: names of those that are not, and stay so.
        unreadable: names of those that no given key opens.
    """

    table: str
    column: str
    values: int
    encrypted: int
    current: int
    plain: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def old(self) -> int:
        """How many are to be encrypted anew."""
        return self.encrypted - self.current - len(self.unreadable)


@dataclass
class _Counted:
    states: Counter[State] = field(default_factory=Counter)
    plain: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


@dataclass
class Rotation:
    """The way of secrets to the first of the keys; counts what it meets.

    Attributes:
        ring: the first key is the new one, all of them open.
        mode: how the values stand: `keep` is Airflow's own way, `seal` the lake's.
        known: remembers tokens, where one look follows another: decrypting is the slow part.
        contents: hashes of what is hidden, by table and column: the same before and after.
    """

    ring: Keyring
    mode: SecretsMode = "keep"
    known: Known | None = None
    contents: Counter[tuple[str, str, bytes]] = field(default_factory=Counter)
    _columns: dict[tuple[str, str], _Counted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._first = self.ring.first

    def secrets(self, table: str, columns: Sequence[str]) -> tuple[Secret, ...]:
        """The columns of a table that may hold something to turn."""
        return tuple(
            secret
            for secret in secrets_of(table, columns)
            if self.mode == "seal" or secret.holds is Holds.CIPHERTEXT
        )

    def turn(self, value: Any, secret: Secret, flag: Any, *, label: str, name: Any) -> Any:
        """The value as it shall stand, the same one where there is nothing to do."""
        if value is None or value in ("", b""):
            return value
        counted = self._columns.setdefault((label, secret.column), _Counted())
        raw = value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")
        head, token = self._token(raw, secret, flag)
        if token is None:
            counted.states["plain"] += 1
            counted.plain.append(f"{label} {name}.{secret.column}")
            return value
        state, content, turned = self._opened(token)
        counted.states[state] += 1
        if state == "unreadable":
            counted.unreadable.append(f"{label} {name}.{secret.column}")
            return value
        self.contents[label, secret.column, content] += 1
        if state == "current":
            return value
        return head + turned if isinstance(value, bytes) else (head + turned).decode()

    def _opened(self, token: bytes) -> tuple[State, bytes, bytes]:
        if self.known is None:
            return self._open(token)
        if token not in self.known:
            self.known[token] = self._open(token)
        return self.known[token]

    def _open(self, token: bytes) -> tuple[State, bytes, bytes]:
        content = self._first.decrypt(token)
        if content is not None:
            return "current", sha256(content).digest(), token
        content, turned = self.ring.decrypt(token), self.ring.rotate(token)
        if content is None or turned is None:
            return "unreadable", b"", token
        return "old", sha256(content).digest(), turned

    def _token(self, raw: bytes, secret: Secret, flag: Any) -> tuple[bytes, bytes | None]:
        """What stands before the token, and the token, where it is one."""
        if self.mode == "seal":
            head, _, token = raw.rpartition(b":")
            return (head + b":", token) if raw.startswith(PREFIX.encode()) else (b"", None)
        held = secret.form_of(raw, None if flag is None else bool(flag))
        return b"", raw if held is Holds.CIPHERTEXT else None

    def treat(self, batch: pa.RecordBatch, label: str, secrets: Sequence[Secret]) -> pa.RecordBatch:
        """A batch of rows with its secrets turned."""
        import pyarrow as pa

        for secret in secrets:
            index = batch.schema.get_field_index(secret.column)
            kind = batch.schema.field(index)
            rows = zip(
                batch.column(index).to_pylist(),
                column_values(batch, secret.flag),
                column_values(batch, secret.named_by),
                strict=True,
            )
            values = [self.turn(v, secret, f, label=label, name=n) for v, f, n in rows]
            batch = batch.set_column(index, kind, pa.array(values, type=kind.type))
        return batch

    def columns(self) -> tuple[ColumnTally, ...]:
        """What was met, in the order that it was met in."""
        return tuple(self._tallies())

    def _tallies(self) -> Iterator[ColumnTally]:
        for (table, column), counted in self._columns.items():
            states = counted.states
            yield ColumnTally(
                table=table,
                column=column,
                values=states.total(),
                encrypted=states.total() - states["plain"],
                current=states["current"],
                plain=tuple(counted.plain),
                unreadable=tuple(counted.unreadable),
            )
