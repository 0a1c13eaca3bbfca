"""docs/format.md is enough to read a snapshot: its SQL is run on lakes made here."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import duckdb
import jsonschema
import pytest
from cryptography.fernet import Fernet

import airkeep
from airkeep.database.catalog import Column
from airkeep.database.sqlite_value import RawText, literal_of, value_of
from airkeep.database.types import Travel, travel
from airkeep.export.plan import changed_since
from airkeep.snapshot.manifest import Manifest
from docs.pages import DOCS, blocks, page, section
from servers import FERNET_KEY, Databases, Templates, query

FORMAT = page("docs/format.md")
SCHEMA = json.loads((DOCS / "manifest.schema.json").read_text())
FOLD, READ, CHECK = blocks(section(FORMAT, "## Folding"), "sql")

CHANGES = (
    "DELETE FROM task_instance WHERE dag_id = (SELECT min(dag_id) FROM dag_run)",
    "DELETE FROM dag_run WHERE id = (SELECT max(id) FROM dag_run)",
    "UPDATE dag_run SET state = 'odd' WHERE id % 7 = 0",
    "UPDATE slot_pool SET slots = slots + 1",
    "INSERT INTO slot_pool (pool, slots, include_deferred) VALUES ('new', 1, false)",
    "UPDATE slot_pool SET pool = 'renamed' WHERE pool = 'new'",
    "TRUNCATE log",
)


@dataclass(frozen=True)
class Made:
    url: str
    folder: Path


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture(scope="module")
def made(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A full snapshot and two increments in a folder `lake`."""
    databases, folder = Databases(templates), tmp_path_factory.mktemp("format")
    url, lake = databases.airflow("airflow-332"), str(folder / "lake")
    airkeep.export(url, lake, environment="prod")
    for changes in (CHANGES[:4], CHANGES[4:]):
        for change in changes:
            query(url, change)
        tip = airkeep.export(url, lake, environment="prod", increment=True)
        assert tip.manifest.mode == "increment", tip.manifest.full_because
    yield Made(url, folder)
    databases.drop()


@pytest.fixture
def chain(made: Made, monkeypatch: pytest.MonkeyPatch) -> str:
    """That lake as `lake` in the working folder, not to be changed; gives the database."""
    monkeypatch.chdir(made.folder)
    return made.url


def test_the_query_folds_a_chain_into_the_rows_of_the_database(
    chain: str, db: duckdb.DuckDBPyConnection
) -> None:
    db.execute(FOLD)
    db.execute(f"CREATE VIEW folded AS {READ}")
    columns = "id, dag_id, run_id, state, conf::text"
    found = db.execute(
        f"SELECT {columns}, epoch_us(logical_date) FROM folded ORDER BY id"
    ).fetchall()
    assert found == query(
        chain,
        f"SELECT {columns}, (extract(epoch FROM logical_date) * 1000000)::bigint "
        f"FROM dag_run ORDER BY id",
    )
    assert any(row[3] == "odd" for row in found)


def test_the_query_gives_as_many_rows_of_every_table_as_the_manifest_says(
    chain: str, db: duckdb.DuckDBPyConnection
) -> None:
    tip = airkeep.Lake("lake")["prod/latest"]
    deleted = 0
    for table in tip.tables:
        db.execute(FOLD.replace("label = 'dag_run'", f"label = '{table.label}'"))
        [(files,)] = db.execute("SELECT getvariable('files')").fetchall()
        key = ", ".join(f'"{name}"' for name in table.key)
        own = READ.replace("PARTITION BY id", f"PARTITION BY {key}")
        own = f"SELECT count(*) FROM ({own.rstrip().rstrip(';')})"
        counted = db.execute(own).fetchall() if files else [(0,)]
        assert counted == [(table.rows,)], table.label
        deleted += sum("/deleted/" in path for path in files or ())
        if files:
            assert all(same for _, same in db.execute(CHECK).fetchall())
    assert deleted


