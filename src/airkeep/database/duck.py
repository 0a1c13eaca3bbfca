"""DuckDB connections as airkeep opens them: bounded memory, no downloads, UTC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airkeep.database.failure import explain
from airkeep.errors import DatabaseError

if TYPE_CHECKING:
    import duckdb

# What Python, the libraries and DuckDB's own allocations outside its limit take beside it, with
# two threads and with one: measured as peak memory less the limit (docs/benchmarks.md).
OUTSIDE_BYTES = 130 << 20
OUTSIDE_SMALL_BYTES = 100 << 20
SMALL_BYTES = 300_000_000
LEAST_BYTES = 60 << 20


def open_duckdb(*, memory_bytes: int, threads: int, spool: Path) -> duckdb.DuckDBPyConnection:
    """A private in-memory DuckDB that keeps to `memory_bytes` for the whole process, about."""
    return _open(memory_bytes, threads, spool, unsigned=False)


def open_postgres_duckdb(
    *, memory_bytes: int, threads: int, spool: Path
) -> duckdb.DuckDBPyConnection:
    """The same with the PostgreSQL scanner: from its wheel, else from DuckDB's own repository.

    The wheel's file needs no signature: it is trusted as DuckDB's library beside it is
    (docs/decisions/0011-extension-from-its-wheel.md). Nothing else is loaded without one.

    Raises:
        DatabaseError: the scanner cannot be loaded.
    """
    import duckdb

    file = _wheel_extension(duckdb.__version__)
    connection = _open(memory_bytes, threads, spool, unsigned=file is not None)
    try:
        if file is None:
            install_postgres(connection)
        else:
            _load_wheel(connection, file)
    except BaseException:
        connection.close()
        raise
    return connection


def _open(
    memory_bytes: int, threads: int, spool: Path, *, unsigned: bool
) -> duckdb.DuckDBPyConnection:
    import duckdb

    limit = duckdb_bytes(memory_bytes)
    threads = threads if memory_bytes >= SMALL_BYTES else 1
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": threads,
            "memory_limit": f"{limit >> 20}MiB",
            "preserve_insertion_order": "false",
            "temp_directory": str(spool / "duckdb"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "true",
            "allow_unsigned_extensions": unsigned,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET enable_external_file_cache = false")  # a file is read once
    return connection


@contextmanager
def explained(where: str, doing: str) -> Iterator[None]:
    """Turn what DuckDB raises into ours; half way through an Arrow reader that is an OSError.

    Args:
        where: what is read.
        doing: what is under way, "comparing task_instance".
    """
    import duckdb

    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise explain(error, where=where, doing=doing) from None


def duckdb_bytes(memory_bytes: int) -> int:
    """DuckDB's share of what the whole process may take."""
    outside = OUTSIDE_BYTES if memory_bytes >= SMALL_BYTES else OUTSIDE_SMALL_BYTES
    return max(memory_bytes - outside, LEAST_BYTES)


def _load_wheel(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    import duckdb

    from airkeep.database.sql import literal

    try:
        connection.execute(f"LOAD {literal(str(file))}")
    except (duckdb.Error, OSError):
        raise DatabaseError(
            f"the postgres extension of DuckDB {duckdb.__version__} is installed and cannot be "
            f"loaded: pip install --force-reinstall {_wheel(duckdb.__version__)}"
        ) from None
    connection.execute("SET allow_unsigned_extensions = false")


def install_postgres(connection: duckdb.DuckDBPyConnection) -> None:
    """Load the PostgreSQL scanner from DuckDB's repository, signed.

    Raises:
        DatabaseError: it cannot be had there.
    """
    import duckdb

    try:
        connection.execute("INSTALL postgres")
        connection.execute("LOAD postgres")
    except duckdb.Error:
        raise DatabaseError(
            f"DuckDB {duckdb.__version__} has no postgres extension and could not download it: "
            f"pip install {_wheel(duckdb.__version__)}"
        ) from None


def _wheel(version: str) -> str:
    return f"duckdb-extension-postgres-scanner=={version}"


def _wheel_extension(version: str) -> Path | None:
    try:
        import duckdb_extension_postgres_scanner as wheel
    except ModuleNotFoundError:
        return None
    for folder in wheel.__path__:
        file = Path(folder, "extensions", f"v{version}", "postgres_scanner.duckdb_extension")
        if file.is_file():
            return file
    return None
