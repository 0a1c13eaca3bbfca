"""Whether jobs that run here have met the environment's own database.

Their address is what a shell says, which may be of another environment, or of one that is gone. The
environment's REST API cannot err: it and the database know the same runs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airkeep.database.address import AIRFLOW_VARIABLES, resolve_address
from airkeep.environment import contents
from airkeep.environment.metadata import Metadata
from airkeep.environment.mwaa.airflow import Airflow
from airkeep.errors import JourneyError
from airkeep.snapshot.lake import Snapshot

ADDRESS, FERNET_KEY = AIRFLOW_VARIABLES[0], "AIRKEEP_FERNET_KEY"


@dataclass(frozen=True)
class OwnDatabase:
    """An environment's own, asked by its Airflow.

    Attributes:
        name: of the environment, for messages.
    """

    name: str
    airflow: Airflow
    spool: Path | None = None

    def check(self, now: datetime) -> None:
        """Refuse another one before a job touches it.

        Its export would be the latest of this one, a restore would replace its rows.

        Raises:
            AddressError: the variables name none.
            DatabaseError: it cannot be asked.
            JourneyError: they name another one.
        """
        address = resolve_address("env:", os.environ)
        database = Metadata(address, self.spool)
        if address.kind != "postgresql" or not database.is_made():
            raise self._other("it holds no Airflow of MWAA's")
        run = database.newest_run()
        if run is not None and not self.airflow.has(run):
            raise self._other(f"its run {run.dag_id} {run.run_id} is not there")
        run = self.airflow.newest_ended(now)
        if run is not None and not database.has_run(run):
            raise self._other(f"it has no run {run.dag_id} {run.run_id}")

    def check_restored(self, snapshot: Snapshot) -> None:
        """Refuse to believe a restore into another one.

        Raises:
            JourneyError: it was one.
        """
        run = contents.newest_run(snapshot, spool=self.spool)
        if run is not None and not self.airflow.has(run):
            raise self._other(
                f"{snapshot.name} was restored into it, and its run {run.dag_id} {run.run_id} is "
                f"not there"
            )

    def unknown(self) -> JourneyError:
        """What is said when it was just made: no shell that was there before names it."""
        return JourneyError(
            f"{self.name} is made, and its database and its Fernet key are new: set {ADDRESS} and "
            f"{FERNET_KEY} to them, then run this again, which restores"
        )

    def _other(self, why: str) -> JourneyError:
        return JourneyError(
            f"{ADDRESS} names another database than that of {self.name}: {why}. Jobs run here, so "
            f"it must name the environment's own: set it, then run this again"
        )
