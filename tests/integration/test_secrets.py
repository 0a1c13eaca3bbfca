"""Secrets on their whole way: a real Airflow's ciphertext out, treated, and back under another key.

Airflow's own way to read them is the oracle: Fernet with the environment's key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import airkeep
from airkeep.database.server import Cluster
from airkeep.errors import DecryptError, MissingKeyError, PlainSecretError
from airkeep.tables.secrets import SECRETS, looks_like_fernet
from compare import AS_IT_WAS, data_of
from servers import FERNET_KEY, Databases, psql, query

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

FAB = "migrated-2112-to-332-fab"
DUMPS = ("airflow-263", "airflow-2112", "airflow-306", "airflow-332", FAB)
OTHER_KEY = "zXcTFEUnQO0vJ8aTTbzSHb1QtgqdfQxU1cn1HfKPlKY="
ARCHIVE_KEY = "6ZHkX1YQz1fVVW7j9fZpD6nS7mT9k0eM6Vv3oRrO5nM="
# One row each that real life brings: flags that differ, empty, NULL, a token without its flag, a
# flag without a token.
ODD = """
INSERT INTO connection (conn_id, conn_type, password, extra, is_encrypted, is_extra_encrypted)
VALUES ('mixed', 'http', '{token}', '{{"plain": "extra-in-the-clear"}}', true, false),
       ('empty', 'http', '', '', true, true),
       ('null', 'http', NULL, NULL, false, false),
       ('unflagged', 'http', '{token}', NULL, false, false),
       ('misflagged', 'http', 'password-behind-a-wrong-flag', NULL, true, false);
INSERT INTO variable (key, val, is_encrypted) VALUES
  ('clear', 'variable-in-the-clear', false), ('void', '', false);
"""
CLEAR = ("extra-in-the-clear", "password-behind-a-wrong-flag", "variable-in-the-clear")


def fernet(key: str) -> Fernet:
    from cryptography.fernet import Fernet

    return Fernet(key)


def values(url: str) -> dict[str, str | None]:
    """Every secret of the database, by table, column and name, with its flag."""
    found: dict[str, str | None] = {}
    columns = set(
        query(
            url,
            "SELECT table_name::text, column_name::text FROM information_schema.columns "
            "WHERE table_schema = 'public'",
        )
    )
    for secret in SECRETS:
        if (secret.table, secret.column) not in columns:
            continue
        flag = f'"{secret.flag}"' if (secret.table, secret.flag) in columns else "NULL"
        rows = query(
            url,
            f'SELECT "{secret.named_by}"::text, {flag}::boolean, '
            f'"{secret.column}"::text FROM "{secret.table}"',
        )
        for name, is_encrypted, value in rows:
            found[f"{secret.table} {name}.{secret.column} {is_encrypted}"] = value
    return found


def opened(url: str, key: str) -> dict[str, str | None]:
    """The same, ciphertext decrypted as Airflow would."""
    lock = fernet(key)
    return {
        name: lock.decrypt(value.encode()).decode()
        if value and not name.endswith("False") and looks_like_fernet(value)
        else value
        for name, value in values(url).items()
    }


def odd(server: Cluster, databases: Databases) -> str:
    """Airflow 3.3 with FAB, and rows that real life brings."""
    url = databases.airflow(FAB)
    token = fernet(FERNET_KEY).encrypt(b"the-password-itself").decode()
    psql(server, url, ODD.format(token=token))
    return url


def lake_texts(lake: Path) -> Iterator[str]:
    """Every file of a lake as it is, and every Parquet file's rows as text."""
    import duckdb

    for path in lake.rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            with duckdb.connect() as db:
                rows = db.execute(
                    "SELECT COLUMNS(*)::VARCHAR FROM read_parquet($1, hive_partitioning = false)",
                    [str(path)],
                ).fetchall()
            yield repr(rows)


def assert_not_in_lake(lake: Path, secrets: set[str]) -> None:
    for text in lake_texts(lake):
        for secret in secrets:
            assert secret not in text, "a secret lies in the lake"


