"""Secrets on Arrow batches, without a database: every form of value, every policy, both ways."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from airkeep.errors import ConfigError, DecryptError, MissingKeyError
from airkeep.snapshot.manifest import SecretsMode
from airkeep.snapshot.seal import PREFIX, Keyring, SecretsBack, SecretsWay, open_keyring
from airkeep.tables.secrets import secrets_of

OLD, NEW, ARCHIVE, TARGET = (Fernet.generate_key().decode() for _ in range(4))
COLUMNS = ("key", "val", "is_encrypted")
VARIABLE = secrets_of("variable", COLUMNS)

Row = tuple[str, str | None, bool | None]


def batch(*rows: Row) -> pa.RecordBatch:
    fields = [("key", pa.string()), ("val", pa.string()), ("is_encrypted", pa.bool_())]
    schema = pa.schema(fields)
    return pa.RecordBatch.from_pylist([dict(zip(COLUMNS, r, strict=True)) for r in rows], schema)


def token(text: str, key: str = OLD) -> str:
    return Fernet(key).encrypt(text.encode()).decode()


def ring(text: str, variable: str = "the environment's Fernet key") -> Keyring:
    return Keyring(text, variable=variable)


def out(
    mode: SecretsMode, *rows: Row, keys: str = f"{NEW},{OLD}"
) -> tuple[SecretsWay, pa.RecordBatch]:
    way = SecretsWay(mode, ring(keys), ring(ARCHIVE, "AIRKEEP_ARCHIVE_KEY"))
    return way, way.treat(batch(*rows), "variable", VARIABLE)


def values(treated: pa.RecordBatch) -> list[str | None]:
    found: list[str | None] = treated.column(1).to_pylist()
    return found


def test_the_first_key_encrypts_and_every_one_decrypts() -> None:
    both = ring(f" {NEW} , {OLD},")
    assert both.decrypt(token("x", OLD).encode()) == b"x"
    assert both.decrypt(token("x", NEW).encode()) == b"x"
    assert both.decrypt(token("x", TARGET).encode()) is None
    assert Fernet(NEW).decrypt(both.encrypt(b"x")) == b"x"
    assert len(set(both.fingerprints)) == 2


def test_a_keyring_shows_no_key() -> None:
    assert OLD not in repr(ring(OLD))
    assert not any(part in OLD for part in ring(OLD).fingerprints)


@pytest.mark.parametrize(
    "text",
    ["p@ss:w/rd", OLD[:-2], f"{OLD};{NEW}", "ä" * 44],
    ids=["a password", "cut off", "a semicolon", "letters that are not ASCII"],
)
def test_what_is_no_key_is_refused_unseen(text: str) -> None:
    with pytest.raises(ConfigError, match="AIRKEEP_ARCHIVE_KEY holds something") as met:
        open_keyring(text, variable="AIRKEEP_ARCHIVE_KEY")
    assert text not in str(met.value)
    assert open_keyring("", variable="x") is None


TEXTS = st.text(max_size=60).filter(lambda text: "\0" not in text)
VALUES = st.one_of(st.none(), TEXTS)


@given(st.lists(st.tuples(VALUES, st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_what_was_sealed_comes_back_as_it_was_under_the_targets_key(
    drawn: list[tuple[str | None, bool, bool]],
) -> None:
    rows = [
        (f"k{n}", token(text) if encrypted and text else text, encrypted or flag)
        for n, (text, encrypted, flag) in enumerate(drawn)
    ]
    way, sealed = out("seal", *rows)
    back = SecretsBack("seal", ring(ARCHIVE), ring(TARGET))
    found = back.treat(sealed, "variable", VARIABLE)

    for (_, before, _), middle, after, (text, encrypted, _) in zip(
        rows, values(sealed), values(found), drawn, strict=True
    ):
        assert (middle or "").startswith(PREFIX) == bool(before)
        if encrypted and text:
            assert Fernet(TARGET).decrypt((after or "").encode()).decode() == text
        else:
            assert after == before
    assert (way.failed, back.failed) == ([], [])
    assert found.column(0) == batch(*rows).column(0)
    assert found.column(2) == batch(*rows).column(2)


def test_keep_changes_nothing_and_names_what_is_plain() -> None:
    rows: list[Row] = [("a", token("x"), True), ("b", "clear", False), ("c", "clear", True),
                       ("d", "", False), ("e", None, None), ("f", token("x"), False)]  # fmt: skip
    way, kept = out("keep", *rows)
    assert kept == batch(*rows)
    assert way.plain == ["variable b.val", "variable c.val", "variable f.val"]


def test_drop_leaves_null_or_what_a_strict_column_takes() -> None:
    _, dropped = out("drop", ("a", token("x"), True), ("b", "clear", False), ("c", "", False))
    assert values(dropped) == [None, None, ""]
    strict = SecretsWay("drop").treat(batch(("a", "clear", False)), "variable", VARIABLE, ["val"])
    assert values(strict) == [""]


def test_plain_is_decrypted_and_encrypted_for_the_target_by_its_flag() -> None:
    _, plain = out("plain", ("a", token("x"), True), ("b", "clear", False))
    assert values(plain) == ["x", "clear"]
    back = SecretsBack("plain", None, ring(TARGET)).treat(plain, "variable", VARIABLE)
    first, second = values(back)
    assert Fernet(TARGET).decrypt((first or "").encode()) == b"x"
    assert second == "clear"


@pytest.mark.parametrize("mode", ["seal", "plain"])
def test_what_does_not_open_is_named_and_not_shown(mode: SecretsMode) -> None:
    lost = token("hidden", TARGET)
    way, _ = out(mode, ("fine", token("x"), True), ("lost", lost, True))
    with pytest.raises(DecryptError, match=r"^1 values .*variable lost\.val") as met:
        way.check_failures()
    assert met.value.names == ("variable lost.val",)
    assert lost not in str(met.value)


def test_what_the_archive_key_does_not_open_is_named_and_not_shown() -> None:
    _, sealed = out("seal", ("a", token("x"), True), ("b", "clear", False))
    back = SecretsBack("seal", ring(OLD, "AIRKEEP_ARCHIVE_KEY"), ring(TARGET))
    back.treat(sealed, "variable", VARIABLE)
    with pytest.raises(
        DecryptError, match=r"AIRKEEP_ARCHIVE_KEY: variable a\.val, variable b\.val"
    ):
        back.check_failures()


def test_a_missing_key_says_which_variable_holds_it() -> None:
    with pytest.raises(MissingKeyError, match="AIRKEEP_ARCHIVE_KEY"):
        SecretsWay("seal", ring(OLD)).check_keys()
    with pytest.raises(MissingKeyError, match=r"variable a\.val .*AIRFLOW__CORE__FERNET_KEY"):
        SecretsWay("plain").treat(batch(("a", token("x"), True)), "variable", VARIABLE)
    _, sealed = out("seal", ("a", token("x"), True))
    with pytest.raises(MissingKeyError, match=r"variable a\.val is sealed.*AIRKEEP_ARCHIVE_KEY"):
        SecretsBack("seal", None, ring(TARGET)).treat(sealed, "variable", VARIABLE)
    with pytest.raises(MissingKeyError, match=r"variable a\.val .*AIRKEEP_FERNET_KEY"):
        SecretsBack("seal", ring(ARCHIVE), None).treat(sealed, "variable", VARIABLE)


@pytest.mark.parametrize("mode", ["keep", "seal", "plain"])
def test_a_value_that_the_target_has_already_stays_the_bytes_that_it_is(mode: SecretsMode) -> None:
    rows: list[Row] = [("same", token("x"), True), ("other", token("y"), True)]
    _, snapshot = out(mode, *rows)
    there = {"variable same.val": token("x", TARGET), "variable other.val": token("z", TARGET)}
    back = SecretsBack(
        mode, ring(ARCHIVE), ring(TARGET), ring(OLD),
        there={name: value.encode() for name, value in there.items()},
    )  # fmt: skip
    same, other = values(back.treat(snapshot, "variable", VARIABLE))
    assert same == there["variable same.val"]
    assert other not in there.values()
    assert Fernet(TARGET).decrypt(other or "") == b"y"
