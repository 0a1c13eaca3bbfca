"""PostgreSQL dumps found in public, with all that real life did to them, go out and come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import airkeep
from airkeep.database.address import parse_address
from airkeep.database.server import Cluster
from compare import AS_IT_WAS, data_of, schema_of
from servers import Databases

DUMPS = {
    "airflow-2.9.2-without-log-table.sql": "2.9.2 to 2.9.3",
    "airflow-2.9.3-schema-only.sql": "unknown",
    "airflow-odd-revision.sql": "unknown",
}


@pytest.mark.parametrize("name", DUMPS)
def test_a_dump_found_in_public_comes_back_equal(
    name: str, shared: Path, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.empty(), databases.empty()
    text = (shared / "data" / "wild" / name).read_text(encoding="utf-8")
    # Their owners' roles are not here; psql goes on after those lines, as its user would.
    server.run("psql", "-q", "-v", "ON_ERROR_STOP=0", stdin=text, database=_name(source))

    lake = str(tmp_path / "lake")
    snapshot = airkeep.export(source, lake, environment="wild", allow_plain=True)
    assert snapshot.manifest.airflow_version == DUMPS[name]
    assert bool(snapshot.manifest.warnings) == (DUMPS[name] == "unknown")
    assert airkeep.verify(lake, "latest")[0].ok

    airkeep.restore(lake, "latest", target, create_schema=True, **AS_IT_WAS)
    assert data_of(target) == data_of(source)
    assert schema_of(server, target) == _without_comments(schema_of(server, source))


def _without_comments(lines: list[str]) -> list[str]:
    return [line for line in lines if not re.match(r"COMMENT ON |GRANT |REVOKE ", line)]


def _name(url: str) -> str:
    return parse_address(url).database
