"""What is asked of an environment's Airflow, in the words of Airflow 2 and 3, over real rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_api import add_dags
from airkeep.aws.airflow_rest import AirflowRest
from airkeep.aws.wait import Patience
from airkeep.database.address import parse_address
from airkeep.database.server import Cluster
from airkeep.environment.metadata import Metadata
from airkeep.environment.mwaa.airflow import Airflow
from airkeep.errors import AirflowRestError, AwsUnavailableError, JourneyError
from airkeep.snapshot.manifest import DagRunEntry
from aws_server import AwsServer
from mwaa_environments import ACTIVE, definition
from mwaa_journeys import variables
from mwaa_server import Made, MwaaServer, running_mwaa
from servers import Databases, Templates, query
from told_mwaa import told_mwaa

MANY = [f"many_{n:03}" for n in range(250)]
LONG = "a_dag_whose_name_is_longer_than_what_fits_into_a_path_of_64_chars"
ENDED = "SELECT dag_id::text, run_id::text FROM dag_run WHERE state = 'success' ORDER BY id LIMIT 1"


@pytest.fixture(scope="module", params=[("airflow-2112", "2.11.2"), ("airflow-332", "3.3.2")],
                ids=["Airflow 2", "Airflow 3"])  # fmt: skip
def place(
    aws_server: AwsServer,
    server: Cluster,
    templates: Templates,
    request: pytest.FixtureRequest,
) -> Iterator[tuple[MwaaServer, Made, Airflow]]:
    dump, version = request.param
    databases = Databases(templates)
    with running_mwaa(aws_server, server, databases, dump) as mwaa, variables(mwaa.variables):
        name = f"many-{version.replace('.', '')}"
        made = mwaa.own(name, definition(aws_server, name, AirflowVersion=version))
        add_dags(made.url, *MANY)
        yield mwaa, made, Airflow(AirflowRest(name), version, Patience(10, 0.02))
    databases.drop()


Place = tuple[MwaaServer, Made, Airflow]


def test_of_250_dags_exactly_those_are_paused_and_come_back(place: Place) -> None:
    _, made, airflow = place
    active = [dag for (dag,) in query(made.url, ACTIVE)]
    assert len(active) >= 250
    found = airflow.dags()
    assert sorted(dag for dag, paused in found.items() if not paused) == active
    changed = active[-20:]
    assert airflow.set_paused(changed, paused=True) == ()
    assert query(made.url, ACTIVE) == [(dag,) for dag in active if dag not in changed]
    query(made.url, "UPDATE dag SET is_paused = false WHERE dag_id LIKE 'many_%'")
    assert airflow.set_paused([*active, "gone"], paused=False) == ("gone",)
    assert [dag for (dag,) in query(made.url, ACTIVE)] == active


@pytest.mark.slow
def test_250_dags_are_paused_at_once(place: Place) -> None:
    _, made, airflow = place
    active = [dag for (dag,) in query(made.url, ACTIVE)]
    assert airflow.set_paused(active, paused=True) == ()
    assert query(made.url, ACTIVE) == []
    assert airflow.set_paused(active, paused=False) == ()
    assert [dag for (dag,) in query(made.url, ACTIVE)] == active


def test_what_is_as_it_should_be_is_not_touched(place: Place) -> None:
    mwaa, _, airflow = place
    before = len(mwaa.signed)
    airflow.set_paused(MANY, paused=False)
    assert len(mwaa.signed) - before <= 3


def test_a_name_too_long_for_a_path_is_a_pattern_that_fits_nobody_else(place: Place) -> None:
    _, made, airflow = place
    add_dags(made.url, LONG)
    airflow.set_paused([LONG], paused=True)
    assert (LONG,) not in query(made.url, ACTIVE)
    airflow.set_paused([LONG], paused=False)
    assert (LONG,) in query(made.url, ACTIVE)
    add_dags(made.url, f"not_{LONG.replace('_', 'x', 1)}")
    before = query(made.url, ACTIVE)
    with pytest.raises(JourneyError, match=r"too long for MWAA.*as a pattern it is also that of"):
        airflow.set_paused([LONG], paused=True)
    assert query(made.url, ACTIVE) == before
    query(made.url, f"DELETE FROM dag WHERE dag_id LIKE '%{LONG[6:]}'")


def test_runs_that_ended_are_counted_since_a_moment(place: Place) -> None:
    _, made, airflow = place
    [(last, ended)] = query(
        made.url,
        "SELECT max(end_date), count(*) FROM dag_run WHERE state IN ('success', 'failed')",
    )
    assert airflow.ended(None, ()) == (last, 0)
    assert airflow.ended(last, ()) == (last, 0)
    assert airflow.ended(datetime(2000, 1, 1, tzinfo=UTC), ())[1] == ended
    [(dag, run)] = query(made.url, ENDED)
    own = [DagRunEntry(dag, run)]
    assert airflow.ended(datetime(2000, 1, 1, tzinfo=UTC), own)[1] == ended - 1


def test_tasks_at_work_are_counted_and_our_own_are_not(place: Place) -> None:
    _, made, airflow = place
    there = airflow.at_work(())
    [(found,)] = query(
        made.url,
        "SELECT count(*) FROM task_instance WHERE state IN ('running', 'queued', 'restarting')",
    )
    assert there == found
    [(dag, run)] = query(
        made.url, "SELECT min(dag_id), min(run_id) FROM task_instance WHERE state = 'success' "
                  "GROUP BY dag_id, run_id LIMIT 1"
    )  # fmt: skip
    one = f"WHERE dag_id = '{dag}' AND run_id = '{run}' AND state = 'success'"
    query(made.url, f"UPDATE task_instance SET state = 'queued' {one}")
    assert airflow.at_work(()) > there
    assert airflow.at_work([DagRunEntry(dag, run)]) == there
    query(
        made.url, f"UPDATE task_instance SET state = 'success' {one.replace('success', 'queued')}"
    )


def test_what_began_or_ended_since_is_counted_though_nothing_is_at_work(place: Place) -> None:
    _, made, airflow = place
    since = datetime(2100, 1, 1, tzinfo=UTC)
    assert (airflow.begun(since, ()), airflow.tasks_ended(since, ())) == (0, 0)
    [(dag, run)] = query(made.url, ENDED)
    one = f"WHERE dag_id = '{dag}' AND run_id = '{run}'"
    [(state,)] = query(made.url, f"SELECT state FROM dag_run {one}")
    query(made.url, f"UPDATE dag_run SET state = 'running', "
                    f"start_date = start_date + interval '200 years' {one}")  # fmt: skip
    query(made.url, f"UPDATE task_instance SET end_date = end_date + interval '200 years' {one}")
    own = [DagRunEntry(dag, run)]
    metadata = Metadata(parse_address(made.url)).pulse(since)
    assert (airflow.begun(since, ()), airflow.begun(since, own)) == (1, 0)
    assert (airflow.tasks_ended(since, own), metadata.begun_since) == (0, 1)
    assert airflow.tasks_ended(since, ()) == metadata.tasks_since > 0
    query(made.url, f"UPDATE task_instance SET end_date = end_date - interval '200 years' {one}")
    query(made.url, f"UPDATE dag_run SET state = '{state}', "
                    f"start_date = start_date - interval '200 years' {one}")  # fmt: skip


def test_a_run_that_airflow_has_not_looked_at_since_a_task_ended_is_told(place: Place) -> None:
    _, made, airflow = place
    long_ago, since = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    metadata = Metadata(parse_address(made.url))

    def closing() -> tuple[int, int]:
        return airflow.closing(long_ago, ()), metadata.pulse(None).closing

    before, same = closing()
    assert before == same
    [(dag, run)] = query(made.url, ENDED)
    one = f"WHERE dag_id = '{dag}' AND run_id = '{run}'"
    [(looked,)] = query(made.url, f"SELECT last_scheduling_decision::text FROM dag_run {one}")
    query(made.url, f"UPDATE dag_run SET state = 'running', last_scheduling_decision = "
                    f"(SELECT max(end_date) FROM task_instance {one}) {one}")  # fmt: skip
    assert closing() == (before + 1, before + 1)
    assert airflow.closing(long_ago, [DagRunEntry(dag, run)]) == before
    assert airflow.closing(since, ()) == 0
    query(made.url, f"UPDATE dag_run SET last_scheduling_decision = clock_timestamp() {one}")
    assert closing() == (before, before)
    query(made.url, f"UPDATE dag_run SET last_scheduling_decision = NULL {one}")
    assert closing() == (before, before)
    query(made.url, f"UPDATE dag_run SET state = 'success', "
                    f"last_scheduling_decision = '{looked}' {one}")  # fmt: skip


def test_a_run_is_there_or_not(place: Place) -> None:
    _, made, airflow = place
    [(dag, run)] = query(made.url, ENDED)
    assert airflow.has(DagRunEntry(dag, run))
    assert not airflow.has(DagRunEntry(dag, "another"))
    assert not airflow.has(DagRunEntry("another", run))
    assert airflow.states(dag)[run] == "success"


def told(reply: tuple[int, dict[str, Any]]) -> AbstractContextManager[Airflow]:
    """An Airflow that says the same to every question."""

    @contextmanager
    def saying() -> Iterator[Airflow]:
        with told_mwaa(rest=[reply]) as mwaa:
            there = AwsServer(mwaa.endpoint).variables
            with variables({**there, "AWS_ENDPOINT_URL_MWAA": mwaa.endpoint}):
                yield Airflow(AirflowRest("prod"), "3.3.2", Patience(0.2, 0.02))

    return saying()


def test_a_busy_aws_is_not_asked_for_ever() -> None:
    with told((503, {})) as airflow:
        assert not airflow.answers()
        with pytest.raises(AwsUnavailableError, match="503"):
            airflow.at_work(())


@pytest.mark.parametrize("reply", [{}, {"body": "<html>"}, {"task_instances": None}])
def test_a_page_of_somebody_elses_is_not_nothing(reply: dict[str, Any]) -> None:
    with told((200, reply)) as airflow:
        for ask in (airflow.dags, lambda: airflow.at_work(()), lambda: airflow.ended(None, ())):
            with pytest.raises(AirflowRestError, match="in what it said"):
                ask()


def test_who_may_not_edit_a_dag_is_told_so() -> None:
    dags = {"dags": [{"dag_id": "a", "is_paused": False}], "total_entries": 1}
    words = r"1 DAGs are still active \(a\).*such as .* Op"
    with told((200, dags)) as airflow, pytest.raises(JourneyError, match=words):
        airflow.set_paused(["a"], paused=True)
