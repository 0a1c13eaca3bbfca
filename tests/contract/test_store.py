"""What every store promises, kept by every store: memory, a folder, S3, Google, Azure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from airkeep.errors import AlreadySavedError, NotFoundError, StoreError
from airkeep.store import UPLOADS, Entry, Store
from contract.places import MULTIPART_BYTES, Place

ODD_PATHS = [
    "one",
    "tables/dag/environment=prod/snapshot=20261121T143022.123456Z/00000.parquet",
    "with space/and  two.txt",
    "ünïcode/日本語/😀.json",
    "100%/a%20b/%2F+plus&amp;#hash?query=1.txt",
    "it's ~odd~/[brackets]{braces}^|`\"<>:;,@!$*().x",
    "dots/...three/.hidden",
]

IMPOSSIBLE_PATHS = ["", "/", "/a", "a/", "a//b", ".", "a/../b", "..", "a\nb", "a\0b", "a\\b"]


def paths(store: Store, prefix: str = "") -> list[str]:
    return sorted(entry.path for entry in store.list(prefix))


def test_what_is_saved_is_loaded_byte_for_byte(store: Store) -> None:
    data = bytes(range(256)) * 1000
    store.save("a/b.bin", data)
    assert store.load("a/b.bin") == data


def test_no_bytes_at_all_are_a_file_too(store: Store, tmp_path: Path) -> None:
    store.save("empty", b"")
    assert store.load("empty") == b""
    assert store.head("empty").bytes == 0
    (tmp_path / "empty").touch()
    store.save_file("empty too", tmp_path / "empty")
    store.load_file("empty too", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""
    with pytest.raises(AlreadySavedError):
        store.save_file("empty", tmp_path / "empty")


def test_a_part_of_a_file_is_loaded_and_ends_where_the_file_does(store: Store) -> None:
    store.save("a/b c.bin", b"0123456789")
    assert store.load_range("a/b c.bin", 0, 10) == b"0123456789"
    assert store.load_range("a/b c.bin", 3, 4) == b"3456"
    assert store.load_range("a/b c.bin", 8, 100) == b"89"
    assert store.load_range("a/b c.bin", 10, 1) == b""
    assert store.load_range("a/b c.bin", 100, 1) == b""
    assert store.load_range("a/b c.bin", 3, 0) == b""
    with pytest.raises(NotFoundError):
        store.load_range("a/nothing", 0, 1)


@pytest.mark.parametrize("path", ODD_PATHS)
def test_a_path_comes_back_from_a_listing_as_it_went_in(store: Store, path: str) -> None:
    store.save(path, b"here")
    assert store.load(path) == b"here"
    assert store.head(path).path == path
    assert paths(store) == [path]
    folder = path.rpartition("/")[0]
    assert paths(store, f"{folder}/" if folder else "") == [path]
    assert store.folders() == ([path.split("/", maxsplit=1)[0]] if folder else [])
    with pytest.raises(AlreadySavedError):
        store.save(path, b"again")
    store.delete([path])
    assert paths(store) == []


@pytest.mark.parametrize(
    "path", ["", "/", "/a", "a/", "a//b", ".", "a/../b", "..", "a\nb", "a\0b", "a\\b"]
)
def test_a_path_that_cannot_be_is_refused_by_every_method(
    store: Store, tmp_path: Path, path: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    deeds: list[Callable[[], object]] = [
        lambda: store.save(path, b""),
        lambda: store.save_file(path, file),
        lambda: store.load(path),
        lambda: store.load_range(path, 0, 1),
        lambda: store.load_file(path, tmp_path / "new"),
        lambda: store.head(path),
        lambda: store.delete([path]),
    ]
    for deed in deeds:
        with pytest.raises(StoreError, match="is no path in a lake"):
            deed()
    assert not (tmp_path / "new").exists()


def test_a_folder_is_named_with_its_slash(store: Store) -> None:
    with pytest.raises(StoreError, match="slash at its end"):
        store.list("tables")
    with pytest.raises(StoreError, match="slash at its end"):
        store.folders("tables")
    with pytest.raises(StoreError, match="no path"):
        store.list("../")


def test_a_path_is_saved_once(store: Store, tmp_path: Path) -> None:
    store.save("dag/00000.parquet", b"a")
    with pytest.raises(AlreadySavedError, match=r"dag/00000\.parquet .* nothing was overwritten"):
        store.save("dag/00000.parquet", b"b")
    with pytest.raises(AlreadySavedError):
        store.save("dag/00000.parquet", b"a")
    (tmp_path / "c").write_bytes(b"c")
    with pytest.raises(AlreadySavedError):
        store.save_file("dag/00000.parquet", tmp_path / "c")
    assert store.load("dag/00000.parquet") == b"a"
    assert paths(store) == ["dag/00000.parquet"]


def test_of_twelve_savers_of_one_path_exactly_one_succeeds(place: Place) -> None:
    stores = [place.open() for _ in range(12)]
    # SeaweedFS, behind gs too, lets a loser wait for whole seconds.
    turns = 1 if place.kind in {"s3", "gs"} else 5
    for turn in range(turns):
        path, start = f"race/{turn}", threading.Barrier(12)

        def save(number: int, path: str = path, start: threading.Barrier = start) -> int | None:
            start.wait()
            try:
                stores[number].save(path, b"%d" % number)
            except AlreadySavedError:
                return None
            return number

        with ThreadPoolExecutor(12) as pool:
            [winner] = [n for n in pool.map(save, range(12)) if n is not None]
        assert stores[0].load(path) == b"%d" % winner
    assert len(paths(stores[0])) == turns


def test_of_four_savers_of_one_large_file_exactly_one_succeeds(
    racing_place: Place, tmp_path: Path
) -> None:
    start = threading.Barrier(4)

    def save(number: int) -> int | None:
        file = tmp_path / f"large-{number}"
        file.write_bytes(b"%d" % number * (MULTIPART_BYTES + 1))
        store = racing_place.open()
        start.wait()
        try:
            store.save_file("large", file)
        except AlreadySavedError:
            return None
        return number

    with ThreadPoolExecutor(4) as pool:
        [winner] = [n for n in pool.map(save, range(4)) if n is not None]
    assert racing_place.open().load("large") == b"%d" % winner * (MULTIPART_BYTES + 1)
    assert paths(racing_place.open()) == ["large"]


@pytest.mark.parametrize("size", [1, MULTIPART_BYTES, MULTIPART_BYTES + 1, 37_000_001])
def test_a_file_of_any_size_goes_and_comes_back(store: Store, tmp_path: Path, size: int) -> None:
    data = Random(size).randbytes(size)
    (tmp_path / "there").write_bytes(data)
    store.save_file("big/00000.parquet", tmp_path / "there")

    store.load_file("big/00000.parquet", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert store.head("big/00000.parquet").bytes == size
    assert paths(store) == ["big/00000.parquet"]  # nothing stays in uploads/


def test_a_large_file_does_not_replace_what_is_there(store: Store, tmp_path: Path) -> None:
    store.save("taken", b"first")
    (tmp_path / "large").write_bytes(bytes(MULTIPART_BYTES + 1))
    with pytest.raises(AlreadySavedError, match="taken"):
        store.save_file("taken", tmp_path / "large")
    assert store.load("taken") == b"first"
    assert paths(store) == ["taken"]


def test_nothing_is_at_a_path_that_was_never_saved(store: Store, tmp_path: Path) -> None:
    store.save("a/b", b"")
    for path in ("c", "a", "a/b/c", "a/c"):
        with pytest.raises(NotFoundError, match=f"^{path} is not in "):
            store.load(path)
        with pytest.raises(NotFoundError):
            store.head(path)
        with pytest.raises(NotFoundError):
            store.load_file(path, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_store_that_was_never_saved_to_is_empty(store: Store) -> None:
    assert paths(store) == []
    assert paths(store, "no/such/") == []
    assert list(store.folders()) == list(store.folders("no/such/")) == []
    store.delete(["nothing", "at/all"])


def test_a_missing_local_file_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no-such-file"):
        store.save_file("a", tmp_path / "no-such-file")
    assert paths(store) == []


def test_a_local_file_is_never_overwritten(store: Store, tmp_path: Path) -> None:
    store.save("a", b"new")
    (tmp_path / "old").write_bytes(b"old")
    with pytest.raises(StoreError, match="old exists already"):
        store.load_file("a", tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"old"


def test_a_listing_tells_size_time_and_etag(store: Store) -> None:
    # An object store's own clock, in whole seconds.
    before = datetime.now(UTC) - timedelta(seconds=2)
    store.save("a/one", b"12345")
    [entry] = store.list()
    assert (entry.path, entry.bytes) == ("a/one", 5)
    assert before <= entry.modified <= datetime.now(UTC) + timedelta(seconds=2)
    assert entry.modified.tzinfo is not None
    head = store.head("a/one")
    assert head.etag == entry.etag
    assert abs(head.modified - entry.modified) < timedelta(seconds=1)


def test_other_bytes_have_another_etag(store: Store) -> None:
    store.save("a", b"1")
    first = store.head("a")
    store.delete(["a"])
    store.save("a", b"2")
    assert isinstance(first, Entry)
    assert store.head("a").etag != first.etag


def test_a_listing_goes_all_the_way_down_one_folder_and_no_other(store: Store) -> None:
    for path in ("a/b/c/d", "a/b/e", "a/bc/f", "a/g", "h"):
        store.save(path, b"")
    assert paths(store) == ["a/b/c/d", "a/b/e", "a/bc/f", "a/g", "h"]
    assert paths(store, "a/b/") == ["a/b/c/d", "a/b/e"]
    assert paths(store, "h/") == []


def test_folders_are_those_directly_below(store: Store) -> None:
    for path in ("s/environment=b/1/x", "s/environment=a/2", "s/environment=a/3", "s/file"):
        store.save(path, b"")
    assert list(store.folders()) == ["s"]
    assert list(store.folders("s/")) == ["environment=a", "environment=b"]
    assert list(store.folders("s/environment=a/")) == []


def test_deleting_is_in_bulk_and_may_be_done_twice(store: Store) -> None:
    for number in range(30):
        store.save(f"d/{number % 3}/{number}", b"")
    gone = [f"d/{n % 3}/{n}" for n in range(29)]
    store.delete([*gone, "never/was"])
    store.delete(iter(gone))
    store.delete([])
    assert paths(store) == ["d/2/29"]
    store.delete(["d/2/29"])
    assert paths(store) == []


def test_a_folder_goes_with_its_last_file(place: Place) -> None:
    store = place.open()
    store.save("d/1/a", b"")
    store.save("d/2/b", b"")
    store.delete(["d/1/a"])
    # SeaweedFS, behind gs too, keeps folders, and removes empty ones when it has time.
    if place.kind not in {"s3", "gs"}:
        assert list(store.folders("d/")) == ["2"]
    store.delete(["d/2/b"])
    assert paths(store) == []


def test_a_deleted_path_can_be_saved_again(store: Store) -> None:
    store.save("a/b", b"1")
    store.delete(["a/b"])
    with pytest.raises(NotFoundError):
        store.load("a/b")
    store.save("a/b", b"2")
    assert store.load("a/b") == b"2"


def test_savers_and_deleters_of_one_folder_do_not_hurt_each_other(place: Place) -> None:
    def save_and_delete(number: int) -> None:
        store = place.open()
        for turn in range(20):
            path = f"deep/er/folder/{number}-{turn}"
            store.save(path, b"x")
            store.delete([path])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(save_and_delete, range(8)))
    assert paths(place.open()) == []


def test_five_thousand_small_files_are_listed_once_each(place: Place) -> None:
    # Azurite takes minutes to delete among thousands; 256 go in one request there. The gs of
    # the tests is slow, and lists a thousand at once.
    few = {"az": (600, 300), "gs": (1_250, 100)}
    count, gone = few.get(place.kind, (5_050, 2_500))
    want = [f"index/environment=prod/{n:05}.json" for n in range(count)]
    stores = [place.open() for _ in range(8)]

    def save(number: int) -> None:
        for path in want[number::8]:
            stores[number].save(path, b"{}")

    if place.kind == "folder":  # as someone who copies a lake would: syncing each takes seconds
        (Path(stores[0].url) / "index/environment=prod").mkdir(parents=True)
        for path in want:
            (Path(stores[0].url) / path).write_bytes(b"{}")
    else:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(save, range(8)))

    assert paths(stores[0], "index/") == want
    assert list(stores[0].folders("index/")) == ["environment=prod"]
    stores[0].delete(want[:gone])  # more than one request's worth
    assert paths(stores[0]) == want[gone:]


def test_the_url_is_printable_and_opens_the_same_place(place: Place) -> None:
    assert place.open().url == place.open().url
    assert "\n" not in place.open().url


def test_the_folder_of_uploads_is_one_that_a_listing_takes(store: Store) -> None:
    store.save(f"{UPLOADS}abandoned", b"half")
    assert paths(store, UPLOADS) == [f"{UPLOADS}abandoned"]
    store.delete([f"{UPLOADS}abandoned"])
