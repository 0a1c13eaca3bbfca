"""What keeps an environment of MWAA from being deleted, one by one; and what --force gives up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import airkeep
from airkeep.database.server import Cluster
from airkeep.errors import AirkeepError, GateError, TooLongError
from airkeep.jobs.job import Result
from airkeep.snapshot.lake import Snapshot
from airkeep.snapshot.manifest import DagRunEntry
from airkeep.snapshot.names import id_time
from aws_server import AwsServer
from mwaa_environments import ACTIVE, made
from mwaa_journeys import Way, elsewhere, travel, variables
from mwaa_server import MwaaServer, running_mwaa
from rekeyed import ARCHIVE_KEY, LOST_KEY
from servers import FERNET_KEY, Databases, Templates, query

UPDATE_RUN = (
    "UPDATE dag_run SET end_date = {} WHERE id = (SELECT min(id) FROM dag_run "
    "WHERE state = 'success')"
)


@pytest.fixture(scope="module")
def place(
    aws_server: AwsServer,
    server: Cluster,
    templates: Templates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[MwaaServer, Way]]:
    """One environment: whoever is refused leaves it as it was."""
    databases = Databases(templates)
    with running_mwaa(aws_server, server, databases, "airflow-332") as mwaa:
        yield mwaa, made(mwaa, tmp_path_factory.mktemp("gate"), "prod")
    databases.drop()


def exported(way: Way, url: str, **options: object) -> Snapshot:
    """What the next job will say it has exported."""
    given: dict[str, object] = {"secrets": "seal", "archive_key": ARCHIVE_KEY, **options}
    snapshot = airkeep.export(
        url, way.lake, environment=way.environment, fernet_key=FERNET_KEY, **given,  # type: ignore[arg-type]
    )  # fmt: skip
    told = {"environment": way.environment, "id": snapshot.id}
    way.prepare("export", Result(0, told))
    return snapshot


def refused(place: tuple[MwaaServer, Way], way: Way, words: str) -> None:
    """It is, with these words; and everything is as it was."""
    mwaa, own = place
    url = mwaa.made[own.name].url
    before = query(url, ACTIVE)
    with pytest.raises(AirkeepError, match=words) as error:
        travel(way, "down")
    assert isinstance(error.value, GateError)
    assert query(url, ACTIVE) == before
    assert before
    assert not mwaa.calls
    assert way.state.recorded is None


def test_a_part_of_the_database_is_not_enough(place: tuple[MwaaServer, Way]) -> None:
    mwaa, way = place
    exported(way, mwaa.made[way.name].url, skip=["log"])
    refused(place, way, "is not complete: it holds a part")


def test_a_file_that_was_changed_is_found(place: tuple[MwaaServer, Way]) -> None:
    mwaa, way = place
    entry = exported(way, mwaa.made[way.name].url).manifest.table("dag_run")
    assert entry is not None
    file = way.folder / "lake" / entry.files[0].path
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)
    refused(place, way, r"does not verify: tables/dag_run/")


def test_a_run_that_ended_since_is_not_lost(place: tuple[MwaaServer, Way]) -> None:
    mwaa, way = place
    url = mwaa.made[way.name].url
    exported(way, url)
    query(url, UPDATE_RUN.format("clock_timestamp()"))
    refused(place, way, "1 run has ended since")
    query(url, UPDATE_RUN.format("start_date"))


def test_the_exports_own_run_is_no_work(place: tuple[MwaaServer, Way]) -> None:
    """It goes on while the gate looks, and its task ends after its snapshot."""
    mwaa, way = place
    url = mwaa.made[way.name].url
    [(dag, run)] = query(url, "SELECT dag_id::text, run_id::text FROM task_instance "
                              "WHERE state = 'success' LIMIT 1")  # fmt: skip
    one = f"WHERE dag_id = '{dag}' AND run_id = '{run}'"
    exported(way, url, dag_run=DagRunEntry(dag, run))
    query(url, f"UPDATE task_instance SET state = 'running' {one}")
    query(url, f"UPDATE dag_run SET end_date = clock_timestamp(), state = 'success' {one}")
    with variables(way.variables):
        ground = way.traveller().ground
        assert ground.pulse().running > 0
        since = ground.pulse(id_time(ground.export("any").id))
    assert (since.running, since.finished_since) == (0, 0)
    query(url, f"UPDATE task_instance SET state = 'success' {one}")
    query(url, f"UPDATE dag_run SET end_date = start_date {one}")


def test_what_no_key_opens_that_is_left_is_not_let_go(place: tuple[MwaaServer, Way]) -> None:
    mwaa, way = place
    exported(way, mwaa.made[way.name].url)
    refused(place, elsewhere(way, archive_key=LOST_KEY), r"secrets open with no key that is left")


def test_secrets_under_the_key_that_dies_are_not_let_go(place: tuple[MwaaServer, Way]) -> None:
    mwaa, way = place
    exported(way, mwaa.made[way.name].url, secrets="keep")
    refused(place, way, "encrypted with the environment's own key, which goes with it")


def test_a_task_at_work_is_waited_for_and_then_nothing_happens(
    place: tuple[MwaaServer, Way],
) -> None:
    mwaa, way = place
    url = mwaa.made[way.name].url
    [(task,)] = query(url, "SELECT min(id::text) FROM task_instance WHERE state = 'success'")
    query(url, f"UPDATE task_instance SET state = 'queued' WHERE id = '{task}'")
    before = query(url, ACTIVE)
    with pytest.raises(TooLongError, match="its tasks were at work all the time"):
        travel(way, "down")
    assert query(url, ACTIVE) == before
    query(url, f"UPDATE task_instance SET state = 'success' WHERE id = '{task}'")


def test_force_says_what_is_lost(place: tuple[MwaaServer, Way]) -> None:
    mwaa, way = place
    url = mwaa.made[way.name].url
    exported(way, url, secrets="keep", skip=["log"])
    query(url, UPDATE_RUN.format("clock_timestamp()"))
    [(task,)] = query(url, "SELECT min(id::text) FROM task_instance WHERE state = 'success'")
    query(url, f"UPDATE task_instance SET state = 'running' WHERE id = '{task}'")
    arrived = travel(way, "down", force=True)
    assert arrived.standing == "asleep"
    assert mwaa.made == {}
    lost = "; ".join(arrived.lost)
    for words in ("not complete", "1 task is at work", "1 run has ended", "own key"):
        assert words in lost, lost
