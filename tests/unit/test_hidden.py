"""An address that was given at a wrong place is not printed with its password."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from airkeep.cli.main import run
from airkeep.hidden import hidden
from airkeep.snapshot.lake import Lake
from fake_lake import save_snapshot, snapshot_name

P = "postgresql://bob:hunter2secret@127.0.0.1:1/db"
WRONG = [
    ["report", "LAKE", "-o", "page.html", "-e", P],
    ["report", "LAKE", "-o", "page.html", "--compare", f"{P},a"],
    ["report", "LAKE", "-o", "page.html", "--since", P],
    ["report", "LAKE", "-o", P],
    ["query", "LAKE", "FROM dag", "-e", P],
    ["query", "LAKE", "FROM dag", "--as-of", P],
    ["query", "LAKE", "FROM dag", "--format", P],
    ["query", "LAKE", "FROM dag", "--engine", P],
    ["query", "LAKE", "FROM dag", "--memory", P],
    ["query", "LAKE", "FROM dag", "--spool", P],
    ["query", "LAKE", "FROM dag", "-o", P],
    ["query", "LAKE", f"select * from '{P}'"],
    *(
        ["query", "LAKE", "FROM dag", "--engine", "athena", "--execute", f"--athena-{setting}", P]
        for setting in ("database", "output", "workgroup")
    ),
    ["compact", "LAKE", "-e", P],
    ["adopt", "LAKE", "LAKE", "-e", P],
    ["adopt", "LAKE", "LAKE", "--time", P],
    ["export", "nosuch.db", "LAKE", "-e", P],
    ["export", "nosuch.db", "LAKE", "-e", "prod", "--since", P],
    ["register", "LAKE", "--glue", P],
    ["models", "LAKE", P],
    ["models", "--sql", P],
    ["models", "LAKE", "--all", "-o", P, "-e", P],
    [P],
    ["query", f"--{P}"],
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_a_password_at_a_wrong_place_is_not_said_again(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    save_snapshot(Lake(str(tmp_path / "LAKE")).store, snapshot_name(1))

    assert run(arguments) != 0

    said = capsys.readouterr()
    assert said.err.startswith("airkeep: ") or "\nairkeep: " in said.err
    assert "hunter2" not in said.out + said.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no postgresql:/me:a@b/c:d@host/db here", "no postgresql:/me:***@host/db here"),
        ("'postgresql+psycopg2://me:a%40'b@host'", "'postgresql+psycopg2://me:***@host'"),
        ("redis://:pw@host", "redis://:***@host"),
        ("http://localhost:4566/ is it, me@host", "http://localhost:4566/ is it, me@host"),
        ("x1+postgresql://me:pw@host", "x1+postgresql://me:***@host"),
        ("1postgresql:///me:pw@host", "1postgresql:///me:***@host"),
        ("a://b,postgresql://me:pw@host", "a://b,postgresql:***@host"),
        ("s3://bucket/lake: no snapshot prod@2026", "s3://bucket/lake: no snapshot prod@2026"),
    ],
)
def test_only_a_password_is_hidden(text: str, said: str) -> None:
    assert hidden(text) == said


@pytest.mark.parametrize("part", ["a", "a:/", "a:/b:", "a@", "://", "/", "a:" + "/" * 9])
def test_a_long_line_is_said_at_once(part: str) -> None:
    text = part * (1_000_000 // len(part))
    began = time.monotonic()
    hidden(text), hidden(f"a:/{text}"), hidden(f"a:/{text}@")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "words", [["status"], ["up"], ["env", "forget"], ["export", "a", "b", "-e"]]
)
def test_a_name_of_any_length_is_one_short_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = [] if words[0] == "export" else ["--lake", str(tmp_path)]
    assert run([*words, "a" * 100_000, *lake]) == 3
    assert re.search(r"1 to 80 .*", said := capsys.readouterr().err)
    assert "100,002 characters" in said
    assert len(said) < 300
