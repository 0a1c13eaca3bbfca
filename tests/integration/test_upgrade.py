"""A snapshot as a newer Airflow has it, made and checked by real Airflows."""

from __future__ import annotations

from pathlib import Path

import airkeep
from airflows import Airflow
from servers import Databases


def test_a_snapshot_of_2_11_becomes_one_of_3_3_and_is_proved_to_hold_the_same(
    databases: Databases, tmp_path: Path
) -> None:
    airflow = Airflow("3.3.2")
    airflow.install()
    lake = str(tmp_path / "lake")
    source = airkeep.export(databases.airflow("airflow-2112"), lake, environment="prod")

    done = airkeep.upgrade(lake, "prod/latest", to="3.3.2", airflows=[airflow.folder])

    made = airkeep.Lake(lake)["prod-3.3.2/latest"].manifest
    assert made.complete
    assert made.airflow_version == "3.3.0 or later"
    assert made.id == source.id, "the new snapshot is of the same instant"
    upgraded = made.upgraded
    assert upgraded is not None
    assert (upgraded.id, upgraded.manifest_sha256) == (source.id, source.manifest_sha256)
    equal = {p.what: p.equal for p in upgraded.proof}
    assert (equal["runs"], equal["task instances"], equal["XComs"]) == (55, 314, 244)
    rows = {t.label: (t.before, t.after) for t in upgraded.tables}
    assert rows["serialized_dag"] == (11, 0)
    assert rows["log"] == (998, 998), "Airflow logs its own command, with this machine's name"
    assert done.snapshot is not None
    assert all(result.ok for result in airkeep.verify(lake, "prod-3.3.2/latest"))

    target = databases.empty()
    airflow.migrate(tmp_path, target.replace("postgresql://", "postgresql+psycopg2://"))
