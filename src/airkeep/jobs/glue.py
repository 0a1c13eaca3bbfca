"""One of our commands as a job on Glue, in the network of an MWAA environment.

In this order: the connection, the script, the job's definition, the record of what is asked, the
run. Each is made as it should be and left alone where it is so, and a run is looked for by its
token before one is started: whoever is killed here runs it again, and waits for the same run.

Two who ask at the same moment: one of them has recorded it and starts the run; the other waits for
that run to show, and starts one itself only when none does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from airkeep.aws import glue_connections, glue_jobs, mwaa
from airkeep.aws.ec2 import zone_of
from airkeep.aws.glue_connections import Connection
from airkeep.aws.glue_jobs import JobRun
from airkeep.aws.policy import Names
from airkeep.aws.session import HERE, AwsPlace, region_of
from airkeep.aws.wait import Patience, until
from airkeep.database.address import Address
from airkeep.errors import AwsError, AwsUnavailableError, JobError
from airkeep.jobs.connection import to_jdbc
from airkeep.jobs.glue_plan import (
    SCRIPT,
    TOKEN,
    GlueShape,
    job_definition,
    run_arguments,
    script_name,
)
from airkeep.jobs.job import Outcome, Result, check_command, check_token
from airkeep.jobs.record import Document, Record
from airkeep.store.interface import Store

CLAIM_S = 90  # until a run that somebody else starts must show
STOP_S = 120  # until a run that was asked to stop must have ended
RETRY_S = 180  # until Glue must have started its next attempt
SCRIPTS = "scripts"
_FINAL = ("SUCCEEDED", "STOPPED")  # ended, and Glue does not try again


@dataclass(frozen=True)
class Network:
    """Where in the network a job stands; by default where its environment does."""

    subnet: str
    security_groups: tuple[str, ...]


def run_on_glue(
    command: Sequence[str],
    *,
    environment: str,
    folder: Store,
    role: str,
    token: str,
    patience: Patience,
    address: Address | None = None,
    network: Network | None = None,
    job_name: str | None = None,
    connection: str | None = None,
    secret: str | None = None,
    shape: GlueShape = GlueShape(),  # noqa: B008 - frozen
    place: AwsPlace = HERE,
    now: datetime | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run one of our commands on Glue, and wait for its end.

    Args:
        command: without `airkeep` itself; `env:` in it is the environment's database.
        environment: of MWAA; its name is in those of the job and of the connection.
        folder: on S3, for the script and the records.
        role: the job's, a name or an ARN (`airkeep iam --for glue --role glue`).
        token: makes it one job: asked for with it again, the same run is waited for.
        address: the database's, for the connection, which is updated where it says otherwise; None
            to take the connection as it is.
        job_name, connection: other names than those that are made of the environment's.
        secret: of Secrets Manager, a JSON object of variables such as `AIRKEEP_ARCHIVE_KEY`.
        tell: is given a line for each thing that happened.

    Raises:
        ConfigError: the command or the token cannot be a job's.
        JobError: with this token another job was asked for, or there is no connection, or the run
            ended without a result, or took too long and was stopped.
        AwsError, StoreError: AWS or the store refused or failed.
    """
    words = check_command(command)
    names = Names(environment=environment, glue_job=job_name, glue_connection=connection)
    record = Record(folder, check_token(token))
    job = _Job(names.job, record, shape, patience, place, tell)
    job.record.check("glue", environment, words)
    if (done := job.record.result()) is not None:
        run = job.newest()
        return job.outcome(run, done) if run else Outcome("glue", token, "", "", done)
    _connect(names.connection, environment, address, network, place, tell)
    definition = job_definition(
        shape, role=role, script=_script(folder), connection=names.connection,
        environment=environment,
    )  # fmt: skip
    glue_jobs.put_job(names.job, definition, place)
    tell(f"token {token}")
    is_ours = job.record.ask("glue", environment, words, now or datetime.now(UTC))
    arguments = run_arguments(
        words, token=token, result=job.record.kept.url, region=region_of(place), secret=secret
    )
    return job.wait(job.started(wait=not is_ours) or job.start(arguments))


