"""Every fault that can be met before work begins: its exit status, its one line, and no secret.

The command line runs as a process of its own, with `-vv`, and its database comes from the
environment, so that the process list is looked at too. Faults that strike half way are in
`test_faults_midway.py`.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest

import airkeep
from airkeep.database.address import parse_address
from airkeep.database.server import Cluster
from command import AIRKEEP, VARIABLE
from compare import AS_IT_WAS, AS_IT_WAS_FLAGS, data_of
from servers import FERNET_KEY, Databases, airflow_sqlite

PASSWORD = "p@ss:w/rd%#'\"\\ x"
# The password as it is, as a URL, a password file, a conninfo and SQL spell it, and parts of it.
SPELLINGS = (
    PASSWORD,
    quote(PASSWORD, safe=""),
    PASSWORD.replace("\\", "\\\\").replace(":", "\\:"),
    PASSWORD.replace("\\", "\\\\").replace("'", "\\'"),
    PASSWORD.replace("'", "''"),
    "w/rd%",
    "w%2Frd",
    FERNET_KEY,
)
AIRFLOW = "airflow-332"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """Standard error without the progress that -v asks for."""
        lines = self.err.splitlines()
        return [line for line in lines if not re.match(r"(export|restore) \S", line)]


def run(folder: Path, arguments: tuple[str, ...], variables: Mapping[str, str]) -> Ran:
    """Run a command line and watch the process list for the password meanwhile."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRKEEP", "AIRFLOW"))}
    environment = {**inherited, "TMPDIR": str(temporary), **variables}
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = subprocess.Popen(
            [*AIRKEEP, *arguments],
            stdout=out, stderr=err, env=environment, cwd=folder,
        )  # fmt: skip
        while process.poll() is None:
            assert_listed_without_password(process.pid)
            time.sleep(0.2)
        out.seek(0)
        err.seek(0)
        return Ran(process.returncode, out.read(), err.read())


