"""An environment of MWAA sleeps and wakes: real calls, real exports and restores."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from airflow_api import add_dags
from airkeep.aws.session import HERE
from airkeep.aws.wait import Patience, until
from airkeep.cli.main import run
from airkeep.environment.events import Placed, Recorded
from airkeep.environment.journey import Traveller
from airkeep.environment.mwaa.definition import OWED, PAUSED, SCHEDULES, options_of, unseal
from airkeep.environment.mwaa.ground import MwaaGround
from airkeep.environment.mwaa.job import OnDag
from airkeep.errors import AwsUnavailableError, JourneyError, MissingKeyError
from airkeep.jobs.dag import DAG
from airkeep.jobs.job import Result
from airkeep.store.local import LocalStore
from command import VARIABLE
from mwaa_environments import ACTIVE, RUNS, SECRET, TASKS, definition, made, recorded
from mwaa_journeys import Way, elsewhere, travel, travel_and_die, variables
from mwaa_server import MwaaServer
from rekeyed import ARCHIVE_KEY, opened, read_secrets
from servers import FERNET_KEY, query


def ground_of(traveller: Traveller) -> MwaaGround:
    assert isinstance(traveller.ground, MwaaGround)
    return traveller.ground


def now() -> datetime:
    return datetime.now(UTC)


def test_an_environment_goes_and_comes_back_as_it_was(mwaa: MwaaServer, way: Way) -> None:
    before = mwaa.made[way.name]
    told, active, runs, tasks = (
        dict(before.told), query(before.url, ACTIVE), query(before.url, RUNS),
        sorted(query(before.url, TASKS)),
    )  # fmt: skip
    secrets = opened(read_secrets(before.url), FERNET_KEY)
    down = travel(way, "down")
    assert down.standing == "asleep"
    assert way.name not in mwaa.made
    kept = b"".join(f.read_bytes() for f in (way.folder / "lake/environments").rglob("*.json"))
    assert b"smtp.smtp_password" in kept
    assert SECRET.encode() not in kept
    assert [s.name for s in down.steps] == [
        "record", "pause", "drain", "export", "verify", "gate", "delete", "gone"
    ]  # fmt: skip
    up = travel(way, "up")
    assert [s.name for s in up.steps] == ["create", "ready", "restore", "settle", "unpause"]
    after = mwaa.made[way.name]
    assert after.url != before.url
    assert after.fernet_key != before.fernet_key
    assert query(after.url, ACTIVE) == active
    assert len(active) > 5
    assert query(after.url, RUNS) == runs
    assert sorted(query(after.url, TASKS)) == tasks
    assert opened(read_secrets(after.url), after.fernet_key) == secrets
    versions = {k: after.told.pop(k) for k in list(after.told) if k.endswith("ObjectVersion")}
    assert len(versions) == 3
    assert {"Name": way.name, **after.told} == told
    assert [job.split()[0] for job in way.jobs] == ["export", "restore"]


def test_without_a_key_nothing_is_touched(mwaa: MwaaServer, way: Way) -> None:
    before = query(mwaa.made[way.name].url, ACTIVE)
    with pytest.raises(MissingKeyError, match=r"Fernet key of prod .* goes with it"):
        travel(elsewhere(way, archive_key=None), "down")
    assert query(mwaa.made[way.name].url, ACTIVE) == before
    assert not way.jobs


def test_a_file_that_is_gone_from_its_bucket_is_missed_before_anything_is_touched(
    mwaa: MwaaServer, way: Way
) -> None:
    bucket = mwaa.made[way.name].told["SourceBucketArn"].rpartition(":")[2]
    mwaa.aws.client("s3").delete_object(Bucket=bucket, Key="plugins.zip")
    with pytest.raises(JourneyError, match=r"plugins\.zip is gone.*put it back"):
        travel(way, "down")
    assert not way.jobs


def test_a_file_is_missed_in_the_version_that_is_installed(mwaa: MwaaServer, way: Way) -> None:
    told, s3 = mwaa.made[way.name].told, mwaa.aws.client("s3")
    told["LastUpdate"] = {"CreatedAt": "2020-01-01T00:00:00+00:00"}
    bucket = told["SourceBucketArn"].rpartition(":")[2]
    pinned = s3.put_object(Bucket=bucket, Key="plugins.zip", Body=b"1")["VersionId"]
    told["PluginsS3ObjectVersion"] = pinned
    s3.delete_object(Bucket=bucket, Key="plugins.zip")
    with variables(way.variables):
        document = way.traveller().ground.record().definition
        assert f'"PluginsS3ObjectVersion": "{pinned}"' in document
        assert [line.split()[0].rpartition("/")[2] for line in way.said] == [
            "requirements.txt", "startup.sh"
        ]  # fmt: skip
        s3.delete_object(Bucket=bucket, Key="plugins.zip", VersionId=pinned)
        with pytest.raises(JourneyError, match=rf"plugins\.zip is gone in its version {pinned}"):
            way.traveller().ground.record()


def test_aws_may_be_busy_and_change_it_meanwhile(mwaa: MwaaServer, way: Way) -> None:
    made = mwaa.made[way.name]
    made.changing = ["UPDATING"] * 4
    mwaa.busy, mwaa.away = 6, 3
    with variables(way.variables):
        recorded = way.traveller().ground.record()
        mwaa.away, mwaa.busy = 3, 5
        assert way.traveller().ground.exists()
        way.traveller().ground.pause(recorded.active)
        made.changing = ["UPDATING"] * 2
        with pytest.raises(AwsUnavailableError, match="is UPDATING, and cannot be deleted while"):
            way.traveller().ground.delete()
        assert not mwaa.calls
        made.changing = []
        way.traveller().ground.delete()
    assert len(recorded.active) > 5
    assert mwaa.calls == [f"DELETE {way.name}"]


@pytest.mark.slow
def test_what_aws_could_not_make_is_told_and_made_anew(mwaa: MwaaServer, way: Way) -> None:
    active = query(mwaa.made[way.name].url, ACTIVE)
    travel(way, "down")
    mwaa.fails = "no route to S3"
    with pytest.raises(JourneyError, match=r"INCORRECT_CONFIGURATION: no route to S3\. Mend"):
        travel(way, "up")
    assert way.state.standing == "asleep"
    mwaa.calls.clear()
    assert travel(way, "up").standing == "awake"
    assert mwaa.calls == [f"{deed} {way.name}" for deed in ("DELETE", "PUT", "PATCH")]
    assert query(mwaa.made[way.name].url, ACTIVE) == active


def test_what_somebody_made_after_an_up_that_failed_is_left_alone(
    mwaa: MwaaServer, way: Way
) -> None:
    told = definition(mwaa.aws, way.name)
    travel(way, "down")
    with pytest.raises(MissingKeyError):
        travel(elsewhere(way, archive_key=None), "up")
    by_hand = mwaa.own(way.name, told)
    runs = query(by_hand.url, RUNS)
    mwaa.calls.clear()
    for journey in ("down", "up"):
        with pytest.raises(JourneyError, match="somebody made it without airkeep"):
            travel(way, journey)
    assert query(by_hand.url, RUNS) == runs
    assert not mwaa.calls
    by_hand.failed = "no route to S3"  # nothing ran in what AWS could not make, and nobody answers
    assert [step.name for step in travel(way, "down").steps] == ["delete", "gone"]


def test_an_environment_that_is_lost_is_not_deleted(mwaa: MwaaServer, way: Way) -> None:
    mwaa.made[way.name].changing = ["UNAVAILABLE"] * 2
    with variables(way.variables):
        ground = way.traveller().ground
        assert ground.is_whole()
        with pytest.raises(JourneyError, match=r"is UNAVAILABLE.*not touched"):
            ground.delete()
    assert not mwaa.calls


def test_new_dags_do_not_run_before_their_past_is_there(mwaa: MwaaServer, tmp_path: Path) -> None:
    """Some of them say that they begin unpaused, whatever the environment says."""
    wish = {PAUSED: "False", "smtp.smtp_password": SECRET}
    way = made(mwaa, tmp_path, "eager", AirflowConfigurationOptions=wish)
    active = query(mwaa.made[way.name].url, ACTIVE)
    travel(way, "down")
    asked: list[object] = []

    def run(words: Sequence[str], token: str) -> Result:
        now = mwaa.made[way.name]
        asked.append((query(now.url, ACTIVE), now.told["AirflowConfigurationOptions"]))
        return way.run(words, token)

    with variables(way.variables):
        traveller = way.traveller()
        ground = MwaaGround("eager", way.place, replace(ground_of(traveller).means, run=run))
        assert replace(traveller, ground=ground).up().standing == "awake"
    held = {PAUSED: "True", SCHEDULES: "False", OWED: f"{PAUSED}=False,{SCHEDULES}"}
    assert asked == [([], {**wish, **held})]
    assert mwaa.made[way.name].told["AirflowConfigurationOptions"] == wish
    assert "AWS gives eager " in way.said[-1]
    assert mwaa.calls[-1] == f"PATCH {way.name}"
    assert query(mwaa.made[way.name].url, ACTIVE) == active


def test_what_aws_failed_to_give_back_is_not_taken_for_a_wish(
    mwaa: MwaaServer, tmp_path: Path
) -> None:
    wish = {PAUSED: "False", "smtp.smtp_password": SECRET}
    way = made(mwaa, tmp_path, "eager", AirflowConfigurationOptions=wish)
    travel(way, "down")
    mwaa.fails_to_change = True
    assert travel(way, "up").standing == "awake"
    environment = mwaa.made[way.name]
    with variables(way.variables):
        ground = ground_of(way.traveller())
        until(lambda: ground.is_ready() or None, Patience(20, 0.02))
        assert environment.is_as_before
        assert environment.told["AirflowConfigurationOptions"][SCHEDULES] == "False"
        of_it = unseal(ground.record().definition, ARCHIVE_KEY)
    assert options_of(of_it) == wish
    assert travel(way, "up").standing == "awake"
    assert environment.told["AirflowConfigurationOptions"] == wish


@pytest.mark.slow
def test_a_dag_that_was_deleted_is_named_and_passed_over(mwaa: MwaaServer, way: Way) -> None:
    active = query(mwaa.made[way.name].url, ACTIVE)
    travel(way, "down")
    gone = Recorded((*(dag for (dag,) in active), "gone_dag"), recorded(way).definition)
    way.traveller().journal.append(gone)
    assert travel(way, "up").standing == "awake"
    assert query(mwaa.made[way.name].url, ACTIVE) == active
    assert any("no such DAGs any more, passed over: gone_dag" in line for line in way.said)


@pytest.mark.slow
def test_what_somebody_else_deleted_is_made_of_its_newest_snapshot(
    mwaa: MwaaServer, way: Way
) -> None:
    travel(way, "down")
    travel(way, "up")
    told, active = mwaa.made[way.name].told, query(mwaa.made[way.name].url, ACTIVE)
    mwaa.forget(way.name)
    with pytest.raises(JourneyError, match=r"is not there.*, so nothing can be kept of it"):
        travel(way, "down")
    assert travel(way, "up", snapshot="prod/latest").standing == "awake"
    assert mwaa.made[way.name].told == told
    assert query(mwaa.made[way.name].url, ACTIVE) == active


def test_of_two_runs_at_once_one_wins(mwaa: MwaaServer, way: Way) -> None:
    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(lambda _: travel_and_die(way, "down"), range(3)))
    assert sorted(ends) == [0, 96, 96]
    assert mwaa.calls == [f"DELETE {way.name}"]
    assert all(line.startswith("HeldError") for line in way.said)


@pytest.mark.slow
def test_several_environments_share_a_lake(mwaa: MwaaServer, tmp_path: Path) -> None:
    one = made(mwaa, tmp_path, "one")
    two = elsewhere(made(mwaa, tmp_path, "two"), folder=one.folder)
    two.add()
    assert travel(one, "down").standing == "asleep"
    assert two.state.standing == "new"
    assert two.name in mwaa.made
    travel(two, "down")
    assert not mwaa.made
    travel(one, "up")
    assert set(mwaa.made) == {one.name}
    assert one.state.kept != two.state.kept


@pytest.mark.slow
def test_an_old_export_of_a_run_that_was_killed_is_not_believed(mwaa: MwaaServer, way: Way) -> None:
    with variables(way.variables):
        traveller = way.traveller()
        first = traveller.ground.export("a")
        assert traveller.ground.export("a").name == first.name
        means = replace(ground_of(traveller).means, clock=lambda: now() + timedelta(hours=1))
        later = MwaaGround("prod", way.place, means).export("a")
    assert later.name != first.name
    assert len(way.jobs) == 2


@pytest.mark.slow
def test_a_job_that_fails_is_told_and_the_next_run_begins_another_one(
    mwaa: MwaaServer, way: Way
) -> None:
    active = query(mwaa.made[way.name].url, ACTIVE)
    way.prepare("export", Result(12, "no such host"))
    with pytest.raises(JourneyError, match=r"export of prod .* ended with status 12: no such"):
        travel(way, "down")
    assert query(mwaa.made[way.name].url, ACTIVE) == active
    first = way.jobs
    with pytest.raises(JourneyError, match="no such host"):
        travel(way, "down")
    assert len(way.jobs) == len(first) + 1


def test_another_account_is_reached_by_its_role(mwaa: MwaaServer, way: Way) -> None:
    role = "arn:aws:iam::000000000000:role/keeper"
    place = structs.replace(way.place, region="eu-west-1", role_arn=role, external_id="seven")
    with variables(way.variables):
        assert not elsewhere(way, place=place).traveller().ground.exists()
    scope = mwaa.signed[-1].partition("Credential=")[2]
    assert scope.split("/")[0] != "test"
    assert "/eu-west-1/airflow/" in scope


def by_dag(way: Way) -> Traveller:
    """Its jobs as runs of its own DAG."""
    traveller = way.traveller()
    run = OnDag(way.name, LocalStore(way.folder / "lake/jobs"), HERE, way.warn, Patience(120, 0.2))
    means = replace(ground_of(traveller).means, run=run, job_dag=DAG)
    return replace(traveller, ground=MwaaGround("prod", way.place, means))


def test_its_own_dag_carries_the_export_and_the_restore(mwaa: MwaaServer, way: Way) -> None:
    url = mwaa.made[way.name].url
    with variables(way.variables):
        with pytest.raises(JourneyError, match=r"has no DAG airkeep_job.*into its requirements"):
            by_dag(way).down()
        add_dags(url, DAG)
        query(url, f"UPDATE dag SET is_paused = true WHERE dag_id = '{DAG}'")
        active, runs = query(url, ACTIVE), query(url, RUNS)
        query(url, f"UPDATE dag SET is_paused = false WHERE dag_id = '{DAG}'")
        assert by_dag(way).foresee("down").active == tuple(dag for (dag,) in active)
        assert by_dag(way).down().standing == "asleep"
        mwaa.parsed = (DAG,)
        assert by_dag(way).up().standing == "awake"
    after = mwaa.made[way.name].url
    assert query(after, ACTIVE) == sorted([*active, (DAG,)])
    found = query(after, RUNS)
    own = [(state, run) for dag, run, state, *_ in found if dag == DAG]
    assert sorted(run.split("-")[0] for _, run in own) == ["airkeep__down", "airkeep__up"]
    assert [state for state, _ in own] == ["success", "success"]
    assert [row for row in found if row[0] != DAG] == runs


def test_down_and_up_know_an_environments_kind(
    mwaa: MwaaServer, way: Way, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mwaa.looks = 0
    place = mwaa.made[way.name]
    for name, value in {
        **way.variables, VARIABLE: place.url, "AIRKEEP_FERNET_KEY": place.fernet_key,
        "AIRKEEP_ARCHIVE_KEY": ARCHIVE_KEY, "AIRKEEP_LAKE": str(way.folder / "lake"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert run(["up", "prod", "--port", "8080"]) == 3
    assert "its flags are --from, --take-over and --dry-run" in capsys.readouterr().err
    entries = way.state
    assert run(["down", "prod", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("prod would take these steps: record, pause, drain, export, verify,")
    assert "would be paused, and the end of 0 tasks at work waited for" in said
    assert (way.state, mwaa.calls, way.jobs) == (entries, [], [])
    assert run(["up", "prod"]) == 0
    assert capsys.readouterr().out.startswith("prod is up (")
    way.traveller().journal.append(Placed(structs.replace(way.place, jobs="dag")))
    assert run(["down", "prod"]) == 3
    assert "is a folder of this machine, which prod's workers do not" in capsys.readouterr().err
    way.traveller().journal.append(Placed(way.place))
    [(task,)] = query(place.url, "SELECT min(id::text) FROM task_instance WHERE state = 'success'")
    query(place.url, f"UPDATE task_instance SET state = 'queued' WHERE id = '{task}'")
    assert run(["down", "prod", "--drain-minutes", "0"]) == 98
    assert "waited 0 s, and its tasks were at work" in capsys.readouterr().err
    query(place.url, f"UPDATE task_instance SET state = 'success' WHERE id = '{task}'")
    assert run(["down", "prod"]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.startswith("prod is asleep as prod/")
    assert not mwaa.made
