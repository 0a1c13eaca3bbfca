"""pg_dump files of every kind, those found in public too, become snapshots of what they held."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

import airkeep
from adopted import columns
from airkeep.adopt.run import Adoption, adopt
from airkeep.database.address import parse_address
from airkeep.database.server import Cluster
from airkeep.database.sql import literal
from airkeep.errors import BadBackupError, UnknownLayoutError
from airkeep.snapshot.lake import Snapshot
from compare import AS_IT_WAS
from servers import AIRFLOW_DATA, Databases, psql, query

AT = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def plain_dump(server: Cluster, url: str, *words: str) -> str:
    return server.run("pg_dump", *words, database=parse_address(url).database)


def adopt_at(file: Path, lake: Path, environment: str = "old") -> Adoption:
    return adopt(str(file), str(lake), environment=environment, at=AT, allow_plain=True)


def assert_same_rows(lake: Path, one: Snapshot, other: Snapshot) -> None:
    assert [t.label for t in one.tables] == [t.label for t in other.tables]
    for table in one.tables:
        mine, yours = columns(lake, one, table.label), columns(lake, other, table.label)
        assert sorted(zip(*map(_shown, mine.values()), strict=True)) == sorted(
            zip(*map(_shown, yours.values()), strict=True)
        ), table.label


def _shown(values: list[object]) -> list[str]:
    return [repr(v) for v in values]


WRITTEN: dict[str, Callable[[str], bytes]] = {
    "dump.sql": str.encode,
    "windows.sql": lambda t: t.replace("\n", "\r\n").encode("utf-16"),
    "mark.sql": lambda t: t.encode("utf-8-sig"),
    "dump.sql.gz": lambda t: gzip.compress(t.encode()),
}


def test_a_plain_dump_is_the_database_however_it_was_kept(
    server: Cluster, databases: Databases, tmp_path: Path, lake: Path
) -> None:
    url = databases.airflow("airflow-2112")
    odd = "E'a\\r\\nb\\\\restrict x\\n\\\\.\\nCOPY public.x FROM stdin;\\né'"
    psql(server, url, f"INSERT INTO variable (key, val) VALUES ('odd', {odd})")
    live = airkeep.export(url, str(lake), environment="live", allow_plain=True)
    text = plain_dump(server, url, "--verbose")
    for number, (name, encode) in enumerate(WRITTEN.items()):
        file = tmp_path / name
        file.write_bytes(encode(text))

        [snapshot] = adopt_at(file, lake, f"old{number}").made

        assert snapshot.id == "20261101T023000.000000Z"
        manifest = snapshot.manifest
        assert manifest.adopted is not None
        assert manifest.complete, manifest.adopted.notes
        assert manifest.lineage is None
        assert manifest.airflow_version == live.manifest.airflow_version
        assert_same_rows(lake, live, snapshot)
    assert adopt_at(file, lake, "old3").there


def test_a_custom_dump_has_its_own_time_and_goes_back_into_a_database(
    databases: Databases, lake: Path
) -> None:
    file = AIRFLOW_DATA / "airflow-332.dump"
    [snapshot] = adopt(str(file), str(lake), environment="old", allow_plain=True).made
    assert snapshot.id.startswith("202")
    assert snapshot.manifest.adopted is not None
    assert "dump's own" in snapshot.manifest.adopted.time
    live = airkeep.export(
        databases.airflow("airflow-332"), str(lake), environment="live", allow_plain=True
    )
    assert_same_rows(lake, live, snapshot)
    assert airkeep.verify(str(lake), "old/latest")[0].ok

    target = databases.empty()
    airkeep.restore(str(lake), "old/latest", target, create_schema=True, **AS_IT_WAS)
    assert query(target, "SELECT count(*) FROM dag_run") == [(78,)]


def test_a_tar_dump_is_adopted_and_a_dump_in_a_folder_is_told_how(
    server: Cluster, databases: Databases, tmp_path: Path, lake: Path
) -> None:
    url = databases.airflow("airflow-263")
    live = airkeep.export(url, lake, environment="live", allow_plain=True)
    tar, folder = Path("/tmp") / f"{tmp_path.name}.tar", Path("/tmp") / f"{tmp_path.name}.folder"
    try:
        plain_dump(server, url, "--format=tar", f"--file={tar}")
        plain_dump(server, url, "--format=directory", f"--file={folder}")
        packed = tmp_path / "dump.tar.gz"
        packed.write_bytes(gzip.compress(tar.read_bytes()))
        [snapshot] = adopt_at(packed, lake).made
        assert_same_rows(lake, live, snapshot)
        assert snapshot.manifest.complete
        with pytest.raises(UnknownLayoutError, match=r"directory format .*pg_restore --file=dump"):
            airkeep.adopt(folder, lake, environment="other")
    finally:
        tar.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_dry_run_counts_the_rows_of_a_dump_and_makes_nothing(
    server: Cluster, databases: Databases, tmp_path: Path, lake: Path
) -> None:
    url = databases.airflow("airflow-263")
    inserts = tmp_path / "inserts.sql"
    inserts.write_text(plain_dump(server, url, "--inserts"), encoding="utf-8")
    copied = tmp_path / "copied.sql"
    copied.write_text(plain_dump(server, url), encoding="utf-8")

    done = airkeep.adopt(copied, lake, environment="old", at=AT, dry_run=True)
    assert (done.made, done.there, lake.exists()) == ((), (), False)
    [planned] = done.planned
    assert (planned.name, planned.time) == ("old/20261101T023000.000000Z", "as told")
    rows = {t.label: t.rows for t in planned.tables}
    live = airkeep.export(url, lake, environment="live", allow_plain=True)
    assert rows == {t.label: t.rows for t in live.tables}

    done = airkeep.adopt(inserts, lake, environment="old", at=AT, dry_run=True, skip=["log"])
    told = {t.label: t.rows for t in done.planned[0].tables}
    assert told == {t: None if n else 0 for t, n in rows.items() if t != "log"}


def test_no_increment_stands_on_an_adopted_dump(
    server: Cluster, databases: Databases, tmp_path: Path, lake: Path
) -> None:
    url = databases.airflow("airflow-263")
    file = tmp_path / "dump.sql"
    file.write_text(plain_dump(server, url), encoding="utf-8")
    [old] = adopt_at(file, lake, "prod").made
    assert old.manifest.complete
    snapshot = airkeep.export(url, str(lake), environment="prod", increment=True, allow_plain=True)
    assert snapshot.manifest.mode == "full"
    assert snapshot.manifest.full_because == "the snapshot before it was adopted from a backup"


@pytest.mark.parametrize(
    ("name", "version", "rows", "notes"),
    [
        ("airflow-2.9.2-without-log-table.sql", "2.9.2 to 2.9.3", 5193, "not in the backup: log"),
        ("airflow-2.9.3-schema-only.sql", "unknown", 0, "owners and rights"),
        ("airflow-odd-revision.sql", "unknown", 1152, "owners and rights"),
    ],
)
def test_a_dump_found_in_public_is_adopted_and_not_called_complete(
    name: str, version: str, rows: int, notes: str, shared: Path, lake: Path
) -> None:
    [snapshot] = adopt_at(shared / "data" / "wild" / name, lake).made
    manifest = snapshot.manifest
    assert (manifest.airflow_version, manifest.rows) == (version, rows)
    assert not manifest.complete
    assert manifest.adopted is not None
    assert notes in " ".join(manifest.adopted.notes)


def test_a_dump_runs_nothing_but_sql_without_rights(
    server: Cluster, databases: Databases, tmp_path: Path, lake: Path
) -> None:
    text = plain_dump(server, databases.airflow("airflow-263"))
    mark, file = Path("/tmp") / f"airkeep-{tmp_path.name}", tmp_path / "bad.sql"
    for bad in (
        f"\\! touch {mark}",
        f"\\o |touch {mark}",
        f"\\unrestrict x\n\\! touch {mark}",
        f"SELECT 1 \\g |touch {mark}",
    ):
        file.write_text(text.replace("SET row_security = off;", bad), encoding="utf-8")
        with pytest.raises(BadBackupError, match="backslash commands are restricted"):
            adopt_at(file, lake)
        assert not mark.exists()
    assert not list(lake.rglob("*"))

    bad = f"COPY (SELECT 1) TO PROGRAM 'touch {mark}';"
    file.write_text(text.replace("SET row_security = off;", bad), encoding="utf-8")
    [snapshot] = adopt_at(file, lake).made
    assert not mark.exists()
    assert snapshot.manifest.adopted is not None
    assert "1, what only another role may" in " ".join(snapshot.manifest.adopted.notes)


def test_a_dump_that_is_cut_off_or_none_is_refused_with_its_line(
    server: Cluster, databases: Databases, tmp_path: Path, lake: Path
) -> None:
    text = plain_dump(server, databases.airflow("airflow-263"))
    middle = text.index("COPY public.task_instance (") + 2000
    custom = (AIRFLOW_DATA / "airflow-332.dump").read_bytes()
    for name, data, words in (
        ("a.sql", text[:middle].encode(), r"a.sql ends at line \d+ in the rows of public"),
        ("b.sql", text[: text.index("COPY ")].encode(), r"ends at line \d+ before its end"),
        ("c.sql", b"", "c.sql is empty"),
        ("h.sql", "--\n".encode("utf-16") + b"a", "begins as UTF-16"),
        ("d.dump", custom[: len(custom) // 2], "pg_restore says"),
        ("e.sql.gz", gzip.compress(text.encode())[:-100], "cannot be unpacked"),
        ("f.sql", plain_dump(server, databases.airflow("airflow-263"), "--data-only").encode(),
         r"f.sql, line \d+: rows of public.\w+, which the dump does not make"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadBackupError, match=words):
            adopt_at(tmp_path / name, lake)
    for data in (b"\x7fELF\x00\x00", b"\xd1\x07\n\x9c\n", b"id,dag_id\n1,a\n"):
        (tmp_path / "g.sql").write_bytes(data)
        with pytest.raises(UnknownLayoutError, match="no backup of a layout that is known"):
            adopt_at(tmp_path / "g.sql", lake)
    assert not list(lake.rglob("*"))


PIECES = (
    "INSERT INTO public.nope VALUES (1);", "COPY public.nope (a) FROM stdin;", "\\.", "GRANT a",
    "\\connect other", "\\restrict abc", "CREATE TABLE public.nope (a)", "'", '"', "$$", "$a$",
    "--", "/*", "*/", "E'", "\\", "\\'", ";", "-- PostgreSQL database dump complete",
)  # fmt: skip


@pytest.mark.parametrize(
    ("standard", "dumps"),
    [("on", ([], ["--column-inserts"], ["--rows-per-insert=7"])), ("off", (["--inserts"],))],
)
def test_texts_that_look_like_a_dump_are_texts(
    server: Cluster,
    databases: Databases,
    tmp_path: Path,
    lake: Path,
    standard: str,
    dumps: tuple[list[str], ...],
) -> None:
    url = databases.airflow("airflow-263")
    query(url, 'CREATE TABLE "two words" (id int PRIMARY KEY, "a ""b"" \'c" text)')
    texts = [f"{a}\n{b}\n{a}{b}\n" for a in PIECES for b in PIECES]
    rows = ", ".join(f"({n}, {literal(t)})" for n, t in enumerate(texts))
    query(url, f'INSERT INTO "two words" VALUES {rows}')
    name = parse_address(url).database
    query(url, f'ALTER DATABASE "{name}" SET standard_conforming_strings = {standard}')
    for number, words in enumerate(dumps):
        file = tmp_path / f"{number}.sql"
        file.write_text(plain_dump(server, url, *words), encoding="utf-8", newline="\n")
        [adopted] = adopt_at(file, lake, environment=f"old-{number}").made
        found = columns(lake, adopted, "two words")
        assert dict(zip(found["id"], found['a "b" \'c'], strict=True)) == dict(enumerate(texts))
    planned = adopt(str(file), str(tmp_path / "b"), environment="x", at=AT, dry_run=True).planned
    assert "nope" not in {table.label for one in planned for table in one.tables}
