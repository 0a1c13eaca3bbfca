"""What a journey asks Airflow's REST API, in the words of Airflow 2 and 3.

Every list is read page by page and within bounds; a reply without the list that was asked for is an
error and not "nothing". A busy AWS, or a web server that is just replaced, is asked again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from airkeep.aws.airflow_rest import PAGE, AirflowRest
from airkeep.aws.wait import Patience, answered
from airkeep.errors import AirflowRestError, AwsUnavailableError, JourneyError
from airkeep.snapshot.manifest import DagRunEntry

LONGEST_PATH = 64  # that MWAA hands on: boto's model of InvokeRestApi
MAX_PAGES = 10  # of tasks and runs: a thousand of them say as much as all
# What `metadata.py` calls so, as far as both APIs know the word.
_AT_WORK = ("running", "queued", "restarting")
_ENDED = ("success", "failed")
_HANDS = 4  # MWAA takes about ten questions a second
_EVER = datetime(1970, 1, 1, tzinfo=UTC)  # a run without an end is not after it

Found = TypeVar("Found")
Own = Collection[DagRunEntry]


class Airflow:
    """The Airflow of one environment.

    Args:
        version: its own, such as 2.10.3.
        patience: for a busy AWS.
    """

    def __init__(self, rest: AirflowRest, version: str, patience: Patience) -> None:
        self._rest, self._patience = rest, patience
        # What asks for DAGs without a file, too: they are restored like all others.
        self._all = (
            {"only_active": "false"} if version.startswith("2.") else {"exclude_stale": "false"}
        )

    def answers(self) -> bool:
        """Whether it does, right now."""
        try:
            self._rest.get("/version")
        except AwsUnavailableError:
            return False
        except AirflowRestError as error:
            if error.status < 500:  # such as no right to ask: waiting does not help
                raise
            return False
        return True

    def dags(self) -> dict[str, bool]:
        """Every DAG, and whether it is paused."""
        listed = self._again(lambda: self._rest.list("/dags", "dags", "dag_id", **self._all))
        return {str(dag["dag_id"]): bool(dag["is_paused"]) for dag in listed}

    def set_paused(self, wanted: Collection[str], *, paused: bool) -> tuple[str, ...]:
        """Pause or unpause exactly these; those that are so already are not touched.

        Returns:
            The DAGs that are not there.

        Raises:
            JourneyError: one is not as it was asked for.
        """
        known = self.dags()
        change = [dag for dag in wanted if known.get(dag, paused) is not paused]
        with ThreadPoolExecutor(_HANDS) as pool:
            list(pool.map(partial(self._set, known=known, wanted=wanted, paused=paused), change))
        now = self.dags() if change else known
        if left := [dag for dag in change if now.get(dag, paused) is not paused]:
            raise JourneyError(
                f"{self._rest.environment}: {len(left)} DAGs are still "
                f"{'active' if paused else 'paused'} ({', '.join(left[:3])}): whoever runs this "
                f"needs a role that may edit every DAG, such as Airflow's Op"
            )
        return tuple(sorted(dag for dag in wanted if dag not in now))

    def at_work(self, own: Own) -> int:
        """Tasks that a worker has, or is about to be handed; those of our own runs aside."""
        tasks = self._pages(
            "/dags/~/dagRuns/~/taskInstances/list", "task_instances", {"state": [*_AT_WORK]}
        )
        return sum(not _is_own(task, own) for task in tasks)

    def ended(self, since: datetime | None, own: Own) -> tuple[datetime | None, int]:
        """When the newest run ended, and how many did since then; our own aside."""
        last, count = None, 0
        asked = {"states": [*_ENDED], "end_date_gte": _EVER.isoformat(), "order_by": "-end_date"}
        for run in self._pages("/dags/~/dagRuns/list", "dag_runs", asked):
            if _is_own(run, own):
                continue
            at = datetime.fromisoformat(run["end_date"])
            last = last or at
            if since is None or at <= since:
                break
            count += 1
        return last, count

    def newest_ended(self, by: datetime) -> DagRunEntry | None:
        """Of the runs that had ended by then the newest."""
        asked = {"states": [*_ENDED], "end_date_gte": _EVER.isoformat(), "order_by": "-end_date"}
        for run in self._pages("/dags/~/dagRuns/list", "dag_runs", asked):
            if datetime.fromisoformat(run["end_date"]) <= by:
                return DagRunEntry(*_key(run))
        return None

    def begun(self, since: datetime, own: Own) -> int:
        """Runs that began since then and have not ended; our own aside."""
        asked = {"start_date_gte": since.isoformat(), "order_by": "-start_date"}
        return sum(
            run.get("state") not in _ENDED and not _is_own(run, own)
            for run in self._pages("/dags/~/dagRuns/list", "dag_runs", asked)
        )

    def tasks_ended(self, since: datetime, own: Own) -> int:
        """Tasks that have ended since then; our own runs' aside."""
        asked = {"end_date_gte": since.isoformat()}
        path = "/dags/~/dagRuns/~/taskInstances/list"
        tasks = self._pages(path, "task_instances", asked)
        return sum(not _is_own(task, own) for task in tasks)

    def closing(self, since: datetime, own: Own) -> int:
        """Runs of which a task has ended since Airflow looked at them last; our own aside."""
        looked = {
            _key(run): datetime.fromisoformat(run["last_scheduling_decision"])
            for run in self._pages("/dags/~/dagRuns/list", "dag_runs", {"states": ["running"]})
            if run["last_scheduling_decision"] and not _is_own(run, own)
        }
        if not looked:
            return 0
        asked = {
            "dag_ids": sorted({dag for dag, _ in looked}),
            "end_date_gte": max(min(looked.values()), since).isoformat(),
        }
        tasks = self._pages("/dags/~/dagRuns/~/taskInstances/list", "task_instances", asked)
        ended = [(_key(task), datetime.fromisoformat(task["end_date"])) for task in tasks]
        return len({run for run, at in ended if run in looked and at >= looked[run]})

    def has(self, run: DagRunEntry) -> bool:
        """Whether it has that run: by its name, for one that is cleared has another time."""
        return run.run_id in self.states(run.dag_id)

    def states(self, dag: str) -> dict[str, str]:
        """Of a DAG's runs, those first that began last: the state of each."""
        asked = {"dag_ids": [dag], "order_by": "-start_date"}
        found = self._pages("/dags/~/dagRuns/list", "dag_runs", asked)
        return {str(run["dag_run_id"]): str(run["state"]) for run in found}

    def _set(
        self, dag: str, *, known: Mapping[str, bool], wanted: Collection[str], paused: bool
    ) -> None:
        body, path = {"is_paused": paused}, f"/dags/{quote(dag, safe='')}"
        try:
            if len(path) <= LONGEST_PATH:
                self._again(lambda: self._rest.patch(path, body))
                return
            _check_alone(dag, known, wanted, paused=paused)
            query = {**self._all, "dag_id_pattern": dag}
            self._again(lambda: self._rest.patch("/dags", body, **query))
        except AirflowRestError as error:
            if error.status != 404:  # it went meanwhile
                raise

    def _pages(self, path: str, key: str, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        offset = 0
        for _ in range(MAX_PAGES):
            body = {**asked, "page_limit": PAGE, "page_offset": offset}
            page = self._again(partial(self._rest.post, path, body))
            entries = self._rest.entries(page, key, path)
            yield from entries
            offset += len(entries)
            if not entries or offset >= int(page.get("total_entries", offset + 1)):
                return

    def _again(self, ask: Callable[[], Found]) -> Found:
        return answered(ask, self._patience)


def _key(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["dag_id"], entry["dag_run_id"]


def _is_own(entry: Mapping[str, Any], own: Own) -> bool:
    return any((run.dag_id, run.run_id) == _key(entry) for run in own)


def _check_alone(
    dag: str, known: Mapping[str, bool], wanted: Collection[str], *, paused: bool
) -> None:
    """Whether a name that is too long for a path, as a pattern, changes nobody else."""
    like = re.compile(re.escape(dag).replace("_", "."), re.IGNORECASE | re.DOTALL)
    others = [
        other
        for other, is_paused in known.items()
        if other not in wanted and is_paused is not paused and like.search(other)
    ]
    if others:
        raise JourneyError(
            f"{dag} has a name too long for MWAA's InvokeRestApi, and as a pattern it is also that "
            f"of {', '.join(others[:3])}: {'pause' if paused else 'unpause'} it by hand, then run "
            f"this again"
        )
