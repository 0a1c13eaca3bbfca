"""A user's plugins, put where Airflow looks for them, as MWAA unpacks `plugins.zip`."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from airkeep.errors import ConfigError


def check_plugins(given: Path) -> None:
    """Look whether these are plugins.

    Raises:
        ConfigError: it is no zip file and no folder.
    """
    if not (given.is_dir() or zipfile.is_zipfile(given)):
        raise _unfit(given)


def lay_out_plugins(given: Path | None, place: Path) -> None:
    """Make the plugins folder anew.

    Args:
        given: a zip file or a folder; None for no plugins.

    Raises:
        ConfigError: it is neither.
    """
    shutil.rmtree(place, ignore_errors=True)
    if given is None:
        place.mkdir(parents=True)
    elif given.is_dir():
        shutil.copytree(given, place)
    else:
        try:
            with zipfile.ZipFile(given) as archive:
                archive.extractall(place)  # which leaves out `..` and the root of paths
        except (OSError, zipfile.BadZipFile):
            raise _unfit(given) from None


def _unfit(given: Path) -> ConfigError:
    return ConfigError(f"--plugins {given}: expected a zip file or a folder")