def assert_listed_without_password(pid: int) -> None:
    """No command line on this machine and no child's environment holds the password."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            listed = (entry / "cmdline").read_bytes()
            if f"\nPPid:\t{pid}\n" in (entry / "status").read_text():
                listed += (entry / "environ").read_bytes()
        except OSError:
            continue  # it ended, or is not ours to look at
        assert_no_secret(listed.decode(errors="replace"))


def assert_no_secret(text: str) -> None:
    for spelling in SPELLINGS:
        assert spelling not in text, "a secret was shown"  # pytest prints `text`: a test's own


@dataclass(frozen=True)
class Fault:
    """A command that must fail, and how.

    Attributes:
        says: a pattern that its one line fits: what is wrong, and what to do.
        target: a database that must be the same afterwards.
    """

    arguments: tuple[str, ...]
    status: int
    says: str
    variables: Mapping[str, str] = field(default_factory=dict)
    target: str = ""


@dataclass
class Bench:
    """What the faults are made of; dear things are made when asked for."""

    server: Cluster
    databases: Databases
    folder: Path
    stack: ExitStack
    _known: dict[str, str] = field(default_factory=dict)

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    def sql(self, url: str, *statements: str) -> str:
        script = "".join(f"{s};\n" for s in statements)
        database = parse_address(url).database
        return self.server.run(
            "psql", "-XqAtv", "ON_ERROR_STOP=1", "-f", "-", database=database, stdin=script
        )

    def role(self, url: str, *grants: str) -> str:
        """The URL for a new role of the striking password, with these grants."""
        name = f"keeper_{uuid4().hex[:8]}"
        secret = PASSWORD.replace("'", "''")
        self.sql(url, f"CREATE ROLE {name} LOGIN PASSWORD '{secret}'")
        self.stack.callback(self.sql, url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")
        self.sql(url, *(grant.format(role=name) for grant in grants))
        return replace(parse_address(url), user=name, password=PASSWORD).reveal()

    def reader(self, url: str, *revoked: str) -> str:
        """A role that reads everything but what is revoked."""
        return self.role(
            url,
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
            "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
            *revoked,
        )

    def export(self, url: str, *arguments: str, **more: object) -> Fault:
        """An export from `url` that fails; `status` and `says` are to be given."""
        given = ("export", "env:", str(self.lake), "-e", "prod", *arguments)
        variables = {VARIABLE: url, "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY}
        return _fault(given, variables, more)

    def restore(self, url: str, *arguments: str, **more: object) -> Fault:
        given = (
            "restore",
            str(self.lake),
            *(arguments or ("latest", "env:", "--create-schema", *AS_IT_WAS_FLAGS)),
        )
        return _fault(given, {VARIABLE: url, "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY}, more)

    def snapshot(self, name: str = AIRFLOW, *, environment: str = "prod") -> airkeep.Snapshot:
        """A snapshot in the lake, to be restored or damaged."""
        return airkeep.export(self.databases.airflow(name), str(self.lake), environment=environment)

    def guarded(self) -> str:
        """An empty database whose owner has the striking password."""
        url = self.databases.empty()
        database = parse_address(url).database
        owner = self.role(url, f'GRANT ALL ON DATABASE "{database}" TO {{role}}')
        self.sql(url, f"GRANT ALL ON SCHEMA public TO {parse_address(owner).user}")
        return owner


def _fault(
    arguments: tuple[str, ...], variables: dict[str, str], more: Mapping[str, object]
) -> Fault:
    extra = more.get("variables", {})
    assert isinstance(extra, dict)
    return Fault(
        arguments,
        int(str(more["status"])),
        str(more["says"]),
        variables | extra,
        str(more.get("target", "")),
    )


FAULTS: list[Callable[[Bench], Fault]] = []


def fault(make: Callable[[Bench], Fault]) -> Callable[[Bench], Fault]:
    FAULTS.append(make)
    return make


@pytest.fixture
def bench(server: Cluster, databases: Databases, tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(server, databases, tmp_path, stack)


# Not a database, and not Airflow's.


@fault
def a_text_file(bench: Bench) -> Fault:
    file = bench.folder / "notes.txt"
    file.write_text("these are notes\n" * 1000)
    return bench.export(f"sqlite:///{file}", status=13, says=r"notes\.txt.* is (no|not) .*SQLite")


@fault
def a_picture(bench: Bench) -> Fault:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    file = bench.folder / "picture.db"
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 4))
        + chunk(b"IEND", b"")
    )  # fmt: skip
    return bench.export(f"sqlite:///{file}", status=13, says=r"picture\.db.* is (no|not) .*SQLite")


@fault
def an_empty_file(bench: Bench) -> Fault:
    file = bench.folder / "empty.db"
    file.touch()
    return bench.export(f"sqlite:///{file}", status=13, says=r"empty\.db.* is empty")


@fault
def another_applications_file(bench: Bench) -> Fault:
    file = bench.folder / "shop.db"
    with sqlite3.connect(file) as made:
        made.execute("CREATE TABLE orders (id INTEGER)")
    made.close()
    return bench.export(f"sqlite:///{file}", status=13, says=r"shop\.db.*Airflow.*dag_run")


@fault
def a_file_that_is_not_there(bench: Bench) -> Fault:
    file = bench.folder / "airflow.db"
    return bench.export(f"sqlite:///{file}", status=11, says=r"airflow\.db")


@fault
def an_empty_database(bench: Bench) -> Fault:
    return bench.export(bench.guarded(), status=13, says=r"Airflow.*dag_run")


@fault
def another_applications_database(bench: Bench) -> Fault:
    url = bench.databases.airflow("celery-result-backend")
    return bench.export(bench.reader(url), status=13, says=r"Airflow.*dag_run")


@fault
def mysql(bench: Bench) -> Fault:
    url = f"mysql+pymysql://user:{quote(PASSWORD, safe='')}@localhost/airflow"
    return bench.export(url, status=11, says=r"MySQL is not supported.*PostgreSQL.*SQLite")


@fault
def an_unknown_kind_of_address(bench: Bench) -> Fault:
    url = f"oracle://user:{quote(PASSWORD, safe='')}@localhost/airflow"
    return bench.export(url, status=11, says=r"must begin with postgresql://")


@fault
def an_address_with_two_meanings(bench: Bench) -> Fault:
    url = "postgresql://user:w/rd%@one/air?options=@two/flow"
    return bench.export(url, status=11, says=r"more than one way.*%40 %2F")


@fault
def an_address_that_cannot_be_read(bench: Bench) -> Fault:
    url = f"postgresql://user:{PASSWORD}@localhost:99x/airflow"
    return bench.export(url, status=11, says=r"port that is no number.*expected postgresql://")


# No connection.


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _elsewhere(bench: Bench, **changes: object) -> str:
    place = parse_address(bench.server.address())
    changed = replace(place, user="keeper", password=PASSWORD, **changes)  # type: ignore[arg-type]
    return changed.reveal()


@fault
def no_such_host(bench: Bench) -> Fault:
    url = _elsewhere(bench, host="nowhere.invalid")
    return bench.export(url, status=12, says=r"nowhere\.invalid.*no such host")


@fault
def a_closed_port(bench: Bench) -> Fault:
    url = _elsewhere(bench, port=_closed_port())
    return bench.export(url, status=12, says=r"nothing listens on that host and port")


@fault
def no_socket_there(bench: Bench) -> Fault:
    url = _elsewhere(bench, host="/nowhere", options=(("sslmode", "prefer"),))
    return bench.export(url, status=12, says=r"no server's socket in that folder")


@fault
def a_wrong_password(bench: Bench) -> Fault:
    url = bench.reader(bench.databases.empty())
    wrong = replace(parse_address(url), password=PASSWORD + "y").reveal()
    return bench.export(wrong, status=12, says=r"refused the user name or password")


@fault
def a_wrong_password_at_restore(bench: Bench) -> Fault:
    bench.snapshot()
    url = bench.guarded()
    wrong = replace(parse_address(url), password=PASSWORD + "y").reveal()
    return bench.restore(wrong, status=12, says=r"refused the user name or password")


@fault
def no_such_database(bench: Bench) -> Fault:
    url = bench.reader(bench.databases.empty())
    gone = replace(parse_address(url), database="no_such_database").reveal()
    return bench.export(gone, status=12, says=r"no database 'no_such_database'")


@fault
def no_such_database_at_restore(bench: Bench) -> Fault:
    bench.snapshot()
    gone = replace(parse_address(bench.guarded()), database="no_such_database").reveal()
    return bench.restore(gone, status=12, says=r"no database 'no_such_database'")


@fault
def a_database_that_may_not_be_entered(bench: Bench) -> Fault:
    url = bench.databases.airflow(AIRFLOW)
    name = parse_address(url).database
    role = bench.role(url, f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')
    said = r"may not connect to that database: GRANT"  # though the address speaks of TLS
    return bench.export(f"{role}?sslmode=prefer", status=12, says=said)


@fault
def a_server_without_tls(bench: Bench) -> Fault:
    url = bench.reader(bench.databases.empty()) + "?sslmode=require"
    return bench.export(url, status=12, says=r"do not agree on TLS \(see sslmode\)")


# Rights.


@fault
def a_table_that_may_not_be_read(bench: Bench) -> Fault:
    url = bench.databases.airflow(AIRFLOW)
    role = bench.reader(url, "REVOKE SELECT ON xcom FROM {role}")
    return bench.export(role, status=14, says=r"may not read public\.xcom\. .*--skip")


@fault
def a_sequence_that_may_not_be_read(bench: Bench) -> Fault:
    url = bench.databases.airflow(AIRFLOW)
    role = bench.reader(url, "REVOKE SELECT ON SEQUENCE log_id_seq FROM {role}")
    return bench.export(role, status=14, says=r"may not read sequence .*log_id_seq.*--skip")


@fault
def a_sequence_of_no_table_that_may_not_be_read(bench: Bench) -> Fault:
    url = bench.databases.airflow(AIRFLOW)
    role = bench.reader(url)
    bench.sql(url, "CREATE SEQUENCE ab_user_id_seq", "CREATE SCHEMA shop",
              "CREATE SEQUENCE shop.elsewhere")  # fmt: skip
    return bench.export(
        role, status=14, says=r"may not read sequence public\.ab_user_id_seq of no table\. Grant"
    )


@fault
def a_schema_that_may_not_be_used(bench: Bench) -> Fault:
    url = bench.databases.airflow(AIRFLOW)
    bench.sql(url, "CREATE SCHEMA shop", "CREATE TABLE shop.orders (id int PRIMARY KEY)")
    role = bench.reader(url)
    return bench.export(role, status=14, says=r"shop.*[Gg]rant.*--skip")


@fault
def rows_that_a_policy_hides(bench: Bench) -> Fault:
    url = bench.databases.airflow(AIRFLOW)
    bench.sql(url, "ALTER TABLE job ENABLE ROW LEVEL SECURITY",
              "CREATE POLICY few ON job USING (id < 3)")  # fmt: skip
    return bench.export(bench.reader(url), status=14, says=r"row-level security.*job.*--skip")


@fault
def a_target_that_takes_no_tables(bench: Bench) -> Fault:
    bench.snapshot()
    url = bench.databases.empty()
    role = bench.role(url)
    return bench.restore(role, status=14, says=r"denied for .*GRANT CREATE ON ", target=url)


# Locks and limits.


@fault
def a_lock_that_is_held(bench: Bench) -> Fault:
    url = bench.databases.airflow(AIRFLOW)
    bench.stack.enter_context(locked(bench.server, url, "log"))
    return bench.export(
        bench.reader(url), "--lock-timeout", "1", status=15, says=r"a lock.*--lock-timeout"
    )


@contextmanager
def locked(server: Cluster, url: str, table: str) -> Iterator[None]:
    """A transaction that keeps everybody out of a table."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executescript(f"BEGIN; LOCK TABLE {table}")
        yield
        cursor.executescript("ROLLBACK")


