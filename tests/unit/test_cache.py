"""What is remembered of a lake is only ever what the lake still holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airkeep.errors import NotFoundError
from airkeep.snapshot import names
from airkeep.snapshot.cache import MAX_BYTES, Cache
from airkeep.snapshot.lake import Lake
from airkeep.store.interface import Entry, Store
from airkeep.store.open import open_store
from fake_lake import commit, make_manifest, save_files, save_snapshot, snapshot_name

PATH = "index/environment=prod/a.json"


class Counted:
    """A real store that counts what is asked of it."""

    def __init__(self, store: Store, url: str = "") -> None:
        self._store, self.loads, self.lists = store, list[str](), list[str]()
        self.url = url or store.url

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def load(self, path: str) -> bytes:
        self.loads.append(path)
        return self._store.load(path)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        self.lists.append(prefix)
        return self._store.list(prefix)


@pytest.fixture
def store() -> Counted:
    return Counted(open_store("memory://"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "airkeep"


def cache(store: Counted, folder: Path) -> Cache:
    return Cache(store, folder)  # type: ignore[arg-type]


def test_300_snapshots_are_listed_warm_without_a_load(store: Counted, folder: Path) -> None:
    wanted = [snapshot_name(n) for n in range(300)]
    for name in wanted:
        save_snapshot(store, name)  # type: ignore[arg-type]
    for round_ in range(2):
        store.loads.clear()
        lake = Lake(store, load=cache(store, folder).load)  # type: ignore[arg-type]
        found = lake.snapshots()
        assert [s.id for s in found] == [n.id for n in wanted]
        assert len(store.loads) == (300 if round_ == 0 else 0)
    assert [s.id for s in lake.snapshots(newest=50)] == [n.id for n in wanted[:50]]
    assert store.lists.count("index/environment=prod/") == 5  # one a names(), one a cache


def test_a_document_that_was_replaced_is_loaded_anew(store: Counted, folder: Path) -> None:
    store._store.save(PATH, b"one")
    assert cache(store, folder).load(PATH) == b"one"
    store._store.delete([PATH])
    with pytest.raises(NotFoundError):
        cache(store, folder).load(PATH)
    store._store.save(PATH, b"two")
    assert cache(store, folder).load(PATH) == b"two"


@pytest.mark.parametrize("damage", [b"", b"no header", b"0 0\ndata", None])
def test_a_damaged_cache_is_passed_over_and_mended(
    store: Counted, folder: Path, damage: bytes | None
) -> None:
    store._store.save(PATH, b"data")
    cache(store, folder).load(PATH)
    [file] = [f for f in folder.rglob("*") if f.is_file()]
    file.write_bytes(file.read_bytes()[:-1] + b"X" if damage is None else damage)
    assert cache(store, folder).load(PATH) == b"data"
    store.loads.clear()
    assert cache(store, folder).load(PATH) == b"data"
    assert store.loads == []


def test_a_cache_that_cannot_be_written_is_done_without(store: Counted, folder: Path) -> None:
    store._store.save(PATH, b"data")
    folder.parent.mkdir()
    folder.write_bytes(b"in the way")
    assert cache(store, folder).load(PATH) == b"data"


def test_lakes_do_not_share_though_their_etags_are_the_same(folder: Path) -> None:
    stores = [Counted(open_store("memory://"), f"s3://{n}") for n in range(2)]
    for store in stores:
        store._store.save(PATH, store.url.encode())
        assert cache(store, folder).load(PATH) == store.url.encode()
    assert len({store._store.head(PATH).etag for store in stores}) == 1


def test_large_documents_are_not_kept_and_nobody_else_looks_in(
    store: Counted, folder: Path
) -> None:
    store._store.save(PATH, b"x")
    store._store.save(f"{PATH}.large", b"x" * (MAX_BYTES + 1))
    for path in (PATH, f"{PATH}.large"):
        assert cache(store, folder).load(path)
    assert len([f for f in folder.rglob("*") if f.is_file()]) == 1
    assert folder.stat().st_mode & 0o077 == 0 or next(folder.iterdir()).stat().st_mode & 0o077 == 0


def test_what_is_newer_than_the_listing_is_loaded(store: Counted, folder: Path) -> None:
    store._store.save(PATH, b"data")
    one = cache(store, folder)
    one.load(PATH)
    store._store.save("index/environment=prod/b.json", b"new")
    assert one.load("index/environment=prod/b.json") == b"new"


def test_many_threads_may_ask(store: Counted, folder: Path) -> None:
    store._store.save(PATH, b"data")
    one, got = cache(store, folder), list[bytes]()
    threads = [threading.Thread(target=lambda: got.append(one.load(PATH))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [b"data"] * 8
    assert store.lists == ["index/environment=prod/"]


# Lake.names, which believes the index only where it can.


def test_ids_are_listed_whatever_happened_to_the_index(store: Counted) -> None:
    for number in range(4):
        save_snapshot(store, snapshot_name(number))  # type: ignore[arg-type]
    first, second, third, fourth = (snapshot_name(n) for n in range(4))
    lake = Lake(store)  # type: ignore[arg-type]
    store._store.delete([names.index_path("prod", second.id)])  # it is only derived
    dead = make_manifest(snapshot_name(9))
    save_files(store, dead)  # type: ignore[arg-type]
    gone = [e.path for e in store._store.list() if third.id in e.path and "index" not in e.path]
    store._store.delete(gone)  # all but its index entry
    assert lake.names() == [first, second, fourth] == lake.committed()
    assert lake.names("prod") == lake.names()

    for number in range(300, 510):  # so many without an index that manifests are listed
        save_files(store, make_manifest(snapshot_name(number)))  # type: ignore[arg-type]
    commit(store, make_manifest(snapshot_name(300)))  # type: ignore[arg-type]
    assert lake.names() == [first, second, fourth, snapshot_name(300)]