def test_the_hash_query_finds_a_changed_file(
    chain: str, db: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree("lake", tmp_path / "lake")
    monkeypatch.chdir(tmp_path)
    db.execute(FOLD)
    path, _ = db.execute(CHECK).fetchall()[-1]
    data = bytearray(Path("lake", path).read_bytes())
    data[len(data) // 2] ^= 1
    Path("lake", path).write_bytes(data)
    assert (path, False) in db.execute(CHECK).fetchall()


def test_the_worked_example_says_what_the_code_does(
    db: duckdb.DuckDBPyConnection, new_database: str
) -> None:
    [example] = blocks(section(FORMAT, "## Increments"), "sql")
    said = re.findall(r"-- distance (\d+): (not taken|taken)", example)
    rows = db.execute(example).fetchall()
    assert [(str(d), "taken" if t else "not taken") for _, _, d, t in rows] == said
    condition = changed_since(4294967288, 4294967308)
    values = ", ".join(f"('{xmin}'::xid)" for xmin, *_ in rows)
    real = query(new_database, f"SELECT {condition} FROM (VALUES {values}) AS rows(xmin)")
    assert [taken for (taken,) in real] == [taken for *_, taken in rows]


def test_every_file_of_a_lake_lies_where_the_layout_says(chain: str) -> None:
    airkeep.verify("lake", "prod/latest")
    layout = blocks(section(FORMAT, "## Layout"), "")[0]
    patterns = [_pattern(line.split()[0]) for line in layout.splitlines()[1:]]
    files = [str(p.relative_to("lake")) for p in Path("lake").rglob("*") if p.is_file()]
    odd = [f for f in files if not any(p.fullmatch(f) for p in patterns)]
    assert odd == []
    met = {p.pattern for p in patterns if any(p.fullmatch(f) for f in files)}
    not_made = {p.pattern for p in patterns} - met
    rare = "csv|environments|jobs|reports|uploads|.*(removed|pruned)"
    assert all(re.match(rare, p) for p in not_made), not_made


def _pattern(path: str) -> re.Pattern[str]:
    """`tables/<label>/.../00000.parquet` as an expression for real paths."""
    text = re.escape(path.removesuffix("..."))
    text = text.replace("00000", r"\d{5}").replace("YYYY/MM/DD/", ".*")
    return re.compile(re.sub(r"<\w+>", "[^/]+", text) + (".*" if path.endswith("/...") else ""))


def test_every_manifest_is_as_its_schema_says(chain: str) -> None:
    manifests = list(Path("lake").glob("snapshots/*/*/manifest.json"))
    assert len(manifests) == 3
    for path in manifests:
        jsonschema.validate(json.loads(path.read_text()), SCHEMA)


def test_every_field_of_a_manifest_is_described() -> None:
    text = section(FORMAT, "## The manifest")
    missing = [
        name for name in _field_names(Manifest) if not re.search(rf"`(\w+\[\]\.)?{name}`", text)
    ]
    assert missing == []


def _field_names(kind: type) -> Iterator[str]:
    for name, hint in get_type_hints(kind).items():
        yield name
        for inner in (hint, *get_args(hint)):
            is_ours = isinstance(inner, type) and dataclasses.is_dataclass(inner)
            if is_ours and inner.__name__ not in {"LineageEntry", "DagRunEntry"}:
                yield from _field_names(inner)


def test_a_sealed_value_opens_with_nothing_but_the_page(
    airflow_dump: Callable[[str], str], tmp_path: Path, db: duckdb.DuckDBPyConnection
) -> None:
    url, lake, archive_key = airflow_dump("airflow-332"), tmp_path / "lake", Fernet.generate_key()
    snapshot = airkeep.export(
        url,
        str(lake),
        environment="prod",
        secrets="seal",
        fernet_key=FERNET_KEY,
        archive_key=archive_key.decode(),
    )
    table = snapshot.manifest.table("connection")
    assert table is not None
    file = lake / table.files[0].path
    sealed = dict(
        db.execute(f"SELECT conn_id, password FROM '{file}' WHERE password <> ''").fetchall()
    )
    real = dict(query(url, "SELECT conn_id, password FROM connection WHERE password <> ''"))
    assert sealed.keys() == real.keys() != set()
    for name, value in sealed.items():
        prefix = "airkeep:1:c:"
        assert prefix in FORMAT
        assert value.startswith(prefix)
        opened = Fernet(archive_key).decrypt(value.removeprefix(prefix))
        assert opened == Fernet(FERNET_KEY).decrypt(real[name])


def test_postgresql_types_travel_as_the_table_says() -> None:
    rows = re.findall(r"^\| (`.*?) \| (`[^|]*) \| `same` \|", section(FORMAT, "## Types"), re.M)
    named = 0
    for types, parquets in rows:
        wanted = re.findall(r"`([^`]+)`", parquets)
        for at, kind in enumerate(re.findall(r"`([^`]+)`", types)):
            found = travel(Column("c", kind))
            assert found == Travel(wanted[min(at, len(wanted) - 1)]), kind
            named += 1
    assert named == 15
    others = ("numeric", "numeric(10,2)", "interval", "time without time zone", "integer[]")
    assert {travel(Column("c", kind)) for kind in others} == {Travel("VARCHAR", "text")}


def test_sqlite_literals_are_those_of_the_table() -> None:
    table = section(FORMAT, "## Types").partition("| literal |")[2]
    cells = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)
    literals = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    assert len(literals) == 8
    for literal in literals:
        value = value_of(literal)
        stored: float | bytes | None
        if isinstance(value, RawText):
            stored, storage = value.data, "text"
        elif isinstance(value, str):
            stored, storage = value.encode(), "text"
        else:
            stored, storage = value, "blob" if isinstance(value, bytes) else "number"
        assert literal_of(stored, storage) == literal
