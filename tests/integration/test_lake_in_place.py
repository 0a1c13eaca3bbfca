"""A lake's files are read where they lie: in a bucket, in memory, in a folder with an odd name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airkeep.errors import DamagedFileError, MissingFileError
from airkeep.export.run import export
from airkeep.lake.connect import connect
from airkeep.snapshot.lake import Lake
from airkeep.store import Store, open_store
from s3_server import S3Server
from servers import Databases, query
from written_lake import Written

ROWS = 400_000


class Counted:
    """A real store that counts the bytes that it gives."""

    def __init__(self, store: Store) -> None:
        self._store, self.bytes = store, dict[str, int]()

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def load(self, path: str) -> bytes:
        return self._count(path, self._store.load(path))

    def load_range(self, path: str, start: int, length: int) -> bytes:
        return self._count(path, self._store.load_range(path, start, length))

    def _count(self, path: str, data: bytes) -> bytes:
        self.bytes[path] = self.bytes.get(path, 0) + len(data)
        return data


def ask(store: Store, question: str, folder: Path, **options: Any) -> list[tuple[Any, ...]]:
    with connect(Lake(store), folder=folder, **options) as opened:
        return list(opened.query(question).rows())


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield open_store("memory://")
        return
    server: S3Server = request.getfixturevalue("s3_server")
    yield open_store(f"{server.new_lake_url()}/a b+%20 [x]=*", options=server.options)


@pytest.fixture
def large(store: Store) -> Written:
    """A table of a small and of a large file of eight row groups, one in each environment."""
    lake = Written(store)
    wide = pa.table({"id": range(ROWS), "v": [f"{n * 7919 % ROWS:06}" * 4 for n in range(ROWS)]})
    lake.save("large", {"mine": wide}, row_group_size=ROWS // 8)
    lake.save("small", {"mine": pa.table({"id": [1, 2], "v": ["a", "b"]})})
    return lake


def test_columns_and_row_groups_that_are_not_asked_for_are_not_read(
    large: Written, store: Store, tmp_path: Path
) -> None:
    [big] = [e for e in store.list("tables/") if "=large" in e.path]
    counted = Counted(store)
    question = (
        "SELECT environment, count(*), sum(id) FROM mine WHERE id < 10 GROUP BY ALL ORDER BY 1"
    )
    found = ask(counted, question, tmp_path)  # type: ignore[arg-type]

    assert found == [("large", 10, 45), ("small", 2, 3)]
    assert 0 < counted.bytes[big.path] < big.bytes / 5


def test_of_an_environment_that_is_not_asked_for_at_most_a_footer_is_read(
    large: Written, store: Store, tmp_path: Path
) -> None:
    counted = Counted(store)
    question = "SELECT count(v) FROM mine WHERE environment = 'small'"
    assert ask(counted, question, tmp_path) == [(2,)]  # type: ignore[arg-type]
    [read] = [
        size for path, size in counted.bytes.items() if "=large" in path and "tables/" in path
    ]
    assert read < 50_000


@pytest.mark.parametrize("environment", ["large", "small"])
def test_a_file_that_is_gone_is_named(
    large: Written, store: Store, tmp_path: Path, environment: str
) -> None:
    [path] = [e.path for e in store.list("tables/") if f"={environment}" in e.path]
    store.delete([path])
    with pytest.raises(MissingFileError, match=rf"{environment}/.*airkeep verify") as raised:
        ask(store, "SELECT sum(id) FROM mine", tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("environment", ["large", "small"])
def test_a_file_that_is_cut_off_is_named(
    large: Written, store: Store, tmp_path: Path, environment: str
) -> None:
    [entry] = [e for e in store.list("tables/") if f"={environment}" in e.path]
    data = store.load(entry.path)
    store.delete([entry.path])
    store.save(entry.path, data[: len(data) // 2])
    with pytest.raises(DamagedFileError, match=rf"{environment}/.*{entry.bytes} bytes"):
        ask(store, "SELECT sum(id) FROM mine", tmp_path)


def test_a_small_file_of_other_bytes_is_not_believed(
    large: Written, store: Store, tmp_path: Path
) -> None:
    [entry] = [e for e in store.list("tables/") if "=small" in e.path]
    data = store.load(entry.path)
    store.delete([entry.path])
    store.save(entry.path, data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
    with pytest.raises(DamagedFileError, match=r"small/.*sha256"):
        ask(store, "SELECT sum(id) FROM mine", tmp_path)


ODD_FOLDERS = [
    "[ab]",
    "a*b",
    "why?",
    "x=y",
    "environment=z",
    'it\'s "odd"',
    "a  b",
    "ünï 日本",
    "{a,b}",
]


@pytest.mark.parametrize("folder", ODD_FOLDERS)
def test_a_folder_may_have_any_name(tmp_path: Path, folder: str) -> None:
    lake = Written(open_store(str(tmp_path / folder / "lake")))
    lake.save("a.b-c_1.0", {"mine": pa.table({"id": [1, 2]}), "other%=*": pa.table({"id": [3]})})
    lake.save("A..", {"mine": pa.table({"id": [3]})})
    spool = tmp_path / folder / "spool"
    spool.mkdir()

    def rows(question: str) -> list[tuple[Any, ...]]:
        return ask(lake.store, question, spool)

    assert rows("SELECT environment, id FROM mine ORDER BY ALL") == [
        ("A..", 3), ("a.b-c_1.0", 1), ("a.b-c_1.0", 2),
    ]  # fmt: skip
    assert rows('SELECT * EXCLUDE snapshot FROM "other%=*"') == [("a.b-c_1.0", 3)]
    assert rows("SELECT count(*) FROM mine_history") == [(3,)]


@pytest.mark.parametrize("folder", ["plain", "odd[1]"])
def test_a_folders_file_that_is_gone_or_cut_off_is_named(tmp_path: Path, folder: str) -> None:
    lake = Written(open_store(str(tmp_path / folder)))
    lake.save("prod", {"mine": pa.table({"id": range(1000)})})
    [file] = (tmp_path / folder / "tables").rglob("*.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    with pytest.raises(DamagedFileError, match=f"{len(whole)} bytes"):
        ask(lake.store, "SELECT sum(id) FROM mine", tmp_path)
    file.unlink()
    with pytest.raises(MissingFileError, match="prod/"):
        ask(lake.store, "SELECT sum(id) FROM mine", tmp_path)


def test_a_bucket_answers_as_the_folder_does(
    databases: Databases, s3_server: S3Server, tmp_path: Path
) -> None:
    url = databases.airflow("airflow-332")
    bucket = Lake(s3_server.new_lake_url(), options=s3_server.options)
    export(url, bucket, environment="prod")
    query(url, "UPDATE dag_run SET state = 'failed' WHERE id % 2 = 0")
    export(url, bucket, environment="prod", increment=True)
    folder = open_store(str(tmp_path / "lake"))
    for entry in bucket.store.list():
        folder.save(entry.path, bucket.store.load(entry.path))
    for question in (
        "SELECT * FROM dag_run ORDER BY ALL",
        "SELECT * FROM task_instance_history ORDER BY ALL",
        "SELECT state, count(*), min(valid_from) FROM dag_run_history GROUP BY ALL ORDER BY ALL",
    ):
        there = ask(bucket.store, question, tmp_path)
        assert there == ask(folder, question, tmp_path)
        assert there