@fault
def a_statement_that_takes_too_long(bench: Bench) -> Fault:
    url = bench.databases.airflow(AIRFLOW)
    bench.sql(
        url,
        "CREATE TABLE wait (a int, b daterange)",  # a type without a fast path: one statement
        "INSERT INTO wait SELECT n, '[2026-01-01,)' FROM generate_series(1, 4000000) n",
    )
    return bench.export(
        bench.reader(url), "--statement-timeout", "1",
        status=15, says=r"statement timeout.*reading wait.*--statement-timeout",
    )  # fmt: skip


# Settings.


@fault
def an_unknown_table(bench: Bench) -> Fault:
    role = bench.reader(bench.databases.airflow(AIRFLOW))
    return bench.export(
        role,
        "--skip",
        "task_instances",
        status=3,
        says=r"--skip task_instances.*mean task_instance",
    )


@fault
def an_unknown_table_at_restore(bench: Bench) -> Fault:
    bench.snapshot()
    return bench.restore(
        bench.guarded(), "latest", "env:", "--skip", "xcomm",
        status=3, says=r"--skip xcomm: no such table in the snapshot \(did you mean xcom\?\)",
    )  # fmt: skip


@fault
def no_environment(bench: Bench) -> Fault:
    found = bench.export(bench.guarded(), status=3, says=r"--environment, AIRKEEP_ENVIRONMENT")
    return replace(found, arguments=("export", "env:", str(bench.lake)))


