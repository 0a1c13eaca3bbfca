"""What `verify` says of what it found: the gravest problem once, and what to do about that one."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from airkeep.cli.main import run
from airkeep.cli.output import Output
from airkeep.cli.verify import show_comparison
from airkeep.snapshot import names
from airkeep.snapshot.compare import Comparison
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.manifest import Manifest
from fake_lake import newer_format, save_snapshot, snapshot_name

FROM_A_COPY = ". Bring the file back from a copy, or make a full export."


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def verified(lake: Lake, capsys: pytest.CaptureFixture[str], *what: str) -> tuple[int, str]:
    """The status and the one line on standard error, without what precedes the path."""
    status = run(["verify", lake.url, *what, "-q"])
    [line] = capsys.readouterr().err.splitlines()
    return status, line


def replace_file(lake: Lake, path: str, data: bytes) -> None:
    lake.store.delete([path])
    lake.store.save(path, data)


def manifest_of(manifest: Manifest) -> str:
    return names.manifest_path(manifest.environment, manifest.id)


def test_an_unreadable_manifest_is_named_once_with_its_own_advice(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    path = manifest_of(save_snapshot(lake.store, snapshot_name(0)))
    replace_file(lake, path, b"{")
    status, line = verified(lake, capsys, "prod/latest")
    assert status == 35
    assert line.startswith(f"airkeep: 1 problem in 1 of 1 snapshots: {path}: is not a manifest")
    assert line.endswith("the file was changed or cut off. Use another snapshot")
    assert line.count(path) == 1


def test_a_newer_format_wants_a_newer_airkeep_and_no_copy(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = save_snapshot(lake.store, snapshot_name(0))
    path = manifest_of(manifest)
    replace_file(lake, path, newer_format(manifest))
    assert verified(lake, capsys, "prod/latest") == (
        33,
        f"airkeep: 1 problem in 1 of 1 snapshots: {path}: has format 2, this airkeep reads up to "
        f"1: pip install --upgrade airkeep",
    )


def test_the_problem_that_gives_the_status_is_the_one_that_is_shown(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    full = save_snapshot(lake.store, snapshot_name(1))
    tip = save_snapshot(lake.store, snapshot_name(0), parent=full)
    replace_file(lake, manifest_of(full), b"{")
    schema = names.schema_path("prod", tip.id)
    replace_file(lake, schema, b"SCHEMA")
    data = tip.tables[0].files[0].path
    lake.store.delete([data])
    status, line = verified(lake, capsys, "prod/latest")
    assert status == 31
    assert line.startswith(f"airkeep: 3 problems in 1 of 1 snapshots, the gravest: {schema}: has ")
    assert line.endswith(FROM_A_COPY)

    replace_file(lake, schema, b"schema")
    status, line = verified(lake, capsys, "prod/latest")
    assert (status, f"the gravest: {data}: is not in the lake{FROM_A_COPY}" in line) == (32, True)


@pytest.mark.parametrize(
    ("data", "status", "end"),
    [
        (None, 32, ": is not in the lake. Bring the file back from a copy, or export again."),
        (b"", 35, "did not write it. Use another run"),
        (gzip.compress(b'{"format": 2}', mtime=0), 33, "up to 1: pip install --upgrade airkeep"),
    ],
)
def test_a_csv_run_gets_a_next_step_too(
    data: bytes | None, status: int, end: str, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "csv/prod/2026/11/21/export_summary_143022.json.gz"
    if data is not None:
        lake.store.save(path, data)
    found, line = verified(lake, capsys, path)
    assert found == status
    assert line.startswith(f"airkeep: 1 problem: {path}: ")
    assert line.endswith(end)
    assert line.count(path) == 1


@pytest.mark.parametrize(
    ("verbosity", "more"), [(0, "t0, t1, t2, t3, t4, ... (-v lists all)"), (1, "t55, t56")]
)
def test_tables_of_the_database_alone_are_one_line(
    verbosity: int, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    many = tuple(f"t{n}" for n in range(57))
    show_comparison(
        Comparison("prod/x", equal=True, tables=(), only_here=("a",), only_there=many,
                   sequences=(), unopened=(), not_compared=0),
        Output(verbosity=verbosity),
    )  # fmt: skip
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first == "1 table is only in the snapshot: a"
    assert second.startswith("57 tables are only in the database: t0, t1, t2")
    assert second.endswith(more)
