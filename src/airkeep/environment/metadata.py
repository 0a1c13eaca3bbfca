"""The few questions to a living Airflow's database that a journey has, and pausing its DAGs.

Airflow's own commands do the same to the same rows; these work where its programs do not run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airkeep.database.address import Address
from airkeep.database.limits import ReadLimits
from airkeep.database.sql import literal
from airkeep.database.write import PostgresWriter
from airkeep.environment.ground import Pulse
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.manifest import DagRunEntry

# What a worker has, or is about to be handed: with its DAG paused everything else stands still, and
# goes on from there when it wakes.
AT_WORK = ("running", "queued", "restarting", "shutdown")


@dataclass(frozen=True)
class Metadata:
    """The database of a living Airflow, on PostgreSQL.

    Attributes:
        schema: which holds Airflow's tables.
    """

    address: Address
    spool: Path | None = None
    schema: str = "public"

    def is_made(self) -> bool:
        """Whether it holds an Airflow's tables."""
        with self._open() as db:
            found = db.query(f"SELECT to_regclass({literal(self.schema + '.dag_run')}) IS NOT NULL")
            return bool(found[0][0])

    def active_dags(self) -> tuple[str, ...]:
        """Those that are not paused."""
        with self._open() as db:
            rows = db.query(f"SELECT dag_id FROM {self.schema}.dag WHERE NOT is_paused ORDER BY 1")
        return tuple(dag_id for (dag_id,) in rows)

    def newest_run(self) -> DagRunEntry | None:
        """The run that began last; None where no run has begun."""
        with self._open() as db:
            rows = db.query(
                f"SELECT dag_id, run_id FROM {self.schema}.dag_run WHERE start_date IS NOT NULL "
                f"ORDER BY start_date DESC, dag_id, run_id LIMIT 1"
            )
        return next((DagRunEntry(*row) for row in rows), None)

    def has_run(self, run: DagRunEntry) -> bool:
        """Whether it has that run, begun or not."""
        with self._open() as db:
            rows = db.query(
                f"SELECT FROM {self.schema}.dag_run WHERE dag_id = {literal(run.dag_id)} "
                f"AND run_id = {literal(run.run_id)}"
            )
        return bool(rows)

    def set_paused(self, dags: Collection[str], *, paused: bool) -> None:
        """Pause or unpause exactly these, all or none."""
        if not dags:
            return
        listed = ", ".join(map(literal, dags))
        with self._open() as db:
            db.execute(
                f"UPDATE {self.schema}.dag SET is_paused = {paused} "
                f"WHERE dag_id IN ({listed}) AND is_paused <> {paused}",
                doing="pausing DAGs",
            )
            db.commit()

    def pulse(self, since: datetime | None) -> Pulse:
        """What is at work, has begun or ended since; nothing where there are no tables."""
        states = ", ".join(map(literal, AT_WORK))
        at = "NULL" if since is None else literal(since.isoformat())
        after, ended_states = f"> {at}::timestamptz", "state IN ('success', 'failed')"
        if not self.is_made():
            return Pulse(0, None)
        with self._open() as db:
            [(running, tasks)] = db.query(
                f"SELECT count(*) FILTER (WHERE state IN ({states})), "
                f"count(*) FILTER (WHERE end_date {after}) FROM {self.schema}.task_instance"
            )
            [(last, ended, begun)] = db.query(
                f"SELECT max(end_date) FILTER (WHERE {ended_states}), "
                f"count(*) FILTER (WHERE end_date {after} AND {ended_states}), "
                f"count(*) FILTER (WHERE start_date {after} AND NOT {ended_states}) "
                f"FROM {self.schema}.dag_run"
            )
            [(closing,)] = db.query(
                f"SELECT count(*) FROM {self.schema}.dag_run r WHERE state = 'running' AND EXISTS "
                f"(SELECT FROM {self.schema}.task_instance t WHERE t.dag_id = r.dag_id "
                f"AND t.run_id = r.run_id AND t.end_date >= r.last_scheduling_decision)"
            )
        return Pulse(running, last, ended, begun, tasks, closing)

    @contextmanager
    def _open(self) -> Iterator[PostgresWriter]:
        with (
            private_folder(self.spool) as folder,
            PostgresWriter(self.address, folder, ReadLimits()) as db,
        ):
            yield db