@fault
def an_environment_that_differs_by_case(bench: Bench) -> Fault:
    bench.snapshot(environment="Prod")
    role = bench.reader(bench.databases.airflow(AIRFLOW))
    return bench.export(role, status=3, says=r"an environment 'Prod' already")


@fault
def a_window_with_an_increment(bench: Bench) -> Fault:
    return bench.export(
        bench.guarded(), "--increment", "--since", "3d", status=3, says=r"exclude each other"
    )


@fault
def a_settings_file_that_cannot_be_read(bench: Bench) -> Fault:
    (bench.folder / "airkeep.toml").write_bytes(b'environment = "pr\xff"\n')
    return bench.export(bench.guarded(), status=3, says=r"airkeep\.toml")


@fault
def a_settings_file_with_an_unknown_name(bench: Bench) -> Fault:
    (bench.folder / "airkeep.toml").write_text('enviroment = "prod"\n')
    return bench.export(bench.guarded(), status=3, says=r"airkeep\.toml.*did you mean environment")


@fault
def a_spool_folder_that_is_not_there(bench: Bench) -> Fault:
    role = bench.reader(bench.databases.airflow(AIRFLOW))
    missing = bench.folder / "no" / "such"
    return bench.export(
        role, "--spool", str(missing), status=3, says=r"no folder.*no/such.*--spool"
    )


@fault
def a_spool_folder_that_is_not_there_at_restore(bench: Bench) -> Fault:
    bench.snapshot()
    missing = bench.folder / "no" / "such"
    return bench.restore(
        bench.guarded(), "latest", "env:", "--create-schema", "--spool", str(missing),
        status=3, says=r"no folder.*no/such.*--spool",
    )  # fmt: skip


# Keys.


@fault
def sealing_without_a_key(bench: Bench) -> Fault:
    role = bench.reader(bench.databases.airflow(AIRFLOW))
    return bench.export(role, "--secrets", "seal", status=61, says=r"AIRKEEP_ARCHIVE_KEY")


