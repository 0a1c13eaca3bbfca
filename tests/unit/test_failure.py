"""What a database library says, and what is made of it: the meaning, never the text."""

from __future__ import annotations

import pytest

from airkeep.database.address import parse_address
from airkeep.database.failure import explain, explain_connect
from airkeep.errors import (
    AirkeepError,
    BusyError,
    ConnectError,
    DatabaseError,
    DiskFullError,
    LostConnectionError,
    PrivilegeError,
    RestoreError,
)

SECRET = "p@ss:w/rd%"
WHERE = "postgresql://keeper@host/airflow"

SAID = [
    ('ERROR:  permission denied for table "xcom"', PrivilegeError, "table.*xcom.*--skip"),
    ('ERROR:  query would be affected by row-level security policy for table "job"',
     PrivilegeError, 'row-level security.*"job".*BYPASSRLS.*--skip'),
    ("ERROR:  canceling statement due to lock timeout", BusyError, "--lock-timeout"),
    ("ERROR:  canceling statement due to statement timeout", BusyError, "--statement-timeout"),
    ("FATAL:  terminating connection due to administrator command",
     LostConnectionError, "run it again"),
    ("SSL SYSCALL error: EOF detected", LostConnectionError, "run it again"),
    ('IO Error: Could not write file "/tmp/x": No space left on device', DiskFullError, "--spool"),
    ("IO Error: Could not write all bytes: File too large", DiskFullError, "--spool"),
    ("Out of Memory Error: failed to offload data block of size 256.0 KiB (0 bytes/0 bytes used).\n"
     "This limit was set by the 'max_temp_directory_size' setting.", DiskFullError, "--spool"),
    ('ERROR:  could not extend file "base/1/2": No space left on device', DiskFullError,
     "the server's own disk"),
    ('ERROR:  insert or update on table "ti" violates foreign key constraint "ti_run_fkey"',
     RestoreError, '"ti_run_fkey".*--tables'),
    ("Out of Memory Error: failed to allocate data", DatabaseError, "--memory"),
    (f'ERROR:  invalid input syntax for type json: "{SECRET}"', DatabaseError,
     "invalid input syntax for type json while reading x. The server's log"),
    (f"Binder Error: something odd about {SECRET}", DatabaseError,
     "the database library failed while reading x. Run it again; .* --skip"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "kind", "told"), SAID)
def test_a_library_error_is_told_by_its_meaning(
    said: str, kind: type[AirkeepError], told: str
) -> None:
    error = explain(
        RuntimeError(f"{said}\nCONTEXT:  COPY {SECRET}"), where=WHERE, doing="reading x"
    )
    assert type(error) is kind
    assert SECRET not in str(error)
    assert "\n" not in str(error)
    with pytest.raises(kind, match=told):
        raise error


def test_a_table_whose_name_means_something_else_changes_nothing() -> None:
    said = (
        'IO Error: Failed to execute query "SELECT certificate, recovery FROM ssl": '
        "ERROR:  division by zero"
    )
    for text in (said, "Binder Error: no column certificate in ssl"):
        error = explain(RuntimeError(text), where=WHERE, doing="reading ssl")
        assert type(error) is DatabaseError
    said = (
        "Unable to connect at \"dbname='x' sslmode='require'\": connection failed: "
        "FATAL:  too many clients already"
    )
    told = explain_connect(RuntimeError(said), address=parse_address(WHERE))
    assert "no connection left" in str(told)
    said = (
        "Unable to connect at \"host='/run' sslmode='disable'\": connection to server on socket "
        '"/run/.s.PGSQL.5432" failed: No such file or directory'
    )
    assert "no server's socket" in str(
        explain_connect(RuntimeError(said), address=parse_address(WHERE))
    )


CONNECT = [
    ('FATAL:  password authentication failed for user "keeper"', "user name or password"),
    ('could not translate host name "x" to address: Name or service not known', "no such host"),
    ("Connection refused\n\tIs the server running on that host", "nothing listens"),
    ("timeout expired", "did not answer"),
    ("FATAL:  no pg_hba.conf entry for host", "TLS"),
    ('FATAL:  permission denied for database "airflow"', "GRANT CONNECT"),
    ('FATAL:  role "keeper" does not exist', "no such user"),
    ("FATAL:  sorry, too many clients already", "no connection left"),
    ("FATAL:  the database system is starting up", "when it is up"),
    ('FATAL:  database "airflow" does not exist', "no database 'airflow'"),
    (f"something nobody knows {SECRET}", "no connection"),
]


@pytest.mark.parametrize(("said", "told"), CONNECT)
def test_a_connection_that_was_never_made_says_why(said: str, told: str) -> None:
    conninfo = f"host=x password='{SECRET}'"
    error = explain_connect(
        RuntimeError(f"unable to attach {conninfo}: {said}"), address=parse_address(WHERE)
    )
    assert type(error) is ConnectError
    assert str(error).startswith(f"{WHERE}: ")
    assert told in str(error)
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    ("url", "said", "told"),
    [
        ("postgresql://keeper@host/", 'FATAL:  database "keeper" does not exist',
         "no database 'keeper'. The address names none"),
        ("postgresql:///airflow", "connection failed: No such file or directory",
         "The address names no host"),
        ("postgresql:///airflow?host=/run", "connection failed: No such file or directory",
         "no server's socket in that folder"),
    ],
)  # fmt: skip
def test_what_the_address_leaves_out_is_told(url: str, said: str, told: str) -> None:
    address = parse_address(url)
    error = explain_connect(RuntimeError(said), address=address)
    assert type(error) is ConnectError
    assert str(error).startswith(f"{address}: ")
    assert told in str(error)


def test_a_schema_that_takes_no_tables_wants_another_right_than_a_table() -> None:
    said = RuntimeError("ERROR:  permission denied for schema public")
    error = explain(said, where=WHERE, doing="creating tables")
    assert type(error) is PrivilegeError
    assert "GRANT CREATE ON SCHEMA public TO this user" in str(error)
    assert "--skip" not in str(error)
    assert "--skip" in str(explain(said, where=WHERE, doing="locking tables"))


def test_a_prune_without_the_right_to_delete_is_told_what_it_may_do() -> None:
    said = RuntimeError("ERROR:  permission denied for table dag_run")
    error = explain(said, where=WHERE, doing="deleting")
    assert type(error) is PrivilegeError
    assert "as the owner of the tables" in str(error)
    assert "--skip" not in str(error)
