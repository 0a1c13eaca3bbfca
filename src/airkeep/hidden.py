"""Passwords of addresses, in what is told and kept: messages repeat what they were given."""

from __future__ import annotations

import re

# One slash where a path was made of the address. A password may hold @, / and : as they are, so
# all up to the last @ of the word is taken for it: rather too much than too little.
# Each character is looked at once: a pattern that tries anew at every one takes minutes for 100 kB.
_WORD = re.compile(r"\S+")
_LOGIN = re.compile(r"(?<![a-z0-9+.-])[a-z0-9+.-]++:/[^:]*:", re.IGNORECASE)


def hidden(text: str) -> str:
    """`postgresql://bob:secret@host/db` -> `postgresql://bob:***@host/db`."""
    return _WORD.sub(_without_password, text)


def _without_password(word: re.Match[str]) -> str:
    before, _, host = word[0].rpartition("@")
    login = _LOGIN.search(before)
    return word[0] if login is None else f"{before[: login.end()]}***@{host}"
