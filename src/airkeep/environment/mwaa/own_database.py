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
from airkeep.errors import JourneyError
from airkeep.snapshot.lake import Snapshot
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

    def check_exported(self, snapshot: Snapshot) -> None:
        """Refuse an export of another one.

        Raises:
            JourneyError: it is one.
        """
        self._check_there(snapshot, "is the export of")
        run = self.airflow.newest_ended(id_time(snapshot.id))
        if run is not None and not contents.has_run(snapshot, run, spool=self.spool):
            raise self._other(snapshot, "is the export of", f"{run.dag_id} {run.run_id} has no row")

    def check_restored(self, snapshot: Snapshot) -> None:
        """Refuse to believe a restore into another one.

        Raises:
            JourneyError: it was one.
        """
        self._check_there(snapshot, "was restored into")

    def unknown(self) -> JourneyError:
        """What is said when it was just made: no shell that was there before names it."""
        return JourneyError(
            f"{self.name} is made, and its database and its Fernet key are new: set {ADDRESS} and "
            f"{FERNET_KEY} to them, then run this again, which restores"
        )

    def _check_there(self, snapshot: Snapshot, what: str) -> None:
        run = contents.newest_run(snapshot, spool=self.spool)
        if run is not None and not self.airflow.has(run):
            raise self._other(snapshot, what, f"its run {run.dag_id} {run.run_id} is not there")

    def _other(self, snapshot: Snapshot, what: str, why: str) -> JourneyError:
        return JourneyError(
            f"{snapshot.name} {what} another database than that of {self.name}: {why}. Jobs run "
            f"here, so {ADDRESS} must name the environment's own: set it, then run this again"
        )