def secret_texts(url: str) -> set[str]:
    """Every secret as it stands in the database and, where it is encrypted, what it hides.

    Left out are short ones ("{}", "admin"), which may stand anywhere by chance, and those that a
    DAG file or a log holds in the clear as well (`UNHANDLED`).
    """
    both = {*values(url).values(), *opened(url, FERNET_KEY).values()}
    held = {s.table for s in SECRETS}
    elsewhere = "".join("".join(rows) for table, rows in data_of(url).items() if table not in held)
    found = {text for text in both if text and len(text) > 7}
    told = {text for text in found if text not in elsewhere}
    assert len(told) > len(found) / 2
    return told


# keep


@pytest.mark.parametrize("name", DUMPS)
def test_kept_secrets_are_the_same_bytes(name: str, databases: Databases, tmp_path: Path) -> None:
    source, target, lake = databases.airflow(name), databases.empty(), str(tmp_path / "lake")
    airkeep.export(source, lake, environment="prod")
    airkeep.restore(lake, "latest", target, create_schema=True, **AS_IT_WAS)
    assert values(target) == values(source)
    assert any(value and looks_like_fernet(value) for value in values(source).values())


def test_plain_text_where_airflow_encrypts_is_named_and_refused(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, lake = odd(server, databases), tmp_path / "lake"
    with pytest.raises(PlainSecretError) as met:
        airkeep.export(source, str(lake), environment="prod")

    assert sorted(met.value.names) == [
        "connection misflagged.password",
        "connection mixed.extra",
        "connection unflagged.password",
        "variable clear.val",
    ]
    assert "(4)" in str(met.value)
    assert not any(text in str(met.value) for text in CLEAR)
    assert not lake.exists()

    airkeep.export(source, str(lake), environment="prod", allow_plain=True)
    target = databases.empty()
    airkeep.restore(str(lake), "latest", target, create_schema=True, **AS_IT_WAS)
    assert data_of(target) == data_of(source)


# seal


@pytest.mark.parametrize("name", DUMPS)
def test_sealed_secrets_come_back_under_another_key(
    name: str, databases: Databases, tmp_path: Path
) -> None:
    source, target, lake = databases.airflow(name), databases.empty(), tmp_path / "lake"
    snapshot = airkeep.export(
        source, str(lake), environment="prod", secrets="seal",
        fernet_key=FERNET_KEY, archive_key=ARCHIVE_KEY,
    )  # fmt: skip
    airkeep.restore(
        str(lake), "latest", target, create_schema=True,
        fernet_key=OTHER_KEY, archive_key=ARCHIVE_KEY,
        **AS_IT_WAS
    )  # fmt: skip

    assert snapshot.manifest.complete
    assert opened(target, OTHER_KEY) == opened(source, FERNET_KEY)
    assert_not_in_lake(lake, secret_texts(source) | {FERNET_KEY, OTHER_KEY, ARCHIVE_KEY})


def test_sealing_leaves_nothing_in_the_lake_that_the_archive_key_does_not_open(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    import duckdb

    source, target, lake = odd(server, databases), databases.empty(), tmp_path / "lake"
    snapshot = airkeep.export(
        source, str(lake), environment="prod", secrets="seal",
        fernet_key=f"{OTHER_KEY},{FERNET_KEY}", archive_key=ARCHIVE_KEY,
    )  # fmt: skip

    assert_not_in_lake(lake, secret_texts(source) | {*CLEAR, "the-password-itself"})
    lock, seen = fernet(ARCHIVE_KEY), 0
    for table in snapshot.tables:
        held = [s for s in SECRETS if s.table == table.label]
        for file in table.files:
            for secret in (s for s in held if s.column in {c.name for c in table.columns}):
                with duckdb.connect() as db:
                    found = db.execute(
                        f'SELECT "{secret.column}" FROM read_parquet($1, hive_partitioning=false)',
                        [str(lake / file.path)],
                    ).fetchall()
                for (value,) in found:
                    if value:
                        text = value.decode() if isinstance(value, bytes) else value
                        assert text.startswith(("airkeep:1:c:", "airkeep:1:p:"))
                        assert lock.decrypt(text.split(":", 3)[3].encode())
                        seen += 1
    assert seen > 10

    airkeep.restore(
        str(lake), "latest", target, create_schema=True,
        fernet_key=OTHER_KEY, archive_key=f"{OTHER_KEY},{ARCHIVE_KEY}",
        **AS_IT_WAS
    )  # fmt: skip
    assert opened(target, OTHER_KEY) == opened(source, FERNET_KEY)


def test_the_wrong_archive_key_opens_nothing_and_names_all(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target, lake = odd(server, databases), databases.empty(), str(tmp_path / "lake")
    airkeep.export(
        source, lake, environment="prod", secrets="seal",
        fernet_key=FERNET_KEY, archive_key=ARCHIVE_KEY,
    )  # fmt: skip

    with pytest.raises(DecryptError) as met:
        airkeep.restore(
            lake, "latest", target, create_schema=True,
            fernet_key=FERNET_KEY, archive_key=OTHER_KEY,
            **AS_IT_WAS
        )  # fmt: skip
    assert {"connection mixed.password", "connection mixed.extra", "variable clear.val"} <= set(
        met.value.names
    )
    assert "AIRKEEP_ARCHIVE_KEY" in str(met.value)
    assert not any(text in str(met.value) for text in secret_texts(source))
    assert data_of(target) == {}


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ({"fernet_key": FERNET_KEY}, "AIRKEEP_ARCHIVE_KEY"),
        ({"archive_key": ARCHIVE_KEY}, "AIRKEEP_FERNET_KEY"),
    ],
)
def test_a_missing_key_is_named_on_both_ways(
    keys: dict[str, str], missing: str, databases: Databases, tmp_path: Path
) -> None:
    source, target, lake = databases.airflow(FAB), databases.empty(), str(tmp_path / "lake")
    with pytest.raises(MissingKeyError, match=missing):
        airkeep.export(source, lake, environment="prod", secrets="seal", **keys)  # type: ignore[arg-type]
    assert airkeep.Lake(lake).names() == []

    airkeep.export(
        source, lake, environment="prod", secrets="seal",
        fernet_key=FERNET_KEY, archive_key=ARCHIVE_KEY,
    )  # fmt: skip
    with pytest.raises(MissingKeyError, match=missing):
        airkeep.restore(lake, "latest", target, create_schema=True, **keys, **AS_IT_WAS)  # type: ignore[arg-type]
    assert data_of(target) == {}


@pytest.mark.parametrize("mode", ["seal", "plain"])
def test_values_that_do_not_open_are_named_and_nothing_is_made(
    mode: str, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, lake = databases.airflow("airflow-332"), str(tmp_path / "lake")
    lost = fernet(OTHER_KEY).encrypt(b"under-a-lost-key").decode()
    psql(
        server,
        source,
        f"INSERT INTO variable (key, val, is_encrypted) VALUES ('lost', '{lost}', true)",
    )
    with pytest.raises(DecryptError) as met:
        airkeep.export(
            source, lake, environment="prod", secrets=mode,  # type: ignore[arg-type]
            fernet_key=FERNET_KEY, archive_key=ARCHIVE_KEY,
        )  # fmt: skip
    assert met.value.names == ("variable lost.val",)
    assert lost not in str(met.value)
    assert airkeep.Lake(lake).names() == []


# drop


def test_dropped_secrets_are_null_or_empty_and_the_snapshot_is_not_complete(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target, lake = odd(server, databases), databases.empty(), tmp_path / "lake"
    snapshot = airkeep.export(source, str(lake), environment="prod", secrets="drop")
    airkeep.restore(str(lake), snapshot, target, create_schema=True, **AS_IT_WAS)

    assert not snapshot.manifest.complete
    assert not any(v for v in values(target).values() if v != "{}")  # trigger.kwargs: NOT NULL JSON
    assert_not_in_lake(lake, secret_texts(source) | set(CLEAR))
    kept = {t for t in data_of(source) if t not in {"session", "edge_job"}}
    before, after = data_of(source), data_of(target)
    assert {t: len(before[t]) for t in kept} == {t: len(after[t]) for t in kept}


# plain


def test_plain_secrets_are_readable_and_come_back_encrypted_for_the_target(
    server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target, lake = odd(server, databases), databases.empty(), tmp_path / "lake"
    snapshot = airkeep.export(
        source, str(lake), environment="prod", secrets="plain", fernet_key=FERNET_KEY
    )
    airkeep.restore(
        str(lake), "latest", target, create_schema=True, fernet_key=OTHER_KEY, **AS_IT_WAS
    )

    assert snapshot.manifest.complete
    assert any("the-password-itself" in text for text in lake_texts(lake))
    assert opened(target, OTHER_KEY) == opened(source, FERNET_KEY)
    passwords = {n: v for n, v in values(target).items() if n.startswith("connection mixed.pass")}
    [value] = passwords.values()
    assert value is not None
    assert fernet(OTHER_KEY).decrypt(value.encode()) == b"the-password-itself"


# increments


@pytest.mark.parametrize("mode", ["seal", "plain"])
def test_an_increment_treats_its_secrets_as_its_parent_did(
    mode: str, server: Cluster, databases: Databases, tmp_path: Path
) -> None:
    source, target, lake = odd(server, databases), databases.empty(), tmp_path / "lake"

    def export(*, increment: bool) -> airkeep.Snapshot:
        return airkeep.export(
            source, str(lake), environment="prod", secrets=mode, increment=increment,  # type: ignore[arg-type]
            fernet_key=FERNET_KEY, archive_key=ARCHIVE_KEY,
        )  # fmt: skip

    export(increment=False)
    token = fernet(FERNET_KEY).encrypt(b"a-newer-password").decode()
    psql(server, source, f"UPDATE connection SET password = '{token}' WHERE conn_id = 'mixed'; "
                         f"DELETE FROM variable WHERE key = 'clear'")  # fmt: skip
    tip = export(increment=True)
    airkeep.restore(
        str(lake), tip, target, create_schema=True,
        fernet_key=OTHER_KEY, archive_key=ARCHIVE_KEY,
        **AS_IT_WAS
    )  # fmt: skip

    assert tip.manifest.mode == "increment"
    assert opened(target, OTHER_KEY) == opened(source, FERNET_KEY)
    assert "a-newer-password" in set(opened(target, OTHER_KEY).values())


def test_another_mode_or_a_dropped_parent_makes_a_full_snapshot(
    databases: Databases, tmp_path: Path
) -> None:
    source, lake = databases.airflow("airflow-332"), str(tmp_path / "lake")
    airkeep.export(source, lake, environment="prod")
    sealed = airkeep.export(
        source, lake, environment="prod", secrets="seal", increment=True,
        fernet_key=FERNET_KEY, archive_key=ARCHIVE_KEY,
    )  # fmt: skip
    again = airkeep.export(
        source, lake, environment="prod", secrets="seal", increment=True,
        fernet_key=FERNET_KEY, archive_key=OTHER_KEY,
    )  # fmt: skip
    dropped = airkeep.export(source, lake, environment="prod", secrets="drop", increment=True)
    after = airkeep.export(source, lake, environment="prod", increment=True)

    assert [s.manifest.mode for s in (sealed, again, dropped, after)] == ["full"] * 4
    assert sealed.manifest.full_because == "the parent has --secrets keep"
    assert again.manifest.full_because == "the archive key changed"
    assert not dropped.manifest.complete
    assert after.manifest.full_because == "the parent has --secrets seal"


@given(st.text(max_size=40))
def test_no_short_text_is_taken_for_ciphertext(text: str) -> None:
    assert not looks_like_fernet(text)
