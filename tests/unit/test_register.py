"""What a lake is registered as: names, types, partitions. Pure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airkeep.aws.session import client, explained
from airkeep.errors import AwsAccessError, AwsError, AwsUnavailableError
from airkeep.lake.pieces import Piece, piece_of
from airkeep.lake.register import Registered, catalog_names, registered
from airkeep.snapshot.manifest import ColumnEntry, FileEntry, TableEntry, encode
from airkeep.snapshot.outline import decode_outline
from fake_lake import make_manifest, snapshot_name

URL = "s3://bucket/lake"


def piece(number: int, columns: dict[str, str], *, environment: str = "prod") -> Piece:
    """The table `dag` of the snapshot that is that many days old."""
    manifest = make_manifest(snapshot_name(number, environment))
    outline = decode_outline(encode(manifest), "manifest")
    [found] = (piece_of(outline, entry) for entry in outline.tables if entry.label == "dag")
    entry = replace(
        found.entry, columns=tuple(ColumnEntry(n, "any", kind) for n, kind in columns.items())
    )
    return replace(found, entry=entry)


def told(*pieces: Piece) -> Registered:
    return registered({"dag": pieces}, URL)


def files(*pieces: Piece) -> list[FileEntry]:
    return [file for one in pieces for file in one.entry.files]


def test_a_table_has_a_partition_a_snapshot_and_the_types_that_hold_all() -> None:
    old, new = (
        piece(2, {"id": "INTEGER", "a": "BLOB"}),
        piece(1, {"id": "BIGINT", "b": "TIMESTAMPTZ"}),
    )
    [table] = told(new, old).tables

    assert table.name == "dag__files"
    assert dict(table.columns) == {"id": "bigint", "a": "binary", "b": "timestamp"}
    assert table.keys == ("environment", "snapshot")
    assert table.location == f"{URL}/tables/dag/"
    assert [(p.values, p.location) for p in table.partitions] == [
        (
            ("prod", p.snapshot),
            f"{URL}/tables/dag/environment=prod/snapshot={p.snapshot}/",
        )
        for p in (old, new)
    ]


def test_types_that_no_reader_takes_for_one_another_make_a_table_of_their_own() -> None:
    as_time, as_text = piece(3, {"at": "TIMESTAMP"}), piece(2, {"at": "VARCHAR"})
    again = piece(1, {"at": "TIMESTAMPTZ"})
    found = {t.name: t for t in told(again, as_time, as_text).tables}

    assert {n: dict(t.columns) for n, t in found.items()} == {
        "dag__files": {"at": "timestamp"},
        "dag__files_2": {"at": "string"},
    }
    assert len(found["dag__files"].partitions) == 2
    # A newer snapshot renames nothing.
    assert [t.name for t in told(as_time).tables] == ["dag__files"]


def test_keys_that_are_gone_are_a_table_with_the_keys_columns() -> None:
    one = piece(1, {"dag_id": "VARCHAR", "v": "INTEGER"})
    path = one.entry.files[0].path.replace("tables/", "deleted/", 1)
    gone = replace(one, entry=replace(one.entry, deleted=(FileEntry(path, 1, 1, "x"),)))
    table = next(t for t in told(gone).tables if t.name == "dag__deleted")

    assert table.columns == (("dag_id", "string"),)
    assert table.location == f"{URL}/deleted/dag/"


def test_a_source_names_its_snapshots_by_a_range_where_that_is_exact() -> None:
    p3, p2, p1 = (piece(n, {"id": "INTEGER"}) for n in (3, 2, 1))
    other = piece(2, {"id": "INTEGER"}, environment="other")
    lake = told(p1, p2, p3, other)

    assert lake.source(files(p3, p2), ()).endswith(
        f"(environment = 'prod' AND snapshot BETWEEN '{p3.snapshot}' AND '{p2.snapshot}')) f"
    )
    assert f"IN ('{p3.snapshot}', '{p1.snapshot}')" in lake.source(files(p3, p1), ())
    both = lake.source(files(p1, other), ())
    assert f"(environment = 'prod' AND snapshot = '{p1.snapshot}')" in both
    assert f" OR (environment = 'other' AND snapshot = '{other.snapshot}')" in both


@given(st.lists(st.text(min_size=1), unique=True))
def test_every_table_has_a_name_of_its_own_that_a_catalog_takes(labels: list[str]) -> None:
    found = catalog_names(labels)
    assert set(found) == set(labels)
    assert len(set(found.values())) == len(labels)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_") for name in found.values())


def test_an_airflow_table_keeps_its_name_whatever_else_is_there() -> None:
    assert catalog_names(["a.b", "a_b", "A_b"])["a_b"] == "a_b"


def client_error(code: str, message: str) -> Exception:
    from botocore.exceptions import ClientError

    error: Exception = ClientError({"Error": {"Code": code, "Message": message}}, "Start")
    return error


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("AccessDeniedException", AwsAccessError, "may not"),
        ("ThrottlingException", AwsUnavailableError, "too busy"),
        ("InvalidRequestException", AwsError, "may not"),
    ],
)
def test_what_aws_refuses_is_told_in_its_words(code: str, kind: type[AwsError], said: str) -> None:
    with pytest.raises(kind, match=said) as raised, explained("asking"):
        raise client_error(code, "you\nmay not")
    assert "\n" not in str(raised.value)


def test_a_refused_signature_is_told_without_what_was_signed() -> None:
    with (
        pytest.raises(AwsAccessError, match="SignatureDoesNotMatch") as raised,
        explained("asking"),
    ):
        raise client_error("SignatureDoesNotMatch", "x-amz-security-token:SECRET")
    assert "SECRET" not in str(raised.value)


def test_a_region_that_is_not_set_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(AwsError, match="set AWS_REGION, or give --region"):
        client("athena")


def test_no_credentials_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with (
        pytest.raises(AwsAccessError, match=r"no AWS credentials .*export-credentials"),
        explained("asking"),
    ):
        client("athena").list_work_groups()


def test_a_table_without_a_file_is_not_registered() -> None:
    one = piece(1, {"id": "INTEGER"})
    empty: TableEntry = replace(one.entry, files=())
    assert told(replace(one, entry=empty)).tables == ()
