"""Where a local environment is, from what its user says now and what was said before. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from airkeep.environment.events import LocalPlace
from airkeep.errors import ConfigError
from airkeep.tables.revisions import version_order
from airkeep.upgrade.airflow import OLDEST, RELEASED

PORT = 8080


@dataclass(frozen=True)
class Said:
    """What a command line says of it; None is what it says nothing of.

    Attributes:
        dags, requirements, plugins, folder: absolute; empty requirements or plugins: none any more.
    """

    airflow: str | None = None
    dags: str | None = None
    requirements: str | None = None
    plugins: str | None = None
    port: int | None = None
    folder: str | None = None


def local_place(
    before: LocalPlace | None, said: Said, *, folder: str, has_database: bool
) -> LocalPlace:
    """Where it is to be.

    Args:
        folder: absolute, for one that is new.
        has_database: its data is of the version before.

    Raises:
        ConfigError: no such version; or another one than that of its data.
    """
    newest = max(RELEASED, key=version_order)
    old = before or LocalPlace(folder, newest, str(Path(folder).parents[1] / "dags"), port=PORT)
    version = said.airflow or old.airflow
    _check(version)
    if has_database and version != old.airflow:
        raise ConfigError(
            f"--airflow {version}: its database is of Airflow {old.airflow}. Another Airflow takes "
            f"it over as it wakes: airkeep down first"
        )
    return LocalPlace(
        said.folder or old.folder,
        version,
        said.dags or old.dags,
        latest(said.requirements, old.requirements),
        latest(said.plugins, old.plugins),
        said.port or old.port,
    )


def latest(said: str | None, before: str | None) -> str | None:
    """What holds by now: what is said, '' for none any more; else as before."""
    return before if said is None else said or None


def _check(version: str) -> None:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ConfigError(f"--airflow {version}: expected a version such as 3.1.8")
    if version_order(version) < version_order(OLDEST):
        raise ConfigError(f"--airflow {version}: no Python that still is runs it; from {OLDEST} on")
