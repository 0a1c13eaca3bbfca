"""Who takes part in which contest, and how each is called."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from airkeep.database.programs import embedded_programs
from airkeep.database.server import Server
from benchmarks.contest import Contestant, environment, folder_bytes
from benchmarks.data import (
    CACHE,
    Source,
    checksums,
    connection_environment,
)
from benchmarks.meter import measure
from benchmarks.venvs import MissingError, java_and_jar, python_of

PEERS = Path(__file__).resolve().parent / "peers"
AIRKEEP = str(Path(sys.executable).parent / "airkeep")

# Names as the tables show them; the report asks for some by name.
OURS = "airkeep"
OURS_SMALL = "airkeep --memory 200MB"
BARE = "bare DuckDB scan"
BARE_2 = "bare DuckDB scan, zstd 2"
FLOOR = "psql \\copy binary to /dev/null"
PYTHON_FLOOR = "psycopg binary COPY to nowhere"
DUMP = "pg_dump -Fc"
ADBC = "ADBC + pyarrow"
CONNECTORX = "ConnectorX + pyarrow"
CSV_LOOP = "SQLAlchemy + csv, 1,000 rows"
DLT = "dlt (ConnectorX)"
SPARK = "PySpark JDBC"
RESTORE = "pg_restore"
RESTORE_2 = "pg_restore -j2"
INGEST = "ADBC ingest"
COPY_CSV = "psql \\copy csv"


def exporters(source: Source, tables: Sequence[str], *, is_whole: bool) -> list[Contestant]:
    """Everybody who can take these tables out of the source."""
    around = connection_environment(source.url)
    ours = export_command(() if is_whole else tables)

    def ready(name: str, *command: str) -> Contestant:
        return Contestant(name, command, around)

    def peer(
        name: str, file: str, venv: str = "", *, is_slow: bool = False, is_spark: bool = False
    ) -> Contestant:
        try:
            python = python_of(venv) if venv else sys.executable
            more = [java_and_jar()] if is_spark else []
        except MissingError as missing:
            return Contestant(name, missing=str(missing))
        command = (python, str(PEERS / file), "{out}", *more, *tables)
        return Contestant(name, command, {**around, "PYSPARK_PYTHON": python}, is_slow=is_slow)

    psql = [program("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    copies = [f"--command=\\copy public.{t} to '/dev/null' (format binary)" for t in tables]
    dumped = [] if is_whole else [f"--table=public.{t}" for t in tables]
    return [
        ready(OURS, *ours),
        ready(OURS_SMALL, *ours, "--memory", "200MB"),
        bare(source, tables, memory="400MB"),
        bare(source, tables, memory="400MB", name=BARE_2, level=2),
        ready(FLOOR, *psql, *copies),
        peer(PYTHON_FLOOR, "psycopg_copy.py", "psycopg"),
        ready(DUMP, program("pg_dump"), "-Fc", "--file={out}/dump", *dumped),
        peer(ADBC, "adbc.py"),
        peer(CONNECTORX, "connectorx_stream.py", "connectorx"),
        peer(CSV_LOOP, "csv_loop.py", "csv", is_slow=True),
        peer(DLT, "dlt_parquet.py", "dlt", is_slow=True),
        peer(SPARK, "spark_jdbc.py", "spark", is_slow=True, is_spark=True),
    ]


def export_command(tables: Sequence[str], *, lake: str = "{out}/lake") -> list[str]:
    """Our own command line; the address comes from the environment."""
    named = [word for t in tables for word in ("--tables", t)]
    return [AIRKEEP, "export", "env:", lake, "-e", "bench", "--allow-plain", "-q", *named]


def bare(
    source: Source, tables: Sequence[str], *, memory: str, name: str = BARE, level: int = 3
) -> Contestant:
    """What airkeep reads with, and nothing around it; DuckDB's own zstd level is 3."""
    command = (sys.executable, str(PEERS / "bare.py"), "{out}", memory, str(level), *tables)
    return Contestant(name, command, connection_environment(source.url))


