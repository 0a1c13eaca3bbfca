"""One of our commands in a DAG run of the environment itself, where its database and its key are.

The DAG `airkeep_job` is airkeep's provider's. Its run's id is made of the token, so Airflow itself
sees to it that there is one: a second call is answered 409, and waits for the same run. The command
goes into the run's `conf`, with the URL where the run saves its result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

from airkeep.aws.airflow_rest import AirflowRest
from airkeep.aws.session import HERE, AwsPlace
from airkeep.aws.wait import Patience, answered, until
from airkeep.errors import AirflowRestError, AwsError, AwsUnavailableError, JobError
from airkeep.jobs.job import Outcome, Result, check_command, check_token
from airkeep.jobs.record import Record
from airkeep.store.interface import Store

DAG = "airkeep_job"
_BUSY_S = 300


def run_id(token: str) -> str:
    """Of the run that a token names."""
    return f"airkeep__{token}"


def run_on_dag(
    command: Sequence[str],
    *,
    environment: str,
    folder: Store,
    token: str,
    patience: Patience,
    place: AwsPlace = HERE,
    now: datetime | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run one of our commands in a DAG run, and wait for its end.

    Args:
        command: without `airkeep` itself; `env:` in it is the environment's database.
        environment: of MWAA.
        folder: where the records of jobs are kept; the run saves its result there.
        token: makes it one job: asked for with it again, the same run is waited for.
        tell: is given a line for each thing that happened.

    Raises:
        ConfigError: the command or the token cannot be a job's.
        JobError: with this token another job was asked for, or there is no such DAG, or the run
            ended without a result, or took too long and was made to fail.
        AwsError: AWS or Airflow refused or failed.
        StoreError: the record could not be read or saved.
    """
    words, at = check_command(command), now or datetime.now(UTC)
    record = Record(folder, check_token(token))
    run = _Run(AirflowRest(environment, place), run_id(token), record, patience, tell)
    record.check("dag", environment, words)
    if (done := record.result()) is None:
        # `wake` and `start` may be asked for twice: of one run's id there is one run.
        busy = replace(patience, timeout_s=min(_BUSY_S, patience.timeout_s))
        answered(run.wake, busy)
        tell(f"token {token}")
        record.ask("dag", environment, words, at)
        answered(lambda: run.start(words, at), busy)
        done = run.wait()
    return Outcome("dag", token, run.id, run.logs, done)


class _Run:
    """A run of the DAG, asked about through Airflow's REST API."""

    def __init__(
        self,
        rest: AirflowRest,
        run_id: str,
        record: Record,
        patience: Patience,
        tell: Callable[[str], None],
    ) -> None:
        self._rest, self.id, self._record = rest, run_id, record
        self._patience, self._tell = patience, tell
        self._path = f"/dags/{DAG}/dagRuns/{quote(run_id, safe='')}"
        self.logs = f"Airflow of {rest.environment}, DAG {DAG}, run {run_id}"
        self._said = ""

    def wake(self) -> None:
        """Have the DAG take runs: it has no schedule, so awake it does nothing by itself."""
        try:
            dag = self._rest.get(f"/dags/{DAG}")
        except AirflowRestError as error:
            if error.status != 404:
                raise
            raise JobError(
                f"{self._rest.environment} has no DAG {DAG}: put airkeep[airflow] into its "
                f"requirements and a file with airkeep's DAGs into its DAGs folder"
            ) from None
        if dag.get("is_paused"):
            self._rest.patch(f"/dags/{DAG}", {"is_paused": False}, update_mask="is_paused")
            self._tell(f"unpaused the DAG {DAG}")

    def start(self, command: Sequence[str], at: datetime) -> None:
        """Start the run, where it is not there already."""
        body = {
            "dag_run_id": self.id,
            "logical_date": at.isoformat(),  # Airflow 3 answers 422 without
            "conf": {"command": list(command), "result": self._record.kept.url},
        }
        try:
            self._rest.post(f"/dags/{DAG}/dagRuns", body)
        except AirflowRestError as error:
            if error.status != 409:
                raise
            self._tell(f"waiting for {self.id}, which was asked for already")
        else:
            self._tell(f"started {self.id} of {DAG}")

    def wait(self) -> Result:
        try:
            state = until(self._look, self._patience)
        except (TimeoutError, AwsUnavailableError):  # nor did the last look get an answer
            raise self._stop() from None
        result = self._record.result()
        if result is None:
            raise JobError(
                f"the run {self.id} ended as {state}, and left no result at "
                f"{self._record.kept.url}. Logs: {self.logs}"
            )
        return result

    def _look(self) -> str | None:
        state = str(self._rest.get(self._path).get("state"))
        if state != self._said:
            self._said = state
            self._tell(f"{self.id} {state}")
        return state if state in ("success", "failed") else None

    def _stop(self) -> JobError:
        """Make the run fail, which ends its task."""
        try:
            self._rest.patch(self._path, {"state": "failed"})
            stopped = "was made to fail"
        except AwsError as error:
            stopped = f"could not be stopped ({error})"
        return JobError(
            f"the run {self.id} was not done within {self._patience.timeout_s:g} s and {stopped}. "
            f"Logs: {self.logs}"
        )