@fault
def a_key_that_is_none(bench: Bench) -> Fault:
    role = bench.reader(bench.databases.airflow(AIRFLOW))
    return bench.export(
        role, "--secrets", "seal", status=3, says=r"AIRKEEP_ARCHIVE_KEY.*no Fernet key",
        variables={"AIRKEEP_ARCHIVE_KEY": PASSWORD},
    )  # fmt: skip


@fault
def an_environments_key_that_is_none(bench: Bench) -> Fault:
    role = bench.reader(bench.databases.airflow(AIRFLOW))
    return bench.export(
        role, "--secrets", "plain", status=3, says=r"AIRKEEP_FERNET_KEY.*no Fernet key",
        variables={"AIRKEEP_FERNET_KEY": PASSWORD},
    )  # fmt: skip


@fault
def secrets_in_plain_text(bench: Bench) -> Fault:
    url = bench.databases.airflow(AIRFLOW)
    secret = PASSWORD.replace("'", "''")
    bench.sql(url, f"UPDATE variable SET val = '{secret}', is_encrypted = false")
    return bench.export(
        bench.reader(url), status=41, says=r"plain text.*variable \S+\.val.*--allow-plain"
    )


# The lake.


@fault
def a_lake_that_is_a_file(bench: Bench) -> Fault:
    bench.lake.write_text("not a folder")
    role = bench.reader(bench.databases.airflow(AIRFLOW))
    return bench.export(role, status=21, says=r"lake.*(folder|directory)")


@fault
def a_lake_that_cannot_be_written(bench: Bench) -> Fault:
    role = bench.reader(bench.databases.airflow(AIRFLOW))
    found = bench.export(role, status=21, says=r"cannot be used")
    return replace(found, arguments=("export", "env:", "/sys/lake", "-e", "prod"))


# A snapshot that is not what it was.


def _damage(bench: Bench, pattern: str, change: Callable[[bytes], bytes]) -> None:
    [file] = bench.lake.glob(pattern)
    file.chmod(0o644)
    file.write_bytes(change(file.read_bytes()))


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@fault
def a_damaged_file(bench: Bench) -> Fault:
    bench.snapshot()
    _damage(bench, "tables/log/*/*/00000.parquet", _flip)
    url = bench.guarded()
    return bench.restore(url, status=31, says=r"tables/log/.*00000\.parquet.*--skip", target=url)


@fault
def a_shortened_file(bench: Bench) -> Fault:
    bench.snapshot()
    _damage(bench, "tables/log/*/*/00000.parquet", lambda data: data[:-1])
    url = bench.guarded()
    return bench.restore(url, status=31, says=r"tables/log/.*bytes.*--skip", target=url)


@fault
def a_missing_file(bench: Bench) -> Fault:
    bench.snapshot()
    [file] = bench.lake.glob("tables/log/*/*/00000.parquet")
    file.unlink()
    url = bench.guarded()
    return bench.restore(url, status=32, says=r"tables/log/.*not in the lake.*--skip", target=url)


@fault
def a_damaged_schema(bench: Bench) -> Fault:
    bench.snapshot()
    _damage(bench, "snapshots/*/*/schema.sql", _flip)
    url = bench.guarded()
    return bench.restore(url, status=31, says=r"schema\.sql has sha256", target=url)


@fault
def a_newer_format(bench: Bench) -> Fault:
    bench.snapshot()
    _damage(bench, "snapshots/*/*/manifest.json",
            lambda data: json.dumps(json.loads(data) | {"format": 99}).encode())  # fmt: skip
    url = bench.guarded()
    return bench.restore(url, status=33, says=r"format 99.*pip install --upgrade", target=url)


@fault
def a_newer_format_of_another_shape(bench: Bench) -> Fault:
    bench.snapshot()
    _damage(bench, "snapshots/*/*/manifest.json", lambda _: b'{"format": 2, "tables": "elsewhere"}')
    url = bench.guarded()
    return bench.restore(url, status=33, says=r"format 2.*pip install --upgrade", target=url)


@fault
def a_manifest_that_is_no_json(bench: Bench) -> Fault:
    bench.snapshot()
    _damage(bench, "snapshots/*/*/manifest.json", lambda _: b"\x00\x01 not JSON")
    url = bench.guarded()
    return bench.restore(url, status=35, says=r"manifest\.json", target=url)


