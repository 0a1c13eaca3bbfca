"""What an export asks of a database, whichever engine it is, and how one is opened."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from airkeep.database.address import Address
from airkeep.database.catalog import Catalog, Lineage, Table
from airkeep.database.limits import ReadLimits
from airkeep.database.spool import SpoolFile
from airkeep.database.types import Travel

if TYPE_CHECKING:
    import pyarrow as pa

Choose = Callable[[Collection[str]], Collection[str]]


class Reader(Protocol):
    """One instant of one database; a context manager, `fix` first.

    Attributes:
        catalog: as it is at that instant, tables that are not touched included.
        fixed_at: when the instant was fixed, UTC: the server's clock, or the file's reader's.
        lineage: None where the engine keeps no row versions.
    """

    catalog: Catalog
    fixed_at: datetime
    lineage: Lineage | None

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def fix(self, choose: Choose) -> None:
        """Fix the instant and read the catalogue.

        Args:
            choose: gets all labels, gives those to touch; a missing right on others is no matter.

        Raises:
            NotAirflowError: this is not an Airflow database.
            PrivilegeError: tables that may not be read, by name.
            BusyError: a lock, or a quiet moment, was not had in time.
        """

    def ways(self, table: Table) -> list[Travel]:
        """How the values of each stored column travel."""

    def query(self, statement: str) -> list[Any]:
        """Run any SELECT at that instant; a few rows."""

    def spool(self, table: Table, where: str | None = None) -> Iterator[SpoolFile]:
        """The table's rows as closed Parquet files; the caller deletes each when done.

        Args:
            where: a condition in the engine's SQL.
        """

    def batches(self, table: Table, where: str | None = None) -> Iterator[pa.RecordBatch]:
        """The table's rows as Arrow batches: for tables whose values must be looked at."""

    def spool_batches(self, batches: pa.RecordBatchReader) -> Iterator[SpoolFile]:
        """Arrow batches as closed Parquet files, written as `spool` writes."""

    def spool_gone(self, table: Table, parent_keys: str) -> Iterator[SpoolFile]:
        """The keys that `parent_keys` (DuckDB's SQL) has and the table has no more."""


def open_reader(address: Address, folder: Path, limits: ReadLimits) -> Reader:
    """The reader for an address; nothing is connected before `with`.

    Args:
        folder: private, for spool files; the caller removes it.
    """
    if address.kind == "sqlite":
        from airkeep.database.sqlite import SqliteReader

        return SqliteReader(address, folder, limits)
    from airkeep.database.read import PostgresReader

    return PostgresReader(address, folder, limits)
