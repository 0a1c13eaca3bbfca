"""Kept secrets into an Airflow with another Fernet key: each opens there, or is named before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import airkeep
from airkeep.cli.main import cli
from airkeep.database.server import Cluster
from airkeep.errors import DecryptError, MissingKeyError
from compare import data_of
from rekeyed import (
    ARCHIVE_KEY,
    CLEAR,
    DUMPS,
    HIDDEN,
    LOST_KEY,
    NEW_KEY,
    ciphertexts,
    odd_rows,
    opened,
    read_secrets,
)
from servers import FERNET_KEY, Databases, psql


def source_of(name: str, server: Cluster, databases: Databases) -> str:
    url = databases.airflow(name)
    psql(server, url, *odd_rows(name))
    return url


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(cli, arguments, env={"AIRKEEP_ENVIRONMENT": "prod", **variables})


@pytest.mark.parametrize("name", DUMPS)
def test_kept_secrets_open_with_the_targets_key_alone(
    name: str, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target, lake = source_of(name, server, databases), databases.empty(), str(tmp_path)
    airkeep.export(source, lake, environment="prod", allow_plain=True)
    result = airkeep.restore(
        lake, "latest", target, create_schema=True, in_flight="keep", missed_runs="make",
        fernet_key=NEW_KEY, source_fernet_key=f"{LOST_KEY},{FERNET_KEY}",
    )  # fmt: skip
    assert opened(read_secrets(target), NEW_KEY) == opened(read_secrets(source), FERNET_KEY)
    assert ciphertexts(target) == ciphertexts(source)
    assert result.notes == ()
    held = {"connection", "variable", "trigger", "connection_test_request"}
    before, after = data_of(source), data_of(target)
    assert {t: rows for t, rows in after.items() if t not in held} == {
        t: rows for t, rows in before.items() if t not in held
    }
    assert airkeep.compare(lake, "latest", target, fernet_key=f"{NEW_KEY},{FERNET_KEY}").equal


def test_an_increment_comes_back_under_the_targets_key(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target, lake = databases.airflow("airflow-332"), databases.empty(), str(tmp_path)
    airkeep.export(source, lake, environment="prod", allow_plain=True)
    psql(server, source, *odd_rows("airflow-332"), "DELETE FROM variable WHERE key = 'void'")
    tip = airkeep.export(source, lake, environment="prod", allow_plain=True, increment=True)
    assert tip.manifest.mode == "increment"
    airkeep.restore(
        lake, "latest", target, create_schema=True,
        fernet_key=NEW_KEY, source_fernet_key=FERNET_KEY,
    )  # fmt: skip
    assert opened(read_secrets(target), NEW_KEY) == opened(read_secrets(source), FERNET_KEY)


@pytest.mark.parametrize("dry_run", [True, False], ids=["a dry run", "a restore"])
def test_every_value_that_the_sources_key_does_not_open_is_named_before_a_row_goes_in(
    dry_run: bool, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source = source_of("airflow-332", server, databases)
    target, lake = databases.empty(), str(tmp_path)
    airkeep.export(source, lake, environment="prod", allow_plain=True)
    with pytest.raises(DecryptError, match="AIRKEEP_SOURCE_FERNET_KEY") as met:
        airkeep.restore(
            lake, "latest", target, create_schema=True, dry_run=dry_run,
            fernet_key=NEW_KEY, source_fernet_key=LOST_KEY,
        )  # fmt: skip
    assert set(met.value.names) == ciphertexts(source)
    assert len(met.value.names) > 3
    assert data_of(target) == {}

    command = ("restore", lake, "latest", target, "--create-schema")
    told = run(
        *command, *(["--dry-run"] if dry_run else []),
        AIRKEEP_FERNET_KEY=NEW_KEY, AIRKEEP_SOURCE_FERNET_KEY=LOST_KEY,
    )  # fmt: skip
    assert isinstance(told.exception, DecryptError)
    assert told.exception.exit_status == 62
    said = told.output + str(told.exception)
    assert all(name in said for name in met.value.names)
    assert not any(text in said for text in (*HIDDEN, *CLEAR, LOST_KEY, NEW_KEY, FERNET_KEY))


def test_without_the_sources_key_values_stay_and_the_target_that_cannot_read_them_is_told(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, lake = source_of("airflow-332", server, databases), str(tmp_path)
    airkeep.export(source, lake, environment="prod", allow_plain=True)
    count = len(ciphertexts(source))
    for key, is_told in ((None, False), (FERNET_KEY, False), (NEW_KEY, True)):
        target = databases.empty()
        for dry_run in (True, False):
            result = airkeep.restore(
                lake,
                "latest",
                target,
                create_schema=True,
                dry_run=dry_run,
                fernet_key=key,
                in_flight="keep",
                missed_runs="make",
            )
            assert len(result.notes) == is_told
            if is_told:
                [note] = result.notes
                assert f"{count} values do not open with the target's key" in note
                assert "AIRKEEP_SOURCE_FERNET_KEY" in note
        assert read_secrets(target) == read_secrets(source)


def test_the_sources_key_without_the_targets_is_refused(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target, lake = databases.airflow("airflow-332"), databases.empty(), str(tmp_path)
    airkeep.export(source, lake, environment="prod", allow_plain=True)
    with pytest.raises(MissingKeyError, match="target's Airflow: set its key, AIRKEEP_FERNET_KEY"):
        airkeep.restore(
            lake, "latest", target, create_schema=True, dry_run=True, source_fernet_key=FERNET_KEY
        )
    assert data_of(target) == {}


def test_a_dry_run_tries_sealed_secrets_too(databases: Databases, tmp_path: Path) -> None:
    source, lake = databases.airflow("airflow-332"), str(tmp_path)
    airkeep.export(
        source, lake, environment="prod", secrets="seal",
        fernet_key=FERNET_KEY, archive_key=ARCHIVE_KEY,
    )  # fmt: skip
    target = databases.empty()
    keys = ({"archive_key": LOST_KEY, "fernet_key": NEW_KEY}, {"archive_key": ARCHIVE_KEY})
    for given, error in zip(keys, (DecryptError, MissingKeyError), strict=True):
        with pytest.raises(error):
            airkeep.restore(lake, "latest", target, create_schema=True, dry_run=True, **given)  # type: ignore[arg-type]
    airkeep.restore(
        lake, "latest", target, create_schema=True, dry_run=True,
        fernet_key=NEW_KEY, archive_key=ARCHIVE_KEY,
    )  # fmt: skip
    assert data_of(target) == {}


def test_the_keys_come_from_the_environment_and_json_tells_the_notes(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, lake = source_of("airflow-2112", server, databases), str(tmp_path)
    airkeep.export(source, lake, environment="prod", allow_plain=True)
    first, second = databases.empty(), databases.empty()
    done = run(
        "restore", lake, "latest", first, "--create-schema",
        AIRKEEP_FERNET_KEY=NEW_KEY, AIRKEEP_SOURCE_FERNET_KEY=FERNET_KEY,
    )  # fmt: skip
    assert done.exception is None
    assert opened(read_secrets(first), NEW_KEY) == opened(read_secrets(source), FERNET_KEY)
    told = run(
        "restore", lake, "latest", second, "--create-schema", "--json", AIRKEEP_FERNET_KEY=NEW_KEY
    )
    assert "do not open" in json.loads(told.stdout)["notes"][0]
