"""Whether a local environment can be had as its place says, before anything of it is made."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from airkeep.environment.events import LocalPlace
from airkeep.environment.local.packages import check_plugins
from airkeep.errors import LocalAirflowError, NoWayError
from airkeep.snapshot.lake import Snapshot
from airkeep.tables.revisions import is_on_chain, revisions_of
from airkeep.upgrade.plan import plan_path


def check_place(
    environment: str, place: LocalPlace, snapshot: Snapshot | None, warn: Callable[[str], None]
) -> None:
    """Look at its DAGs, port and plugins, and at the snapshot that it is to wake as.

    Raises:
        AirkeepError: it cannot be had so; says why.
    """
    _check_dags(place, warn)
    check_port(environment, place.port)
    if place.plugins is not None:
        check_plugins(Path(place.plugins))
    # Of one that is newer than what airkeep knows, its own Airflow alone can tell.
    known = snapshot is not None and is_on_chain(snapshot.manifest.revisions)
    if snapshot is not None and known and not has_tables_of(place.airflow, snapshot):
        _check_upgrade(environment, place.airflow, snapshot)


def check_port(environment: str, port: int) -> None:
    """Refuse a port where another one would answer for this one.

    Raises:
        LocalAirflowError: another one has it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LocalAirflowError(
                f"port {port} cannot be had ({error.strerror}): end what listens there, or choose "
                f"another (airkeep up {environment} --port PORT)"
            ) from None


def has_tables_of(version: str, snapshot: Snapshot) -> bool:
    """Whether it needs no upgrade for that Airflow."""
    return bool(set(snapshot.manifest.revisions) & revisions_of(version))


def _check_dags(place: LocalPlace, warn: Callable[[str], None]) -> None:
    """Airflow 2's DAG processor ends where it has never had a file: it forgets an import."""
    if not place.airflow.startswith("2."):
        if not Path(place.dags).is_dir():
            warn(
                f"there is no folder {place.dags}: Airflow has no DAGs until it is made, or "
                f"another is named (--dags)"
            )
        return
    found = os.walk(place.dags, followlinks=True)
    if any(name.endswith((".py", ".zip")) for _, _, names in found for name in names):
        return
    raise LocalAirflowError(
        f"{place.dags} holds no DAG file, and Airflow {place.airflow}'s DAG processor ends "
        f"without one: put one there (or --dags), then run this again"
    )


def _check_upgrade(environment: str, version: str, snapshot: Snapshot) -> None:
    try:
        plan_path(snapshot.manifest.revisions, version)
    except NoWayError as error:
        raise NoWayError(
            f"{environment} cannot wake in Airflow {version}: {error}. Choose another: airkeep up "
            f"{environment} --airflow VERSION"
        ) from None