@contextmanager
def restorers(server: Server, source: Source, *, is_whole: bool) -> Iterator[list[Contestant]]:
    """Everybody who can put the source into an empty database, keys and indexes included.

    What each of them reads is made first, by the way out that belongs to it, and removed
    at the end.
    """
    with TemporaryDirectory(prefix="in-", dir=CACHE) as folder:
        made = Path(folder)
        _make_inputs(server, source, made, is_whole=is_whole)
        yield list(_restorers(server, source, made, is_whole=is_whole))


def _restorers(
    server: Server, source: Source, made: Path, *, is_whole: bool
) -> Iterator[Contestant]:
    name = f"target_{source.name}"
    around = connection_environment(server.address(name))

    def clear() -> None:
        server.drop(name)
        server.create(name)
        server.run("psql", "--command=CHECKPOINT")

    def check() -> str:
        found = checksums(server, name, source.tables)
        wrong = [t for t in source.tables if found[t] != source.checksums[t]]
        return f"{', '.join(wrong)} differ from the source" if wrong else ""

    def ready(title: str, read: Path, *command: str) -> Contestant:
        size = folder_bytes(read) if read.is_dir() else read.stat().st_size
        return Contestant(title, command, around, before=clear, check=check, read_bytes=size)

    lake, dump = made / "lake", made / "dump"
    ours = [AIRKEEP, "restore", str(lake), "bench/latest", "env:", "--create-schema", "-q"]
    back = [program("pg_restore"), "--dbname", name, "--no-owner"]
    yield ready(OURS, lake, *ours)
    yield ready(OURS_SMALL, lake, *ours, "--memory", "200MB")
    yield ready(RESTORE, dump, *back, str(dump))
    yield ready(RESTORE_2, dump, *back, "--jobs=2", str(dump))
    if is_whole:
        return
    before, after = str(made / "before.sql"), str(made / "after.sql")
    adbc, texts = made / "adbc", made / "csv"
    script = str(PEERS / "adbc_ingest.py")
    parquet = [str(p) for p in sorted(adbc.glob("*.parquet"))]
    yield ready(INGEST, adbc, sys.executable, script, before, after, *parquet)
    psql = [program("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    copies = [f"--command=\\copy public.{t} from '{texts}/{t}.csv' csv" for t in source.tables]
    yield ready(
        COPY_CSV, texts, *psql, "--single-transaction", f"--file={before}", *copies,
        f"--file={after}",
    )  # fmt: skip


def _make_inputs(server: Server, source: Source, made: Path, *, is_whole: bool) -> None:
    around = environment(connection_environment(source.url))

    def run(*command: str) -> None:
        log = made / "log"
        found = measure(command, environment=around, log=log, limit_s=1800)
        if found["status"] != 0:
            raise RuntimeError(f"{command[0]}: {log.read_text(errors='replace')[-500:]}")

    run(*export_command((), lake=str(made / "lake")))
    run(program("pg_dump"), "-Fc", f"--file={made}/dump")
    if is_whole:
        return
    run(program("pg_dump"), "--section=pre-data", "--no-owner", f"--file={made}/before.sql")
    run(program("pg_dump"), "--section=post-data", "--no-owner", f"--file={made}/after.sql")
    for kind in ("adbc", "csv"):
        (made / kind).mkdir()
    run(sys.executable, str(PEERS / "adbc.py"), f"{made}/adbc", *source.tables)
    for table in source.tables:
        copy = f"--command=\\copy public.{table} to '{made}/csv/{table}.csv' csv"
        run(program("psql"), "--no-psqlrc", "--quiet", copy)


def program(name: str) -> str:
    return str(embedded_programs() / name)


def drop_target(server: Server, source: Source) -> None:
    server.drop(f"target_{source.name}")
