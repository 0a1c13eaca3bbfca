"""The ground of an environment of Amazon MWAA.

AWS is asked through the room `aws`, Airflow through its own REST API, the database through jobs: it
is reached from inside of the environment's network only. With the environment goes its Fernet key,
so what leaves it is sealed with the archive key.

AWS changes an environment in minutes and takes no other change meanwhile. So what must not be
refused half way waits until AWS is done: `record`, `export` (for `delete`) and `settle`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from airkeep.aws import mwaa
from airkeep.aws.airflow_rest import AirflowRest
from airkeep.aws.mwaa import LOST, OLDEST_MADE, READY, UNMADE, Definition
from airkeep.aws.s3 import object_version
from airkeep.aws.session import AwsPlace
from airkeep.aws.wait import Patience, answered, until
from airkeep.environment import contents
from airkeep.environment.events import MwaaPlace, Recorded
from airkeep.environment.ground import Pulse
from airkeep.environment.mwaa.airflow import Airflow
from airkeep.environment.mwaa.definition import (
    OPTIONS,
    OWED,
    given_back,
    held,
    options_of,
    seal,
    unseal,
)
from airkeep.environment.mwaa.job import RunJob, snapshot_named, succeeded
from airkeep.environment.mwaa.own_database import OwnDatabase
from airkeep.errors import (
    AlreadySavedError,
    AwsError,
    AwsUnavailableError,
    JourneyError,
    MissingKeyError,
    TooLongError,
)
from airkeep.jobs.dag import run_id
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.manifest import DagRunEntry, SecretsMode
from airkeep.snapshot.names import id_time
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.seal import ARCHIVE_KEY
from airkeep.tables.revisions import version_order

# An export that a killed run began is as good as a new one for as long: what people changed by hand
# since is not in it, and no gate sees that. A clock that is off is forgiven as much.
FRESH = timedelta(minutes=15)
# Airflow looks at every run once a minute: what ended so long ago it has looked at.
LOOKED_AT = timedelta(minutes=5)
BUSY, STEADY, PARSING = Patience(300, 5), Patience(3_600, 15), Patience(900, 10)


def _now() -> datetime:
    return datetime.now(UTC)


def _quiet(_: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class MwaaMeans:
    """What the command line hands over.

    Attributes:
        run: runs one of our commands where the database is reached.
        job_dag: the DAG that they are runs of, where they are: paused they would wait for ever.
        is_here: they run in this machine, on the database that this process's variables name.
        busy: how long a busy AWS is asked again.
        steady: how long a change of AWS's is waited for.
        parsing: how long a new environment may take to find its DAGs.
        warn: is told what people should know.
    """

    lake: Lake
    run: RunJob
    archive_key: str | None = None
    secrets: SecretsMode = "seal"
    busy: Patience = BUSY
    steady: Patience = STEADY
    parsing: Patience = PARSING
    job_dag: str | None = None
    is_here: bool = False
    spool: Path | None = None
    progress: Progress = silent
    warn: Callable[[str], None] = _quiet
    clock: Callable[[], datetime] = _now


class MwaaGround:
    """One environment of MWAA."""

    wake_steps = ("create", "ready", "restore", "settle")

    def __init__(self, environment: str, place: MwaaPlace, means: MwaaMeans) -> None:
        self.environment, self.place, self.means = environment, place, means
        self._aws = AwsPlace(place.region, place.profile, place.role_arn, place.external_id)
        self._own: tuple[DagRunEntry, ...] = ()  # the run that carried the export
        self._is_new = False  # made by this run

    @property
    def name(self) -> str:
        where = f" in {self.place.region}" if self.place.region else ""
        return f"{self.environment} (MWAA {self.place.name}{where})"

    # Looking.

    def exists(self) -> bool:
        found = self._find()
        return found is not None and found.status != "DELETED"

    def is_whole(self) -> bool:
        found = self._find()
        return found is not None and found.status not in ("DELETING", "DELETED")

    def beside(self) -> tuple[str, ...]:
        with suppress(AwsError):  # who may not list them
            return mwaa.names(self._aws)
        return ()

    def check(self, snapshot: Snapshot | None) -> None:
        """AWS tells only when it is asked to make it."""

    def doubts(self) -> tuple[str, ...]:
        version = mwaa.describe(self.place.name, self._aws).airflow_version
        if not version or version_order(version) >= version_order(OLDEST_MADE):
            return ()
        return (
            f"AWS makes no environment of Airflow {version} any more, its oldest is {OLDEST_MADE}: "
            f"nothing would wake it (update it to a newer Airflow first)",
        )

    def record(self) -> Recorded:
        self._check_key()
        wished = given_back(self._pinned(self._steady()))
        self._check_database()
        document = seal(wished, self.means.archive_key)
        return Recorded(self._active(), document)

    def _check_key(self) -> None:
        if self.means.secrets == "seal" and not self.means.archive_key:
            raise MissingKeyError(
                f"the Fernet key of {self.name} goes with it, so its secrets are sealed: set "
                f"{ARCHIVE_KEY} (make one with: airkeep key)"
            )

    def _check_database(self) -> None:
        if self.means.is_here:
            self._own_database.check(self.means.clock())

    def _active(self) -> tuple[str, ...]:
        dags = self._airflow.dags()
        if self.means.job_dag is not None and self.means.job_dag not in dags:
            raise self._no_jobs()
        return tuple(sorted(d for d, paused in dags.items() if not paused))

    def pulse(self, since: datetime | None = None) -> Pulse:
        """Nothing runs in what AWS is still making, or could not make; nor does it answer."""
        found = self._find()
        if found is not None and found.status in UNMADE:
            return Pulse(0, None)
        running = self._airflow.at_work(self._own)
        closing = self._airflow.closing(self.means.clock() - LOOKED_AT, self._own)
        # A restore is nobody's work: one that failed leaves what it found.
        restores = [DagRunEntry(str(self.means.job_dag), run) for run in self._restores()]
        last, ended = self._airflow.ended(since, (*self._own, *restores))
        if since is None:
            return Pulse(running, last, ended, closing=closing)
        begun = self._airflow.begun(since, self._own)
        tasks = self._airflow.tasks_ended(since, self._own)
        return Pulse(running, last, ended, begun, tasks, closing)

    # Going down.

    def to_pause(self) -> tuple[str, ...]:
        self._check_key()
        self._check_database()
        return self._without_jobs(self._active())

    def _without_jobs(self, dags: Collection[str]) -> tuple[str, ...]:
        return tuple(dag for dag in dags if dag != self.means.job_dag)

    def pause(self, dags: Collection[str]) -> None:
        self._set_paused(self._without_jobs(dags), paused=True)

    def unpause(self, dags: Collection[str]) -> None:
        self._set_paused(dags, paused=False)

    def export(self, token: str) -> Snapshot:
        asked = self.means.clock()
        self._check_database()  # whoever goes on may do so in another shell
        snapshot = self._exported(token)
        if id_time(snapshot.id) < asked - FRESH:
            snapshot = self._exported(f"{token}-{int(asked.timestamp()):x}")
        run = snapshot.manifest.dag_run
        self._own = () if run is None else (run,)
        self._steady()  # here, for between the gate and `delete` nothing may wait
        return snapshot

    def delete(self) -> None:
        """Without waiting: whoever waits has to look whether he may, still."""
        found = mwaa.find(self.place.name, self._aws)
        if found is None or found.status in ("DELETING", "DELETED"):
            return
        if found.status == "UNAVAILABLE":
            raise self._lost(found)
        if found.status not in (*READY, "CREATE_FAILED"):
            raise AwsUnavailableError(
                f"{self.name} is {found.status}, and cannot be deleted while AWS changes it: run "
                f"this again when that is done"
            )
        mwaa.delete(self.place.name, self._aws)

    def is_gone(self) -> bool:
        found = self._find()
        return found is None or found.status == "DELETED"

    # Coming up.

    def create(self, recorded: Recorded | None, snapshot: Snapshot | None) -> None:
        """Ask AWS for it; one that AWS could not make is deleted first: nothing was ever in it."""
        found = self._find()
        if found is not None and found.status == "CREATE_FAILED":
            self._tell("deleting what could not be made")
            mwaa.delete(self.place.name, self._aws)
            self._wait_gone()
        elif found is not None and found.status in LOST:
            raise self._lost(found)
        elif found is not None:
            return
        definition = self._definition(recorded)
        eager = snapshot and contents.begins_active(snapshot, spool=self.means.spool)
        try:
            mwaa.create(held(definition, begins_active=bool(eager)), self._aws)
        except AwsError:
            if self._find() is None:  # else the run before this one has just asked for it
                raise
        self._is_new = True

    def start(self) -> None:
        """Making it starts it."""

    def is_ready(self) -> bool:
        found = self._find()
        if found is None:
            raise JourneyError(f"{self.name} is not there any more: somebody deleted it meanwhile")
        if found.status in LOST:
            raise self._lost(found)
        self._tell(f"AWS says {found.status}")
        return found.status in READY and self._airflow.answers()

    def is_restored(self, snapshot: Snapshot) -> bool:
        """A restore is all or nothing, so its own run proves it, or one of the snapshot's.

        Also an older restore's: it is there because it came with what was restored.
        """
        if "success" in self._restores().values():
            return True
        run = contents.newest_run(snapshot, spool=self.means.spool)
        return run is not None and self._airflow.has(run)

    def restore(self, snapshot: Snapshot, active: Collection[str] | None, token: str) -> None:
        """As a job, whose own DAG stays active with the others: paused, its run would not end."""
        own = self.means.job_dag
        if self.means.is_here and self._is_new:
            raise self._own_database.unknown()
        if own is not None:
            self._wait_for_jobs(own)
            if self._waited_for_restores(token) and self.is_restored(snapshot):
                return
            if active is not None and own in contents.dags(snapshot, spool=self.means.spool):
                active = {*active, own}
        words = [
            "restore", self.means.lake.url, str(snapshot.name), "env:", "--on-conflict", "replace",
            "--in-flight", "keep", "--json",
        ]  # fmt: skip
        if active is not None:
            words += ["--active-from", f"lake:{self._saved(active)}"]
        self._check_database()
        succeeded(f"the restore of {snapshot.name}", self.means.run(tuple(words), token))
        if self.means.is_here:
            self._own_database.check_restored(snapshot)

    def settle(self) -> None:
        now = self._steady()
        if OWED not in options_of(now):
            return
        # Tasks that have begun are let finish: DAGs are active since the restore.
        changes = {OPTIONS: options_of(given_back(now)), "WorkerReplacementStrategy": "GRACEFUL"}
        mwaa.update(self.place.name, changes, self._aws)
        self.means.warn(
            f"AWS gives {self.name} back the options that it was made without: for 10 to 30 "
            f"minutes new DAGs are paused, or nothing is scheduled. Should AWS say UPDATE_FAILED "
            f"then: airkeep up {self.environment} asks again"
        )

    # Its parts.

    @cached_property
    def _airflow(self) -> Airflow:
        version = mwaa.describe(self.place.name, self._aws).airflow_version
        return Airflow(AirflowRest(self.place.name, self._aws), version, self.means.busy)

    @property
    def _own_database(self) -> OwnDatabase:
        return OwnDatabase(self.name, self._airflow, self.means.spool)

    def _set_paused(self, dags: Collection[str], *, paused: bool) -> None:
        if gone := self._airflow.set_paused(dags, paused=paused):
            shown = ", ".join(gone[:10]) + (", ..." if gone[10:] else "")
            self.means.warn(f"{self.name} has no such DAGs any more, passed over: {shown}")

    def _find(self) -> Definition | None:
        """One look, again while AWS is too busy: a wait of half an hour does not end by that."""
        return answered(lambda: mwaa.find(self.place.name, self._aws), self.means.busy)

    def _steady(self) -> Definition:
        """The environment, once no change of AWS's is under way."""
        return mwaa.wait_ready(
            self.place.name,
            self.means.steady,
            self._aws,
            progress=lambda found: self._tell(f"AWS says {found.status}"),
        )

    def _wait_gone(self) -> None:
        try:
            until(lambda: self._find() is None or None, self.means.steady)
        except TimeoutError:
            raise TooLongError(f"{self.name} is still being deleted: run this again") from None

    def _wait_for_jobs(self, dag: str) -> None:
        self._tell(f"waiting for its DAG {dag}")
        try:
            until(lambda: dag in self._airflow.dags() or None, self.means.parsing)
        except TimeoutError:
            raise self._no_jobs() from None

    def _restores(self) -> dict[str, str]:
        """The state of each run that is a restore of ours, by its id."""
        if self.means.job_dag is None:
            return {}
        states = self._airflow.states(self.means.job_dag)
        return {run: state for run, state in states.items() if run.startswith(run_id("up-"))}

    def _waited_for_restores(self, token: str) -> bool:
        """Wait for those that runs before this one began: two would write at once."""

        def at_work() -> list[str]:
            done = {"success", "failed", run_id(token)}
            return [run for run, state in self._restores().items() if not {run, state} & done]

        if not (others := at_work()):
            return False
        self._tell(f"waiting for the restore {others[0]}")
        try:
            until(lambda: not at_work() or None, self.means.steady)
        except TimeoutError:
            raise TooLongError(
                f"{self.name}: the restore {others[0]} of its DAG {self.means.job_dag} is still at "
                f"work: wait for its end, or mark it as failed in Airflow, then run this again"
            ) from None
        return True

    def _no_jobs(self) -> JourneyError:
        return JourneyError(
            f"{self.name} has no DAG {self.means.job_dag}, which runs its export and its restore: "
            f"put airkeep[airflow] into its requirements and airkeep's DAGs into its folder "
            f"(docs/provider.md)"
        )

    def _pinned(self, definition: Definition) -> Definition:
        """Its files at the versions that they have now, so that it is made again of the same."""
        versions = {}
        for file in definition.files:
            found = object_version(definition.bucket, file.path, self._aws, version=file.version)
            where = f"s3://{definition.bucket}/{file.path}"
            if found is None:
                which = f" in its version {file.version}" if file.version else ""
                raise JourneyError(
                    f"{where} is gone{which}, and {self.name} could not be made again without it: "
                    f"put it back, or update the environment"
                )
            if file.version is not None:
                continue
            if found.version is not None:
                versions[file.kind] = found.version
            if definition.installed is not None and found.modified > definition.installed:
                self.means.warn(
                    f"{where} was changed after AWS changed {self.name} last: it will be made "
                    f"again of the new one"
                )
        return definition.pinned(versions)

    def _definition(self, recorded: Recorded | None) -> Definition:
        if recorded is None or not recorded.definition:
            raise JourneyError(
                f"{self.name} is not there, and nothing says how to make it: it was never put to "
                f"sleep from this lake. Make it with AWS's own tools, then run this again"
            )
        return unseal(recorded.definition, self.means.archive_key)

    def _lost(self, found: Definition) -> JourneyError:
        why = f": {found.reason}" if found.reason else ""
        if found.status == "CREATE_FAILED":
            return JourneyError(
                f"AWS could not make {self.name}{why}. Mend that, then run this again: what failed "
                f"is deleted and made anew"
            )
        return JourneyError(
            f"{self.name} is {found.status}{why}: it is not touched while it is so. Look at it in "
            f"the AWS console, then run this again"
        )

    def _exported(self, token: str) -> Snapshot:
        words = (
            "export", "env:", self.means.lake.url, "--environment", self.environment,
            "--secrets", self.means.secrets, "--json",
        )  # fmt: skip
        outcome = succeeded(f"the export of {self.name}", self.means.run(words, token))
        return self.means.lake.find(snapshot_named(outcome, self.environment))

    def _saved(self, active: Collection[str]) -> str:
        """The DAGs that are to be active as a file of the lake: its path."""
        data = "".join(f"{dag}\n" for dag in sorted(active)).encode()
        folder = f"environments/environment={self.environment}/active"
        path = f"{folder}/{sha256(data).hexdigest()[:16]}.txt"
        with suppress(AlreadySavedError):  # its name is its content's
            self.means.lake.store.save(path, data)
        return path

    def _tell(self, doing: str) -> None:
        self.means.progress(Step(doing, 0, 0))
