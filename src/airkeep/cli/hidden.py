"""Passwords of addresses in what standard error is told: messages repeat what they were given."""

from __future__ import annotations

import re

import click

# One slash where a path was made of the address. A password may hold @, / and : as they are, so
# all up to the last @ of the word is taken for it: rather too much than too little.
_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*:/+[^\s:]*:)\S*@", re.IGNORECASE)


def hidden(text: str) -> str:
    """`postgresql://bob:secret@host/db` -> `postgresql://bob:***@host/db`."""
    return _PASSWORD.sub(r"\1***@", text)


def say_error(message: str) -> None:
    """Print an error as the one line that it is."""
    click.echo(f"airkeep: {hidden(' '.join(message.split()))}", err=True)
