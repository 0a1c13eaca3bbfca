"""Making Airflow's tables in an empty database, by its own command."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from airkeep.errors import LocalAirflowError
from airkeep.tables.revisions import version_order

TIMEOUT_S = 600


def migrate(
    airflow: Path,
    version: str,
    environment: Mapping[str, str],
    log: Path,
    *,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Run it to its end.

    Airflow makes all of its tables first and says last which version they are of, so only its
    status tells that they are whole.

    Args:
        airflow: its program.
        log: what it says is added there.

    Raises:
        LocalAirflowError: it failed, or took too long and was ended.
    """
    word = "migrate" if version_order(version) >= version_order("2.7.0") else "upgrade"
    try:
        with log.open("ab") as said:
            done = subprocess.run(  # noqa: S603 - a path of ours, and no shell
                [str(airflow), "db", word],
                env=dict(environment), cwd=environment["AIRFLOW_HOME"],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                timeout=timeout_s, check=False,
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise LocalAirflowError(
            f"`airflow db {word}` took longer than {timeout_s:g} s and was ended: {log} says how "
            f"far it came"
        ) from None
    if done.returncode != 0:
        raise LocalAirflowError(
            f"`airflow db {word}` ended with status {done.returncode}: {log} says why"
        )
