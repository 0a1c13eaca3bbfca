"""What a rekey would do: per column what stands there, and what no key opens. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airkeep.errors import DecryptError, MissingKeyError
from airkeep.snapshot.rotate import ColumnTally
from airkeep.snapshot.seal import Keyring, open_keyring

NEW_KEY = "the Fernet keys (AIRKEEP_FERNET_KEY and AIRKEEP_SOURCE_FERNET_KEY)"


@dataclass(frozen=True)
class RekeyPlan:
    """What was found.

    Attributes:
        target: the database or snapshot, without a password.
        key: the new key's fingerprint.
        keys: where the keys came from, for messages.
    """

    target: str
    key: str
    keys: str
    columns: tuple[ColumnTally, ...]

    @property
    def values(self) -> int:
        return sum(c.values for c in self.columns)

    @property
    def old(self) -> int:
        """How many values are to be encrypted anew."""
        return sum(c.old for c in self.columns)

    @property
    def current(self) -> int:
        """How many values open with the new key alone already."""
        return sum(c.current for c in self.columns)

    @property
    def plain(self) -> tuple[str, ...]:
        """Names of values that nobody encrypted: they stay as they are."""
        return tuple(name for c in self.columns for name in c.plain)

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Names of values that no given key opens."""
        return tuple(name for c in self.columns for name in c.unreadable)

    def check(self) -> None:
        """Refuse when a value would be left behind.

        Raises:
            DecryptError: no given key opens it; all such values by name.
        """
        if self.unreadable:
            raise DecryptError(self.unreadable, key=self.keys)


def fernet_ring(fernet_key: str | None, source_fernet_key: str | None) -> Keyring:
    """The keys: the first of `fernet_key` is the new one, all others are tried to open.

    Raises:
        ConfigError: one is no Fernet key.
        MissingKeyError: there is no new key.
    """
    new = open_keyring(fernet_key, variable=NEW_KEY)
    if new is None:
        raise MissingKeyError(
            "rekey needs the new Fernet key: set AIRKEEP_FERNET_KEY to it, with the old one behind "
            "a comma or in AIRKEEP_SOURCE_FERNET_KEY"
        )
    return new.also(open_keyring(source_fernet_key, variable=NEW_KEY))


def told(names: Sequence[str], most: int) -> str:
    """The first few names, for one line."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
