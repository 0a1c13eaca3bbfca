"""A folder of this machine: killed processes, full disks, missing rights."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airkeep.errors import (
    AlreadySavedError,
    DiskFullError,
    NotFoundError,
    StoreAccessError,
    StoreError,
)
from airkeep.store import UPLOADS, open_store

NOBODY = 65534


def test_opening_makes_no_folder_and_saving_does(tmp_path: Path) -> None:
    lake = tmp_path / "not" / "there"
    store = open_store(str(lake))
    assert list(store.list()) == []
    assert not lake.exists()
    store.save("a", b"a")
    assert (lake / "a").read_bytes() == b"a"


def test_a_file_url_is_the_folder_it_names(tmp_path: Path) -> None:
    store = open_store(f"{tmp_path.as_uri()}/a%20lake")
    store.save("a", b"a")
    assert (tmp_path / "a lake" / "a").exists()


def test_a_relative_folder_stays_the_same_when_the_process_moves(tmp_path: Path) -> None:
    code = (
        "import os; from airkeep.store import open_store;"
        "s = open_store('./lake'); s.save('a', b''); os.chdir('/'); s.save('b', b'')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert sorted(e.path for e in open_store(str(tmp_path / "lake")).list()) == ["a", "b"]


def test_a_process_killed_in_mid_save_leaves_garbage_and_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "source")
    code = (
        "import sys, pathlib; from airkeep.store import open_store;"
        "open_store(sys.argv[1]).save_file('t/big', pathlib.Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lake"), str(tmp_path / "source")]
    )
    store = open_store(str(tmp_path / "lake"))
    with (tmp_path / "source").open("wb") as source:
        source.write(bytes(3 << 20))
        source.flush()  # taken, all but a pipe's worth; the saver waits for more
        process.send_signal(signal.SIGKILL)
        process.wait()

    [garbage] = store.list()
    assert garbage.path.startswith(UPLOADS)
    with pytest.raises(NotFoundError):
        store.head("t/big")
    store.save("t/big", b"whole")


def test_an_interrupted_save_leaves_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "source")
    code = (
        "import sys, pathlib; from airkeep.store import open_store;"
        "open_store(sys.argv[1]).save_file('t/big', pathlib.Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lake"), str(tmp_path / "source")],
        stderr=subprocess.PIPE,
    )
    with (tmp_path / "source").open("wb") as source:
        source.write(bytes(3 << 20))
        source.flush()
        process.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in process.communicate(timeout=20)[1]
    assert list(open_store(str(tmp_path / "lake")).list()) == []


def small_disks() -> list[str]:
    """How a full disk can be had here: a limit always, a small file system where allowed."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
            capture_output=True,
            check=False,
        )
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
    return ["a limit", "a file system"] if mounted.returncode == 0 else ["a limit"]


@contextmanager
def small_disk(kind: str, folder: Path) -> Iterator[None]:
    """No more than 256 KiB in the folder (or in any file of this process)."""
    folder.mkdir()
    if kind == "a limit":
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("kind", small_disks())
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(1 << 20))
    whole = open_store(str(tmp_path / "whole"))
    whole.save_file("big", big)
    small = tmp_path / "small"
    with small_disk(kind, small):
        store = open_store(str(small))
        deeds: list[Callable[[], None]] = [
            lambda: store.save("t/a", big.read_bytes()),
            lambda: store.save_file("t/a", big),
            lambda: whole.load_file("big", small / "new"),
        ]
        for deed in deeds:
            with pytest.raises(DiskFullError, match="free some space"):
                deed()
            assert list(store.list()) == []
        store.save("t/a", b"little")
        assert store.load("t/a") == b"little"


def test_a_lake_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file")
    store = open_store(str(tmp_path / "lake"))
    deeds: list[Callable[[], object]] = [
        lambda: store.save("a", b"a"),
        lambda: store.load("a"),
        lambda: store.head("a"),
        lambda: list(store.list()),
        store.folders,
    ]
    for deed in deeds:
        with pytest.raises(StoreAccessError, match=r"lake.* expected a folder"):
            deed()
    assert (tmp_path / "lake").read_text() == "a file"


