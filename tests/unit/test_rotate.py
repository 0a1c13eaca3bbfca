"""Secrets to another key on their own: every form of value, every column of every Airflow."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from airkeep.snapshot.manifest import SecretsMode
from airkeep.snapshot.rotate import Rotation
from airkeep.snapshot.seal import PREFIX, Keyring, SecretsBack, SecretsWay
from airkeep.tables.secrets import SECRETS, Holds, Secret, looks_like_fernet

OLDER, OLD, NEW, LOST = (Fernet.generate_key().decode() for _ in range(4))
KEYS = {"old": OLD, "older": OLDER, "new": NEW, "lost": LOST}
MADE_AT = 1_600_000_000
RING = Keyring(f"{NEW},{OLD},{OLDER}", variable="the keys")
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
FORMS = st.sampled_from(["null", "empty", "plain", "old", "older", "new", "lost"])
ROWS = st.lists(st.tuples(FORMS, TEXTS.filter(bool), st.sampled_from([True, False, None])),
                min_size=1, max_size=6)  # fmt: skip


def stored(form: str, text: str) -> str | None:
    if form in ("null", "empty", "plain"):
        return {"null": None, "empty": "", "plain": text}[form]
    return Fernet(KEYS[form]).encrypt_at_time(text.encode(), MADE_AT).decode()


def is_ciphertext(value: str | None, secret: Secret, flag: bool | None) -> bool:
    return bool(value) and (bool(flag) or not secret.flag) and looks_like_fernet(value or "")


def batch_of(secret: Secret, values: list[Any], flags: list[bool | None]) -> pa.RecordBatch:
    fields = {
        secret.named_by: pa.array([f"row{n}" for n in range(len(values))]),
        secret.column: pa.array(values, pa.string()),
    }
    if secret.flag:
        fields[secret.flag] = pa.array(flags, pa.bool_())
    return pa.RecordBatch.from_pydict(fields)


HELD = [s for s in SECRETS if s.holds is Holds.CIPHERTEXT]


@pytest.mark.parametrize("secret", HELD, ids=lambda s: f"{s.table}.{s.column}")
@settings(max_examples=15)  # for each of many columns
@given(rows=ROWS)
def test_kept_values_are_opened_encrypted_and_counted_each_in_its_form(
    secret: Secret, rows: list[tuple[str, str, bool | None]]
) -> None:
    values = [stored(form, text) for form, text, _ in rows]
    flags = [flag for *_, flag in rows]
    rotation, batch = Rotation(RING), batch_of(secret, values, flags)
    treated = rotation.treat(batch, secret.table, [secret])

    found = treated.column(treated.schema.get_field_index(secret.column)).to_pylist()
    names, opens = [], Fernet(NEW)
    for n, ((form, text, flag), before, after) in enumerate(zip(rows, values, found, strict=True)):
        if not is_ciphertext(before, secret, flag) or form in ("new", "lost"):
            assert after == before
        else:
            assert after != before
            assert opens.decrypt(after).decode() == text
            assert opens.extract_timestamp(after) == MADE_AT
        if form == "lost" and is_ciphertext(before, secret, flag):
            names.append(f"{secret.table} row{n}.{secret.column}")
    assert [n for column in rotation.columns() for n in column.unreadable] == names
    filled = [v for v in values if v]
    ciphers = [
        form
        for (form, _, flag), v in zip(rows, values, strict=True)
        if is_ciphertext(v, secret, flag)
    ]
    for column in rotation.columns():
        assert column.values == len(filled)
        assert column.encrypted == len(ciphers)
        assert column.current == ciphers.count("new")
        assert column.old == ciphers.count("old") + ciphers.count("older")
        assert len(column.plain) == len(filled) - len(ciphers)
    others = [c for c in batch.schema.names if c != secret.column]
    assert treated.select(others) == batch.select(others)


@pytest.mark.parametrize("secret", SECRETS, ids=lambda s: f"{s.table}.{s.column}")
@settings(max_examples=15)  # for each of many columns
@given(rows=ROWS)
def test_sealed_values_of_every_kind_are_sealed_with_the_new_key(
    secret: Secret, rows: list[tuple[str, str, bool | None]]
) -> None:
    rows = [row for row in rows if row[0] != "lost"] or [("plain", "x", True)]
    values = [stored(form, text) for form, text, _ in rows]
    batch = batch_of(secret, values, [flag for *_, flag in rows])
    source, archive = Keyring(f"{OLD},{OLDER},{NEW}", variable="s"), Keyring(OLD, variable="a")
    sealed = SecretsWay("seal", source, archive).treat(batch, secret.table, [secret])

    rotation = Rotation(RING, "seal")
    turned = rotation.treat(sealed, secret.table, [secret])

    index = turned.schema.get_field_index(secret.column)
    for before, after in zip(
        sealed.column(index).to_pylist(), turned.column(index).to_pylist(), strict=True
    ):
        assert (after or "").startswith(PREFIX) == bool(before)
        assert (after or "")[: len(PREFIX) + 2] == (before or "")[: len(PREFIX) + 2]
    target = Keyring(LOST, variable="t")
    back = [
        SecretsBack("seal", Keyring(key, variable="a"), target).treat(one, secret.table, [secret])
        for key, one in ((OLD, sealed), (NEW, turned))
    ]
    first, second = (opened(one.column(index).to_pylist()) for one in back)
    assert first == second


def opened(values: list[str | None]) -> list[str | None]:
    key = Fernet(LOST)
    return [key.decrypt(v).decode() if v and _is_under(LOST, v) else v for v in values]


def _is_under(key: str, value: str) -> bool:
    return Keyring(key, variable="k").decrypt(value.encode()) is not None


@given(rows=ROWS)
def test_a_restore_brings_every_kept_value_to_the_targets_key_or_names_it(
    rows: list[tuple[str, str, bool | None]],
) -> None:
    [secret] = [s for s in HELD if s.table == "variable"]
    values = [stored(form, text) for form, text, _ in rows]
    batch = batch_of(secret, values, [flag for *_, flag in rows])
    back = SecretsBack(
        "keep",
        target=Keyring(NEW, variable="the target's"),
        source=Keyring(f"{OLD},{OLDER}", variable="the source's"),
    )
    treated = back.treat(batch, "variable", [secret])
    found = treated.column(treated.schema.get_field_index("val")).to_pylist()
    for (form, text, flag), before, after in zip(rows, values, found, strict=True):
        if is_ciphertext(before, secret, flag) and form != "lost":
            assert Fernet(NEW).decrypt(after).decode() == text
        else:
            assert after == before
    lost = [
        f"variable row{n}.val"
        for n, ((form, _, flag), v) in enumerate(zip(rows, values, strict=True))
        if form == "lost" and is_ciphertext(v, secret, flag)
    ]
    assert back.failed == lost


@pytest.mark.parametrize("mode", ["keep", "seal"])
def test_a_second_rotation_changes_nothing(mode: SecretsMode) -> None:
    [secret] = [s for s in HELD if s.table == "variable"]
    batch = batch_of(secret, [stored("old", "x"), "plain"], [True, False])
    if mode == "seal":
        way = SecretsWay("seal", RING, Keyring(OLD, variable="a"))
        batch = way.treat(batch, "variable", [secret])
    first = Rotation(RING, mode).treat(batch, "variable", [secret])
    again = Rotation(RING, mode)
    assert again.treat(first, "variable", [secret]) == first
    assert [c.old for c in again.columns()] == [0]
    assert first != batch