@fault
def a_manifest_that_is_cut_off(bench: Bench) -> Fault:
    bench.snapshot()
    _damage(bench, "snapshots/*/*/manifest.json", lambda data: data[: len(data) // 2])
    url = bench.guarded()
    return bench.restore(url, status=35, says=r"manifest\.json", target=url)


@fault
def an_empty_manifest(bench: Bench) -> Fault:
    bench.snapshot()
    _damage(bench, "snapshots/*/*/manifest.json", lambda _: b"")
    url = bench.guarded()
    return bench.restore(url, status=35, says=r"manifest\.json", target=url)


@fault
def a_manifest_of_another_snapshot(bench: Bench) -> Fault:
    snapshot = bench.snapshot()
    found, other = snapshot.id.encode(), b"20200101T000000.000000Z"
    _damage(bench, "snapshots/*/*/manifest.json", lambda data: data.replace(found, other, 1))
    url = bench.guarded()
    return bench.restore(url, status=35, says=r"manifest\.json", target=url)


@fault
def a_snapshot_that_is_not_there(bench: Bench) -> Fault:
    snapshot = bench.snapshot()
    return bench.restore(
        bench.guarded(), "1999", "env:", status=34, says=rf"no snapshot '1999'.*{snapshot.id}"
    )


@fault
def a_beginning_that_fits_two_snapshots(bench: Bench) -> Fault:
    ids = [bench.snapshot(), bench.snapshot()]
    return bench.restore(
        bench.guarded(), "2", "env:", status=34, says=rf"'2' fits 2 snapshots.*{ids[0].id}.*more"
    )


@fault
def the_latest_of_two_environments(bench: Bench) -> Fault:
    bench.snapshot(environment="one")
    bench.snapshot(environment="two")
    return bench.restore(bench.guarded(), status=34, says=r"2 environments.*one/latest, two/latest")


# A target that cannot take it.


@fault
def a_target_with_rows(bench: Bench) -> Fault:
    bench.snapshot()
    url = bench.databases.airflow(AIRFLOW)
    owner = bench.role(url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
                       "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")  # fmt: skip
    return bench.restore(
        owner, "latest", "env:", status=52, says=r"is not empty: .*rows", target=url
    )


@fault
def a_target_with_tables(bench: Bench) -> Fault:
    bench.snapshot()
    url = bench.databases.airflow(AIRFLOW)
    return bench.restore(
        bench.reader(url), status=52, says=r"--create-schema needs an empty database", target=url
    )


@fault
def a_target_with_tables_of_something_else(bench: Bench) -> Fault:
    bench.snapshot()
    url = bench.databases.empty()
    bench.sql(url, "CREATE TABLE orders (id int)", "CREATE TABLE items (id int)")
    return bench.restore(
        bench.reader(url), status=52, says=r"--create-schema needs an empty database", target=url
    )


@fault
def a_target_of_another_revision(bench: Bench) -> Fault:
    bench.snapshot("airflow-2112")
    url = bench.databases.airflow(AIRFLOW)
    owner = bench.role(url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
                       "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")  # fmt: skip
    return bench.restore(
        owner,
        "latest",
        "env:",
        status=51,
        says=r"revision.*5f2621c13b39.*add --upgrade",
        target=url,
    )


@fault
def a_target_without_tables(bench: Bench) -> Fault:
    bench.snapshot()
    url = bench.guarded()
    return bench.restore(
        url, "latest", "env:", status=50, says=r"no tables.*--create-schema.*db migrate", target=url
    )


@fault
def a_target_of_another_application(bench: Bench) -> Fault:
    bench.snapshot()
    url = bench.databases.airflow("celery-result-backend")
    return bench.restore(
        bench.reader(url), "latest", "env:", status=13, says=r"Airflow.*dag_run", target=url
    )


@fault
def a_target_of_another_engine(bench: Bench) -> Fault:
    bench.snapshot()
    file = bench.folder / "target.db"
    return bench.restore(f"sqlite:///{file}", status=50, says=r"of postgresql, .* is sqlite:")


@fault
def children_without_their_parents(bench: Bench) -> Fault:
    bench.snapshot()
    url = bench.databases.empty()
    airkeep.restore(str(bench.lake), "latest", url, create_schema=True, **AS_IT_WAS)
    names = ", ".join(t for t in data_of(url) if t != "alembic_version" and "sequence" not in t)
    bench.sql(url, f"TRUNCATE {names}")
    return bench.restore(
        url, "latest", "env:", "--tables", "task_instance", "--lock-timeout", "5",
        status=50, says=r"task_instance, rows refer to others.*--tables", target=url,
    )  # fmt: skip


@pytest.mark.parametrize("make", FAULTS, ids=lambda make: make.__name__)
def test_a_fault_is_one_line_with_its_status_and_leaves_nothing_behind(
    make: Callable[[Bench], Fault], bench: Bench
) -> None:
    met = make(bench)
    before = data_of(met.target) if met.target else {}
    listed = {p for p in bench.folder.rglob("*") if p.is_file()}

    ran = run(bench.folder, (*met.arguments, "-vv"), met.variables)

    [line] = ran.complaints
    assert line.startswith("airkeep: "), line
    assert re.search(met.says, line), line
    assert ran.status == met.status, line
    assert ran.out == ""
    assert_no_secret(ran.out + ran.err)
    assert list((bench.folder / "temporary").iterdir()) == []
    new = {p for p in bench.folder.rglob("*") if p.is_file()} - listed
    assert {p.name for p in new if bench.lake not in p.parents} <= {"out", "err"}
    assert not [p for p in new if p.name == "manifest.json"]
    if met.target:
        assert data_of(met.target) == before


def test_what_may_not_be_read_can_be_skipped(bench: Bench) -> None:
    url = bench.databases.airflow(AIRFLOW)
    bench.sql(url, "CREATE SCHEMA shop", "CREATE TABLE shop.orders (id int PRIMARY KEY)")
    role = bench.reader(
        url,
        "REVOKE SELECT ON xcom FROM {role}",
        "REVOKE SELECT ON SEQUENCE log_id_seq FROM {role}",
    )
    refused = bench.export(role, status=14, says="")
    ran = run(
        bench.folder,
        (*refused.arguments, "-q", "--json", "--skip", "xcom,log", "--skip", "shop.orders"),
        refused.variables,
    )

    assert (ran.status, ran.err) == (0, "")
    manifest = airkeep.Lake(str(bench.lake))["latest"].manifest
    assert json.loads(ran.out)["id"] == manifest.id
    assert not manifest.complete
    assert {"xcom", "log", "shop.orders"}.isdisjoint(t.label for t in manifest.tables)
    assert_no_secret(ran.out + "".join(_texts(bench.lake)))


def test_a_good_export_and_restore_show_no_password_anywhere(bench: Bench) -> None:
    role = bench.reader(bench.databases.airflow(AIRFLOW))
    out = bench.export(role, status=0, says="")
    back = bench.restore(bench.guarded(), status=0, says="")
    for asked in (out, back):
        ran = run(bench.folder, (*asked.arguments, "-vv"), asked.variables)
        assert ran.status == 0, ran.err
        assert_no_secret(ran.out + ran.err)
    for text in _texts(bench.lake):
        assert_no_secret(text)
    assert list((bench.folder / "temporary").iterdir()) == []


def _texts(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode("latin-1")


def test_a_lake_of_another_user_is_refused(bench: Bench, server_folder: Path) -> None:
    """Root may write anywhere, so the command runs as somebody else."""
    if os.getuid() != 0:
        server_folder.chmod(0o555)
        bench.stack.callback(server_folder.chmod, 0o755)
    role = bench.reader(bench.databases.airflow(AIRFLOW))
    script = (
        "import os, sys\n"
        "from airkeep.cli.main import main\n"
        "import airkeep.cli.export, duckdb, importlib.readers, pyarrow.dataset\n"
        "import cryptography.fernet\n"
        "from airkeep.export import run\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "os.chdir('/')\n"
        "main(sys.argv[1:])\n"
    )
    arguments = ["export", "env:", str(server_folder / "lake"), "-e", "prod", "-vv"]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=dict(os.environ) | {VARIABLE: role, "TMPDIR": "/tmp"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    [line] = Ran(done.returncode, done.stdout, done.stderr).complaints
    assert re.fullmatch(r"airkeep: .*lake.*cannot be used \(Permission denied\).*", line)
    assert done.returncode == 21
    assert list(server_folder.iterdir()) == []


def test_a_sqlite_file_that_is_no_target_stays_as_it_was(bench: Bench) -> None:
    file = airflow_sqlite("airflow-3.3.2", bench.folder)
    before = file.read_bytes()
    bench.snapshot()
    met = bench.restore(f"sqlite:///{file}", status=50, says="")
    ran = run(bench.folder, met.arguments, met.variables)
    assert ran.status == 50
    assert file.read_bytes() == before