def test_a_path_below_a_file_is_told(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.save("a", b"a")
    with pytest.raises(StoreAccessError, match="expected a folder"):
        store.save("a/b", b"b")
    assert [e.path for e in store.list()] == ["a"]


def test_a_user_without_rights_is_told(tmp_path: Path) -> None:
    code = """
import sys
from airkeep.errors import StoreAccessError, NotFoundError
from airkeep.store import open_store
read_only, closed = map(open_store, sys.argv[1:])
assert read_only.load("a") == b"a"
assert [e.path for e in read_only.list()] == ["a"]
read_only.delete(["no-such"])
for deed in (
    lambda: read_only.save("b", b"b"),
    lambda: read_only.delete(["a"]),
    lambda: closed.load("a"),
    lambda: closed.head("a"),
    lambda: list(closed.list()),
    lambda: closed.save("b", b"b"),
):
    try:
        deed()
    except StoreAccessError as error:
        assert "Permission denied" in str(error), error
        print("told")
"""
    with folder_for_everyone() as top:
        for name, mode in (("read-only", 0o755), ("closed", 0o700)):
            store = open_store(str(top / name))
            store.save("a", b"a")
            (top / name).chmod(mode)
        command = [sys.executable, "-c", code, str(top / "read-only"), str(top / "closed")]
        done = run_as_nobody(command)
    assert done.stdout == "told\n" * 6, done.stderr


@contextmanager
def folder_for_everyone() -> Iterator[Path]:
    """A folder that another user can reach; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def run_as_nobody(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run as a user without rights; as ourselves when we are none with rights to drop.

    The interpreter and the packages may lie where only root can look (/root), so they are
    imported before the rights are dropped.
    """
    if os.geteuid() != 0:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    python, _, code, *arguments = command
    drop = f"import os; import airkeep.store; os.setuid({NOBODY}); exec({code!r})"
    wrapped = [python, "-c", drop, *arguments]
    return subprocess.run(wrapped, capture_output=True, text=True, check=False)


def test_a_symbolic_link_is_the_lake_and_a_link_inside_runs_in_no_circle(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "lake").symlink_to("real")
    store = open_store(str(tmp_path / "lake"))
    store.save("a/b", b"b")
    (tmp_path / "real" / "a" / "up").symlink_to("..")
    (tmp_path / "real" / "a" / "c").symlink_to("b")
    (tmp_path / "real" / "a" / "broken").symlink_to("nowhere")
    assert sorted(e.path for e in store.list()) == ["a/b", "a/c"]
    assert store.load("a/c") == b"b"


def test_a_name_that_is_no_text_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).write_bytes(b"latin-1")
    store = open_store(str(tmp_path))
    store.save("a", b"a")
    assert [e.path for e in store.list()] == ["a"]


def test_a_name_that_the_file_system_does_not_take_is_told(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "lake"))
    with pytest.raises(StoreError, match="File name too long"):
        store.save("x" * 300, b"")
    assert list(store.list()) == []


def test_a_folder_on_another_file_system_is_told(tmp_path: Path) -> None:
    if not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        return  # there is no other one here
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        (tmp_path / "tables").symlink_to(other)
        store = open_store(str(tmp_path))
        with pytest.raises(StoreAccessError, match="hard links"):
            store.save("tables/a", b"a")
        assert list(store.list()) == []


def test_a_save_beside_a_listing_is_whole_or_absent(tmp_path: Path) -> None:
    store, stop = open_store(str(tmp_path)), threading.Event()
    data = bytes(300_000)
    seen: set[int] = set()

    def look() -> None:
        while not stop.is_set():
            seen.update(e.bytes for e in store.list("t/"))

    watcher = threading.Thread(target=look)
    watcher.start()
    for number in range(100):
        store.save(f"t/{number}", data)
    stop.set()
    watcher.join()
    assert seen <= {len(data)}


def test_cleaning_uploads_beside_savers_hurts_no_one(tmp_path: Path) -> None:
    store, stop = open_store(str(tmp_path)), threading.Event()

    def clean() -> None:
        garbage = tmp_path / UPLOADS / "old"
        while not stop.is_set():
            garbage.parent.mkdir(exist_ok=True)
            garbage.touch()
            store.delete([f"{UPLOADS}old"])

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    for number in range(200):
        store.save(f"t/{number}", b"")
    stop.set()
    cleaner.join()
    assert len(list(store.list("t/"))) == 200


def test_of_many_processes_one_saves(tmp_path: Path) -> None:
    code = (
        "import sys; from airkeep.store import open_store; sys.stdin.read();"
        "open_store(sys.argv[1]).save('a', sys.argv[2].encode())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "lake"), str(number)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(6)
    ]
    said = [process.communicate(timeout=60)[1].decode() for process in started]
    [winner] = [n for n, process in enumerate(started) if process.returncode == 0]
    assert sum(AlreadySavedError.__name__ in text for text in said) == 5
    assert open_store(str(tmp_path / "lake")).load("a") == str(winner).encode()


def test_a_deleted_snapshot_leaves_no_empty_folders_on_the_disk(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "lake"))
    store.save("a/b/c", b"")
    store.save("a/d", b"")
    store.delete(["a/b/c"])
    assert sorted(p.name for p in (tmp_path / "lake" / "a").iterdir()) == ["d"]
    store.delete(["a/d"])
    assert not (tmp_path / "lake" / "a").exists()
    assert (tmp_path / "lake").is_dir()
