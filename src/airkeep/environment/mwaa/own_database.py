"""Whether jobs that run here have met the environment's own database.

Their address is what a shell says, which may be of another environment, or of one that is gone. The
environment's REST API cannot err: it and the database know the same runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airkeep.database.address import AIRFLOW_VARIABLES
from airkeep.environment import contents
from airkeep.environment.mwaa.airflow import Airflow
from airkeep.errors import JourneyError, StoreError
from airkeep.snapshot.clean import remove
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.names import id_time

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

    def check_exported(self, snapshot: Snapshot, lake: Lake) -> None:
        """Refuse an export of another one, and take it away: it would be the latest of this one.

        Raises:
            JourneyError: it is one.
        """
        why = self._missing(snapshot)
        if why is None:
            run = self.airflow.newest_ended(id_time(snapshot.id))
            if run is None or contents.has_run(snapshot, run, spool=self.spool):
                return
            why = f"{run.dag_id} {run.run_id} has no row"
        try:
            remove(lake, snapshot.name)
            why += ". It was removed"
        except StoreError as error:
            why += f". It is {self.name}'s latest until it is removed: {error}"
        raise self._other(snapshot, "is the export of", why)

    def check_restored(self, snapshot: Snapshot) -> None:
        """Refuse to believe a restore into another one.

        Raises:
            JourneyError: it was one.
        """
        if (why := self._missing(snapshot)) is not None:
            raise self._other(snapshot, "was restored into", why)

    def unknown(self) -> JourneyError:
        """What is said when it was just made: no shell that was there before names it."""
        return JourneyError(
            f"{self.name} is made, and its database and its Fernet key are new: set {ADDRESS} and "
            f"{FERNET_KEY} to them, then run this again, which restores"
        )

    def _missing(self, snapshot: Snapshot) -> str | None:
        """What of it the environment does not have."""
        run = contents.newest_run(snapshot, spool=self.spool)
        if run is None or self.airflow.has(run):
            return None
        return f"its run {run.dag_id} {run.run_id} is not there"

    def _other(self, snapshot: Snapshot, what: str, why: str) -> JourneyError:
        return JourneyError(
            f"{snapshot.name} {what} another database than that of {self.name}: {why}. Jobs run "
            f"here, so {ADDRESS} must name the environment's own: set it, then run this again"
        )
