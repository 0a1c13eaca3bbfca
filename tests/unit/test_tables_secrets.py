from __future__ import annotations

import base64
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_schemas import ALL, SHARED, columns_of, needs_shared, schema
from airkeep.tables.secrets import (
    DROPPED_WHOLE,
    SECRETS,
    UNHANDLED,
    Deed,
    Holds,
    Policy,
    Secret,
    deed,
    encrypts,
    looks_like_fernet,
    secrets_of,
)

PASSWORD, EXTRA = secrets_of("connection", ["password", "extra"])
(KWARGS,) = secrets_of("trigger", ["kwargs"])


def token(text: bytes) -> str:
    from cryptography.fernet import Fernet

    return Fernet(base64.urlsafe_b64encode(os.urandom(32))).encrypt(text).decode()


@given(st.binary(max_size=200))
def test_every_fernet_token_is_recognised(text: bytes) -> None:
    assert looks_like_fernet(token(text))
    assert looks_like_fernet(token(text).encode())


@given(st.text() | st.binary())
def test_other_text_is_not(text: str | bytes) -> None:
    assert not looks_like_fernet(text)


@pytest.mark.parametrize("spoil", [lambda t: t[:-4], lambda t: t + "AAAA", lambda t: t + "\n"])
def test_a_cut_or_lengthened_token_is_not(spoil: Callable[[str], str]) -> None:
    assert looks_like_fernet(token(b"x" * 40))
    assert not looks_like_fernet(spoil(token(b"x" * 40)))


def test_the_two_flags_of_one_row_are_read_apart() -> None:
    assert PASSWORD.form_of("open sesame", flag=False) is Holds.PLAIN
    assert EXTRA.form_of(token(b"{}"), flag=True) is Holds.CIPHERTEXT
    assert (PASSWORD.flag, EXTRA.flag) == ("is_encrypted", "is_extra_encrypted")


def test_plain_text_behind_a_wrong_flag_is_plain() -> None:
    assert PASSWORD.form_of("open sesame", flag=True) is Holds.PLAIN
    assert PASSWORD.form_of(token(b"x"), flag=False) is Holds.PLAIN
    assert PASSWORD.form_of(token(b"x"), flag=None) is Holds.PLAIN


@pytest.mark.parametrize("secret", SECRETS, ids=lambda s: f"{s.table}.{s.column}")
def test_an_empty_value_hides_nothing(secret: Secret) -> None:
    assert [secret.form_of(value, flag=True) for value in (None, "", b"")] == [None] * 3


def test_a_trigger_is_read_without_a_flag_and_plain_text_there_is_no_alarm() -> None:
    assert KWARGS.form_of(token(b"{}")) is Holds.CIPHERTEXT
    assert KWARGS.form_of('{"moment": 1}') is Holds.PLAIN
    assert not encrypts(KWARGS, columns_of("3.3.2-fab")["trigger"])


def test_a_flag_column_makes_plain_text_an_alarm() -> None:
    assert encrypts(PASSWORD, ["conn_id", "password", "is_encrypted"])
    assert not encrypts(EXTRA, ["conn_id", "extra", "is_encrypted"])  # before 1.7


DEEDS: dict[Policy, dict[Holds, Deed]] = {
    "keep": dict.fromkeys(Holds, Deed.KEEP),
    "drop": dict.fromkeys(Holds, Deed.DROP),
    "seal": dict.fromkeys(Holds, Deed.SEAL) | {Holds.CIPHERTEXT: Deed.DECRYPT_AND_SEAL},
    "plain": dict.fromkeys(Holds, Deed.KEEP) | {Holds.CIPHERTEXT: Deed.DECRYPT},
}


@pytest.mark.parametrize("policy", DEEDS)
def test_a_policy_does_the_same_everywhere(policy: Policy) -> None:
    assert {form: deed(policy, form) for form in Holds} == DEEDS[policy]


@pytest.mark.parametrize("version", ALL)
def test_every_secret_can_be_named_and_dropped(version: str) -> None:
    for table, about in schema(version).items():
        for secret in secrets_of(table, about["columns"]):
            columns = about["columns"]
            assert secret.named_by in columns
            assert not secret.flag or secret.flag in columns
            if not columns[secret.column]["nullable"] and table not in DROPPED_WHOLE:
                unique = [key["columns"] for key in about["unique"]]
                assert [secret.column] not in unique, "two empty values would collide"


@pytest.mark.parametrize("version", ALL)
def test_no_column_that_sounds_secret_is_forgotten(version: str) -> None:
    words = ("password", "token", "secret", "hash", "kwargs", "encrypted")
    harmless = {
        ("dag_code", "fileloc_hash"), ("dag_code", "source_code_hash"), ("dag_run", "dag_hash"),
        ("serialized_dag", "fileloc_hash"), ("serialized_dag", "dag_hash"),
        ("dag_pickle", "pickle_hash"), ("sensor_instance", "hashcode"),
    }  # fmt: skip
    known = {(s.table, s.column) for s in SECRETS} | {(s.table, s.flag) for s in SECRETS}
    known |= {(table, column) for table, columns, _ in UNHANDLED for column in columns}
    sounding = {
        (table, column)
        for table, columns in columns_of(version).items()
        for column in columns
        if any(word in column for word in words)
    }
    assert sounding - known - harmless == set()


def test_what_is_not_handled_exists_somewhere() -> None:
    seen = {(t, c) for v in ALL for t, columns in columns_of(v).items() for c in columns}
    listed = {(table, column) for table, columns, _ in UNHANDLED for column in columns}
    missing = {entry for entry in listed - seen if entry[0] not in {"_xcom_archive"}}
    assert {table for table, _ in missing} <= {"celery_taskmeta", "deadline"}


@needs_shared
def test_a_wild_database_with_mixed_encryption_is_read_row_by_row(tmp_path: Path) -> None:
    copy = tmp_path / "airflow.db"
    copy.write_bytes((SHARED / "wild/airflow-2.9.2-mixed-encryption.db").read_bytes())
    db = sqlite3.connect(copy)
    rows = db.execute(
        "SELECT conn_id, password, is_encrypted, extra, is_extra_encrypted FROM connection"
    ).fetchall()
    db.close()
    forms = {row[0]: (PASSWORD.form_of(*row[1:3]), EXTRA.form_of(*row[3:5])) for row in rows}
    assert forms == {
        "hdfs_default": (None, Holds.CIPHERTEXT),
        "hive_default": (Holds.CIPHERTEXT, None),
        "kafka_default": (None, Holds.CIPHERTEXT),
    }