def cancel_on_glue(
    *,
    environment: str,
    folder: Store,
    token: str,
    place: AwsPlace = HERE,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Ask the run of a token to end, and let the token have a result: nobody waits for its own.

    Raises:
        AwsError, StoreError: AWS or the store refused or failed.
    """
    job = Names(environment=environment).job
    run = glue_jobs.newest_run(job, (TOKEN, token), place)
    if run is not None and not run.is_done:
        glue_jobs.stop(job, run.id, place)
        tell(f"asked {run.id} of {job} to stop")
    close(Record(folder, token), "nobody waits for this job any more: it was stopped")


def close(record: Record, why: str) -> None:
    """Give a token whose run is over a result, where it left none: the token is used up.

    Raises:
        StoreError: it could not be saved.
    """
    record.kept.save(Result(JobError.exit_status, None, why).json())


def _connect(
    name: str,
    environment: str,
    address: Address | None,
    network: Network | None,
    place: AwsPlace,
    tell: Callable[[str], None],
) -> None:
    """Have the connection say where the database is, and with which password."""
    if address is None:
        if glue_connections.find(name, place) is None:
            raise JobError(
                f"Glue has no connection {name}, and no address was given to make it: run the DAG "
                f"airkeep_export_glue once, or give --database (env: inside of the environment)"
            )
        return
    if network is None:
        found = mwaa.describe(environment, place)
        network = Network(found.subnets[0], found.security_groups)
    wanted = Connection(
        name, to_jdbc(address), address.user, address.password,
        network.subnet, network.security_groups, zone_of(network.subnet, place),
    )  # fmt: skip
    change = glue_connections.put(wanted, place)
    if change != "same":
        tell(f"{change} the connection {name}")


def _script(folder: Store) -> str:
    """Have the script in the bucket: its URL."""
    there, text = Document(folder, f"{SCRIPTS}/{script_name()}"), SCRIPT.encode()
    if not there.save(text) and there.load() != text:
        raise JobError(
            f"{there.url} is not the script that was saved there: delete it and try again"
        )
    return there.url


@dataclass(frozen=True)
class _Job:
    """One job that is asked for, and its runs."""

    name: str
    record: Record
    shape: GlueShape
    patience: Patience
    place: AwsPlace
    tell: Callable[[str], None]

    def newest(self) -> JobRun | None:
        return glue_jobs.newest_run(self.name, (TOKEN, self.record.token), self.place)

    def find(self, run_id: str) -> JobRun | None:
        return glue_jobs.find_run(self.name, run_id, self.place)

    def started(self, *, wait: bool) -> str | None:
        """The run that there is; `wait`: of another who asked for it just now, perhaps."""
        p = self.patience
        claim = Patience(CLAIM_S if wait else 0, min(p.every_s, CLAIM_S / 4), p.clock, p.sleep)
        try:
            run = until(self.newest, claim)
        except TimeoutError:
            return None
        self.tell(f"waiting for {run.id}, which was asked for already")
        return run.id

    def start(self, arguments: Mapping[str, str]) -> str:
        """Start a run: its id. Where too many of the job's are at work, one's end is waited for."""

        def look() -> str:
            there = self.newest()  # an attempt to start it whose answer was lost
            return there.id if there else glue_jobs.start(self.name, arguments, self.place)

        run_id = until(look, self.patience)
        self.tell(f"started {run_id} of {self.name}")
        return run_id

    def wait(self, run_id: str) -> Outcome:
        look = _Look(self, run_id)
        try:
            run = until(look, self.patience)
        except (TimeoutError, AwsUnavailableError):
            raise self.stop(look.run_id, look.logs) from None
        result = self.record.result()
        if result is not None:
            return self.outcome(run, result)
        if run.state == "SUCCEEDED":
            raise JobError(
                f"the run {run.id} succeeded, says Glue, and left no result at "
                f"{self.record.kept.url}: look into {run.logs}"
            )
        why = f": {run.error}" if run.error else ""
        raise JobError(f"the run {run.id} ended as {run.state}{why}. Logs: {run.logs}")

    def stop(self, run_id: str, logs: str) -> JobError:
        """End the run that took too long."""
        try:
            glue_jobs.stop(self.name, run_id, self.place)
            stopped = self._ended(run_id)
        except AwsError as error:
            stopped = f"could not be stopped ({error})"
        return JobError(
            f"the run {run_id} of {self.name} was not done within {self.patience.timeout_s:g} s "
            f"and {stopped}. Logs: {logs or 'not known'}"
        )

    def _ended(self, run_id: str) -> str:
        """What became of a run that was asked to stop."""

        def look() -> str | None:
            run = self.find(run_id)
            return run.state if run and run.is_done else None

        p = self.patience
        try:
            state = until(look, Patience(STOP_S, min(p.every_s, STOP_S / 4), p.clock, p.sleep))
        except TimeoutError:
            return "was asked to stop, and still works"
        except AwsUnavailableError:
            return "was asked to stop, of which Glue says nothing"
        return "was stopped" if state == "STOPPED" else f"ended as {state} meanwhile"

    def outcome(self, run: JobRun, result: Result) -> Outcome:
        return Outcome("glue", self.record.token, run.id, run.logs, result)


class _Look:
    """One look at the run; remembers since when an attempt is dead that Glue should repeat.

    Attributes:
        run_id: of the newest attempt.
        logs: where its are, once it was seen.
    """

    def __init__(self, job: _Job, run_id: str) -> None:
        self._job, self.run_id, self.logs = job, run_id, ""
        self._said = ""
        self._dead: tuple[str, float] | None = None

    def __call__(self) -> JobRun | None:
        run = self._job.find(self.run_id)
        if run is None:
            return None
        if run.is_done and run.state not in _FINAL:
            run = self._job.newest() or run  # another attempt is another run, found by its token
        self.run_id, self.logs = run.id, run.logs
        if run.state != self._said:
            self._said = run.state
            self._job.tell(f"{run.id} {run.state}")
        if not run.is_done:
            return None
        return None if self._comes_again(run) else run

    def _comes_again(self, run: JobRun) -> bool:
        """Whether Glue will start another attempt: it died, and left no result."""
        if run.state in _FINAL or run.attempt >= self._job.shape.retries:
            return False
        if self._job.record.result() is not None:
            return False
        now = self._job.patience.clock()
        if self._dead is None or self._dead[0] != run.id:
            self._dead = run.id, now
        return now - self._dead[1] < RETRY_S
