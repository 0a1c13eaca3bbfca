"""The Compose files of examples/local as Compose reads them: merge keys, variables, env files.

Only what those files use: `${NAME}`, `${NAME:-default}`, `${NAME:?complaint}` and `$$`; of an env
file `NAME=text` and `NAME='text'`. Anything else is an error here, so that it is not read wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from servers import PROJECT

LOCAL = PROJECT / "examples" / "local"
FILES = {"2": "docker-compose.airflow2.yaml", "3": "docker-compose.yaml"}

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:-|:\?)([^}]*))?\}|)")
_LINE = re.compile(r"(\w+)=(?:'([^']*)'|([^'\"$#\s]*))")


class UnsetError(Exception):
    """A variable that must be set is not."""


@dataclass(frozen=True)
class Composed:
    """One file with its variables filled in."""

    folder: Path
    content: dict[str, Any]

    @property
    def services(self) -> dict[str, Any]:
        services: dict[str, Any] = self.content["services"]
        return services

    def environment(self, service: str) -> dict[str, str]:
        """What its container gets: of two env files the later wins, `environment` over both."""
        found: dict[str, str] = {}
        for named in self.services[service].get("env_file", []):
            file = {"path": named} if isinstance(named, str) else named
            path = self.folder / file["path"]
            if path.exists() or file.get("required", True):
                found |= read_env(path)
        return {**found, **self.services[service]["environment"]}


def read_env(path: Path) -> dict[str, str]:
    """The variables of an env file."""
    found = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            assert match, f"{path.name}: {line!r}"
            found[match[1]] = match[2] or match[3] or ""
    return found


def compose(major: str, given: Mapping[str, str], folder: Path = LOCAL) -> Composed:
    """The file of a major version, with these variables.

    Raises:
        UnsetError: one of those that it needs is not there.
    """
    content = yaml.safe_load((folder / FILES[major]).read_text())
    return Composed(folder, _filled(content, given))


def _filled(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, given) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, given) for inner in value]
    return _text(value, given) if isinstance(value, str) else value


def _text(text: str, given: Mapping[str, str]) -> str:
    def fill(match: re.Match[str]) -> str:
        dollar, name, sign, word = match.groups()
        if dollar:
            return "$"
        assert name, f"not understood here: {text}"
        if sign == ":?" and not given.get(name):
            raise UnsetError(f"{name}: {word}")
        return given.get(name) or (word if sign == ":-" else "")

    return _VARIABLE.sub(fill, text)
