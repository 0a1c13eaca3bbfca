"""Secrets on their way into a snapshot and out again.

What each mode does with each form of value is data in `tables.secrets`; here it is done,
on Arrow batches. A sealed value says what it was, so that the way back needs nothing else:

    airkeep:1:c:<Fernet token under the archive key>     it was Airflow's ciphertext
    airkeep:1:p:<...>                                    it stood in plain text (or is a token)

Flags such as `is_encrypted` are never touched. A value that cannot be opened is named by
table, key and column; its content appears nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airkeep.errors import ConfigError, DecryptError, MissingKeyError
from airkeep.snapshot.manifest import SecretsMode
from airkeep.tables.secrets import Deed, Holds, Secret, deed, encrypts

if TYPE_CHECKING:
    import pyarrow as pa
    from cryptography.fernet import Fernet

PREFIX = "airkeep:1:"
# Where keys come from, for messages.
SOURCE_KEY = "the environment's Fernet key (AIRKEEP_FERNET_KEY or AIRFLOW__CORE__FERNET_KEY)"
TARGET_KEY = "the target's Fernet key (AIRKEEP_FERNET_KEY or AIRFLOW__CORE__FERNET_KEY)"
OLD_KEY = "the source's Fernet key (AIRKEEP_SOURCE_FERNET_KEY)"
ARCHIVE_KEY = "AIRKEEP_ARCHIVE_KEY"
_KEY = re.compile(r"[A-Za-z0-9_+/-]{43}=")


class Keyring:
    """One or more Fernet keys, comma-separated: the first encrypts, all are tried to decrypt.

    Args:
        text: the keys; never kept where it could be printed.
        variable: where they came from, for messages.

    Raises:
        ConfigError: a key is not 32 bytes of URL-safe base64.
    """

    def __init__(self, text: str, *, variable: str) -> None:
        from cryptography.fernet import Fernet

        keys = [k.strip() for k in text.split(",") if k.strip()]
        # Looked at first: Fernet itself reads no further than the "=".
        if not keys or not all(_KEY.fullmatch(k) for k in keys):
            raise ConfigError(
                f"{variable} holds something that is no Fernet key: expected 32 bytes as URL-safe "
                f"base64 (44 characters), several separated by commas"
            )
        prints = tuple(sha256(k.encode()).hexdigest()[:16] for k in keys)
        self._fill([Fernet(k) for k in keys], prints, variable)

    def _fill(self, keys: list[Fernet], fingerprints: tuple[str, ...], variable: str) -> None:
        from cryptography.fernet import MultiFernet

        self._keys, self.fingerprints, self.variable = keys, fingerprints, variable
        self._fernet = MultiFernet(keys)

    def __repr__(self) -> str:
        return f"Keyring({self.variable}, {', '.join(self.fingerprints)})"

    def encrypt(self, value: bytes) -> bytes:
        return self._fernet.encrypt(value)

    def decrypt(self, token: bytes) -> bytes | None:
        """The value, or None when no key fits."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(token)
        except InvalidToken:
            return None

    def rotate(self, token: bytes) -> bytes | None:
        """The token under the first key, made at the time that it names; None when no key fits."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.rotate(token)
        except InvalidToken:
            return None

    @property
    def first(self) -> Keyring:
        """The key that encrypts, alone."""
        return self._of(self._keys[:1], self.fingerprints[:1])

    def also(self, other: Keyring | None) -> Keyring:
        """These keys, and those of another ring to decrypt with."""
        if other is None:
            return self
        return self._of([*self._keys, *other._keys], (*self.fingerprints, *other.fingerprints))

    def _of(self, keys: list[Fernet], fingerprints: tuple[str, ...]) -> Keyring:
        ring = object.__new__(Keyring)
        ring._fill(keys, fingerprints, self.variable)
        return ring


def open_keyring(text: str | None, *, variable: str) -> Keyring | None:
    """A keyring, or None where no key was given."""
    return Keyring(text, variable=variable) if text else None


@dataclass
class SecretsWay:
    """What an export does with secrets, and what it met.

    Attributes:
        plain: names of plain values where this Airflow encrypts.
        failed: names of values that the environment's keys do not open.
    """

    mode: SecretsMode
    source: Keyring | None = None
    archive: Keyring | None = None
    plain: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def check_keys(self) -> None:
        """Refuse early what could not be done.

        Raises:
            MissingKeyError: seal without an archive key.
        """
        if self.mode == "seal" and self.archive is None:
            raise MissingKeyError(
                "--secrets seal needs the archive key: set AIRKEEP_ARCHIVE_KEY "
                "(make one with: airkeep key)"
            )

    def treat(
        self,
        batch: pa.RecordBatch,
        label: str,
        secrets: Sequence[Secret],
        required: Collection[str] = (),
    ) -> pa.RecordBatch:
        """The batch with every secret treated; other columns and the row order are the same.

        Args:
            required: columns that take no NULL.
        """
        columns = batch.schema.names
        for secret in secrets:
            gone = secret.dropped if secret.column in required else None
            batch = self._treat_column(batch, label, secret, encrypts(secret, columns), gone)
        return batch

    def _treat_column(
        self, batch: pa.RecordBatch, label: str, secret: Secret, alarms: bool, gone: str | None
    ) -> pa.RecordBatch:
        import pyarrow as pa

        index = batch.schema.get_field_index(secret.column)
        kind = batch.schema.field(index)
        flags = column_values(batch, secret.flag)
        names = column_values(batch, secret.named_by)
        values = batch.column(index).to_pylist()
        treated = [
            self._treat_value(value, secret, flag, f"{label} {name}.{secret.column}", alarms, gone)
            for value, flag, name in zip(values, flags, names, strict=True)
        ]
        return batch.set_column(index, kind, pa.array(treated, type=kind.type))

    def _treat_value(
        self, value: Any, secret: Secret, flag: Any, name: str, alarms: bool, gone: str | None
    ) -> Any:
        form = secret.form_of(value, None if flag is None else bool(flag))
        if form is None:
            return value
        if alarms and form is Holds.PLAIN:
            self.plain.append(name)
        what = deed(self.mode, form)
        if what is Deed.KEEP:
            return value
        if what is Deed.DROP:
            return gone
        raw = value if isinstance(value, bytes) else value.encode()
        if what in (Deed.DECRYPT, Deed.DECRYPT_AND_SEAL):
            opened = self._open(raw, name)
            if opened is None:
                return value
            raw = opened
        if what is Deed.DECRYPT:
            return _like(value, raw)
        return _like(value, self._seal(raw, "p" if what is Deed.SEAL else "c"))

    def _open(self, token: bytes, name: str) -> bytes | None:
        if self.source is None:
            raise MissingKeyError(
                f"{name} is encrypted, and --secrets {self.mode} opens it: set the environment's "
                f"key, AIRKEEP_FERNET_KEY or AIRFLOW__CORE__FERNET_KEY"
            )
        opened = self.source.decrypt(token)
        if opened is None:
            self.failed.append(name)
        return opened

    def _seal(self, raw: bytes, form: str) -> bytes:
        if self.archive is None:
            raise MissingKeyError("--secrets seal needs AIRKEEP_ARCHIVE_KEY")
        return f"{PREFIX}{form}:".encode() + self.archive.encrypt(raw)

    def check_failures(self) -> None:
        """Name every value that did not open.

        Raises:
            DecryptError: there are some.
        """
        if self.failed and self.source is not None:
            raise DecryptError(self.failed, key=self.source.variable)


@dataclass
class SecretsBack:
    """What a restore does with secrets.

    Kept ones go from the source's keys to the target's where the source's are given, and stay as
    they are where not.

    Attributes:
        source: the keys of the Airflow that the snapshot is of.
        failed: names of values that no given key opens.
        foreign: names of kept values that the target's key does not open, and nobody gave the
            source's.
        there: tokens that the target has already, by the name of their value: one that hides the
            same stays the bytes that it is, for Fernet gives others each time.
    """

    mode: SecretsMode
    archive: Keyring | None = None
    target: Keyring | None = None
    source: Keyring | None = None
    failed: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    there: dict[str, bytes] = field(default_factory=dict)

    @property
    def has_work(self) -> bool:
        """Whether values may change on their way."""
        return self.mode in ("seal", "plain") or (self.mode == "keep" and self.source is not None)

    @property
    def has_questions(self) -> bool:
        """Whether values are to be tried before."""
        return self.has_work or (self.mode == "keep" and self.target is not None)

    def treat(self, batch: pa.RecordBatch, label: str, secrets: Sequence[Secret]) -> pa.RecordBatch:
        """The batch as the target's Airflow reads it."""
        import pyarrow as pa

        for secret in secrets:
            index = batch.schema.get_field_index(secret.column)
            kind = batch.schema.field(index)
            flags = column_values(batch, secret.flag)
            names = column_values(batch, secret.named_by)
            values = [
                self._back(value, secret, flag, f"{label} {name}.{secret.column}")
                for value, flag, name in zip(
                    batch.column(index).to_pylist(), flags, names, strict=True
                )
            ]
            batch = batch.set_column(index, kind, pa.array(values, type=kind.type))
        return batch

    def _back(self, value: Any, secret: Secret, flag: Any, name: str) -> Any:
        if value is None:
            return None
        raw = value if isinstance(value, bytes) else value.encode()
        if raw.startswith(PREFIX.encode()):
            form, _, token = raw[len(PREFIX) :].partition(b":")
            opened = self._unseal(token, name)
            if opened is None:
                return value
            return _like(value, opened if form == b"p" else self._encrypt(opened, name))
        if self.mode == "keep":
            held = secret.form_of(value, None if flag is None else bool(flag))
            return self._kept(value, raw, name) if held is Holds.CIPHERTEXT else value
        if self.mode == "plain" and secret.flag and flag and value:
            return _like(value, self._encrypt(raw, name))
        return value

    def _kept(self, value: Any, token: bytes, name: str) -> Any:
        if self.source is None:
            if self.target is not None and self.target.decrypt(token) is None:
                self.foreign.append(name)
            return value
        if self.target is None:
            raise self._no_target(name)
        ring = self.target.also(self.source)
        content, turned = ring.decrypt(token), ring.rotate(token)
        if content is None or turned is None:
            self.failed.append(name)
            return value
        return _like(value, self._same_there(content, name) or turned)

    def _unseal(self, token: bytes, name: str) -> bytes | None:
        if self.archive is None:
            raise MissingKeyError(
                f"{name} is sealed: set AIRKEEP_ARCHIVE_KEY to the key that the export had"
            )
        opened = self.archive.decrypt(token)
        if opened is None:
            self.failed.append(name)
        return opened

    def _encrypt(self, raw: bytes, name: str) -> bytes:
        if self.target is None:
            raise self._no_target(name)
        return self._same_there(raw, name) or self.target.encrypt(raw)

    def _same_there(self, content: bytes, name: str) -> bytes | None:
        """The target's own token, where it hides the same."""
        token = self.there.get(name)
        if token is None or self.target is None or self.target.decrypt(token) != content:
            return None
        return token

    def _no_target(self, name: str) -> MissingKeyError:
        return MissingKeyError(
            f"{name} must be encrypted for the target's Airflow: set its key, "
            f"AIRKEEP_FERNET_KEY or AIRFLOW__CORE__FERNET_KEY"
        )

    def check_failures(self) -> None:
        """Name every value that did not open.

        Raises:
            DecryptError: there are some.
        """
        ring = self.source if self.mode == "keep" else self.archive
        if self.failed and ring is not None:
            raise DecryptError(self.failed, key=ring.variable)


def column_values(batch: pa.RecordBatch, name: str) -> list[Any]:
    """A column's values; as many None where the batch has no such column."""
    index = batch.schema.get_field_index(name) if name else -1
    return batch.column(index).to_pylist() if index >= 0 else [None] * batch.num_rows


def _like(value: Any, raw: bytes) -> Any:
    return raw if isinstance(value, bytes) else raw.decode()
