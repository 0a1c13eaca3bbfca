"""Where the report's file is written: any disk, the user's mode, and what cannot be, said first."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import hard_links
from report_pages import made, run

MAIN = "from airkeep.cli.main import main; sys.exit(main())"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    place = tmp_path / "lake"
    place.mkdir()
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "pages"
    place.mkdir()
    return place


def test_a_disk_without_hard_links_takes_a_report_and_never_loses_a_file(
    lake: Path, folder: Path
) -> None:
    if platform.machine() not in hard_links.CALLS:
        pytest.skip(f"the numbers of system calls of {platform.machine()} are not known here")
    file = folder / "r.html"
    linked = folder / "linked"
    found = []
    for _ in range(2):
        child = f"import os, sys, hard_links; hard_links.refuse(); {MAIN}"
        found.append(_child(child, "report", "-q", lake, "-o", file))
    tried = f"import os, sys, hard_links; hard_links.refuse(); os.link({str(file)!r}, sys.argv[1])"
    refused = _child(tried, linked)

    assert "PermissionError" in refused.stderr
    assert found[0].returncode == 0, found[0].stderr
    assert "is there already" in found[1].stderr
    assert found[1].returncode == 3
    assert file.stat().st_size > 500_000
    assert [f.name for f in folder.iterdir()] == ["r.html"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_files_mode_is_what_the_umask_leaves(
    lake: Path, folder: Path, mask: int, mode: int
) -> None:
    before = os.umask(mask)
    try:
        file = made(lake, folder / "r.html")
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == mode


def test_a_place_that_takes_no_file_is_said_before_the_lake_is_opened(folder: Path) -> None:
    (folder / "link.html").symlink_to(folder / "nowhere")
    for place, said in (
        ("/proc/x.html", "/proc/x.html cannot be made: No such file or directory"),
        (folder / ("x" * 300), "cannot be made: File name too long"),
        (folder / "link.html", "link.html is there already"),
    ):
        # A lake that is not there would be the next error.
        result = run("report", "-q", "s3://no-such-bucket/lake", "-o", place)
        assert said in str(result.exception), result.exception
        assert ".airkeep-" not in str(result.exception)
    assert [f.name for f in folder.iterdir()] == ["link.html"]


def test_a_disk_that_is_full_names_the_users_file(lake: Path, folder: Path) -> None:
    limits = "import resource as r, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    small = "r.setrlimit(r.RLIMIT_FSIZE, (300_000, 300_000)); "
    child = _child(f"{limits}{small}{MAIN}", "report", "-q", lake, "-o", folder / "r.html")

    assert child.returncode != 0
    assert f"{folder}/r.html" in child.stderr
    assert list(folder.iterdir()) == []


def _child(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(hard_links.__file__).parent)},
    )  # fmt: skip
