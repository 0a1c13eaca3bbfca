"""An environment of MWAA sleeps and wakes: real calls, real exports and restores."""

from __future__ import annotations

from mwaa_environments import ACTIVE, RUNS, TASKS
from mwaa_journeys import Way, travel
from mwaa_server import MwaaServer
from rekeyed import opened, read_secrets
from servers import FERNET_KEY, query


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
    assert travel(way, "down").standing == "asleep"
