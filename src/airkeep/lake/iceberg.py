"""Every environment's newest full snapshot as Iceberg tables, by the files that are there.

Which catalog, and where its own metadata lies, is pyiceberg's configuration (`.pyiceberg.yaml`,
`PYICEBERG_CATALOG__NAME__URI`): a REST service, Glue, a SQL database. A table's old files and new
ones change places in one commit, so a reader sees the one state or the other. Nothing is copied,
and a snapshot that `clean` takes away is gone from the table, too: register again after it. An
environment that has no full snapshot any more has no tables then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airkeep.errors import CatalogError, MissingExtraError
from airkeep.lake.register import catalog_names
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.manifest import Manifest, TableEntry
from airkeep.store.local import LocalStore

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction

LAKE, SNAPSHOT = "airkeep.lake", "airkeep.snapshot"


@dataclass(frozen=True)
class EnvironmentTables:
    """What was registered of one environment.

    Attributes:
        namespace: where its tables are.
        snapshot: the one whose rows they hold; None where no full snapshot is there.
        newer: how many snapshots are newer: increments and windows, which add no file.
        changed: tables that held other rows before, or were not there.
        dropped: tables that the snapshot has no more; without one, all that were there.
    """

    environment: str
    namespace: str
    snapshot: str | None
    newer: int
    tables: int = 0
    changed: int = 0
    dropped: int = 0


def open_catalog(name: str) -> Catalog:
    """A catalog by its name in pyiceberg's configuration.

    Raises:
        MissingExtraError: pyiceberg is not installed.
        CatalogError: it is no name, or nothing of that name is configured, or it cannot be used.
    """
    try:
        from pyiceberg.catalog import load_catalog
    except ImportError:
        raise MissingExtraError("an Iceberg catalog", "iceberg") from None
    if not re.fullmatch(r"[\w.-]+", name):  # an address may hold a password, and is not said again
        raise CatalogError(
            "--iceberg takes a catalog's name, found what is none, maybe an address: set "
            "PYICEBERG_CATALOG__NAME__URI to its address, and say --iceberg NAME"
        )
    with _explained(f"the catalog {name!r} cannot be opened"):
        try:
            return load_catalog(name)
        except ValueError:  # its words may repeat the whole configuration, passwords too
            variable = f"set PYICEBERG_CATALOG__{name.upper()}__URI, or "
            if not re.fullmatch(r"[A-Za-z0-9_]+", name):
                variable = ""  # no shell can set that one
            raise CatalogError(
                f"pyiceberg cannot open a catalog {name!r}: {variable}describe it in "
                f".pyiceberg.yaml"
            ) from None


def register_iceberg(
    lake: Lake, catalog: Catalog, *, report: Callable[[str], None] = lambda _: None
) -> list[EnvironmentTables]:
    """Make the catalog's tables those of the newest full snapshots; again and again.

    Args:
        report: told each table before it is changed.

    Raises:
        CatalogError: the catalog failed, or has a table of such a name that is not ours.
    """
    environments = lake.environments()
    namespaces = catalog_names(environments)
    done = []
    for environment in environments:
        newest, newer = _newest_full(lake, environment)
        to = _Namespace(catalog, namespaces[environment], lake.url, _root(lake), report)
        with _explained(f"registering the environment {environment}"):
            if newest is not None:
                done.append(to.register(newest, newer))
            else:
                gone = to.clear()
                done.append(EnvironmentTables(environment, to.name, None, newer, dropped=gone))
    return done


def _newest_full(lake: Lake, environment: str) -> tuple[Manifest | None, int]:
    """The newest one that holds everything without a parent, and how many are newer."""
    names = lake.names(environment)
    for newer, name in enumerate(names):
        manifest = lake.manifest(name)
        if manifest.complete and manifest.parent is None:
            return manifest, newer
    return None, len(names)


@dataclass(frozen=True)
class _Namespace:
    """Where the tables of one environment go."""

    catalog: Catalog
    name: str
    lake: str
    root: str
    report: Callable[[str], None]

    def register(self, newest: Manifest, newer: int) -> EnvironmentTables:
        self.catalog.create_namespace_if_not_exists(self.name)
        known = self._known()
        wanted = catalog_names(table.label for table in newest.tables)
        for name in sorted(known.keys() & set(wanted.values())):
            if known[name].properties.get(LAKE) != self.lake:
                raise CatalogError(
                    f"{self.name}.{name} is there and is not of {self.lake}: drop it, or use "
                    f"another catalog"
                )
        changed = sum(
            self._put(known.get(wanted[entry.label]), wanted[entry.label], entry, newest.id)
            for entry in newest.tables
        )
        gone = self._drop(known, keep=set(wanted.values()))
        return EnvironmentTables(
            newest.environment, self.name, newest.id, newer, len(newest.tables), changed, gone
        )

    def clear(self) -> int:
        """Drop every table of this lake's: no snapshot has their rows. Gives how many there were.

        No file of the lake is deleted.
        """
        from pyiceberg.exceptions import NoSuchNamespaceError

        try:
            known = self._known()
        except NoSuchNamespaceError:
            return 0
        return self._drop(known, keep=())

    def _known(self) -> dict[str, Table]:
        listed = self.catalog.list_tables(self.name)
        return {name: self.catalog.load_table((self.name, name)) for *_, name in listed}

    def _drop(self, known: Mapping[str, Table], keep: Collection[str]) -> int:
        ours = (name for name, table in known.items() if table.properties.get(LAKE) == self.lake)
        gone = sorted(set(ours).difference(keep))
        for name in gone:
            self.report(f"{self.name}.{name}")
            self.catalog.drop_table((self.name, name))
        return len(gone)

    def _put(self, table: Table | None, name: str, entry: TableEntry, snapshot: str) -> bool:
        """Give a table the snapshot's files; whether it had others."""
        if table is not None and table.properties.get(SNAPSHOT) == snapshot:
            return False
        self.report(f"{self.name}.{name}")
        schema = _schema(entry)
        if table is None:
            table = self.catalog.create_table(
                (self.name, name), schema, properties={LAKE: self.lake}
            )
        with table.transaction() as transaction:
            _reshape(table, schema, transaction)
            if next(iter(table.scan().plan_files()), None) is not None:
                transaction.delete(_everything())
            if entry.files:
                paths = [f"{self.root}/{file.path}" for file in entry.files]
                transaction.add_files(paths, check_duplicate_files=False)
            transaction.set_properties({SNAPSHOT: snapshot})
        return True


def _schema(entry: TableEntry) -> Schema:
    from pyiceberg import types
    from pyiceberg.schema import Schema

    stored = [c for c in entry.columns if not c.generated]
    return Schema(
        *(
            types.NestedField(number, column.name, getattr(types, _TYPE[column.parquet])())
            for number, column in enumerate(stored, start=1)
        )
    )


_TYPE = {
    "BOOLEAN": "BooleanType", "SMALLINT": "IntegerType", "INTEGER": "IntegerType",
    "BIGINT": "LongType", "FLOAT": "FloatType", "DOUBLE": "DoubleType", "VARCHAR": "StringType",
    "BLOB": "BinaryType", "DATE": "DateType", "TIMESTAMP": "TimestampType",
    "TIMESTAMPTZ": "TimestamptzType",
}  # fmt: skip


def _reshape(table: Table, schema: Schema, transaction: Transaction) -> None:
    """The table's columns as the schema has them; one whose type changed is another column."""
    there = {field.name: field.field_type for field in table.schema().fields}
    wanted = {field.name: field.field_type for field in schema.fields}
    gone = [name for name, kind in there.items() if wanted.get(name) != kind]
    added = [name for name, kind in wanted.items() if there.get(name) != kind]
    if gone:
        with transaction.update_schema(allow_incompatible_changes=True) as update:
            for name in gone:
                update.delete_column((name,))
    if added:
        with transaction.update_schema() as update:
            for name in added:
                update.add_column((name,), wanted[name])


def _everything() -> BooleanExpression:
    from pyiceberg.expressions import AlwaysTrue

    return AlwaysTrue()


def _root(lake: Lake) -> str:
    store = lake.store
    if isinstance(store, LocalStore):
        return store.folder.resolve().as_uri()
    return store.url.rstrip("/")


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """What pyiceberg raises, as an error of ours: its words may hold a configuration's secrets."""
    from pyiceberg.exceptions import (
        CommitFailedException,
        NotInstalledError,
        ServiceUnavailableError,
    )

    failures: tuple[type[Exception], ...] = (*_errors(), *_sql_errors(), OSError, ValueError)
    try:
        yield
    except (CommitFailedException, ServiceUnavailableError) as error:
        raise CatalogError(f"{doing}: {type(error).__name__}: run it again") from None
    except NotInstalledError as error:  # a sentence of pyiceberg's own, which quotes nothing
        raise CatalogError(f"{doing}: {error}") from None
    except failures as error:
        raise CatalogError(
            f"{doing}: {type(error).__name__}: look at the catalog's configuration, and at the "
            f"rights on its warehouse and on the lake"
        ) from None


def _errors() -> tuple[type[Exception], ...]:
    from pyiceberg import exceptions

    found = (one for one in vars(exceptions).values() if isinstance(one, type))
    return tuple(one for one in found if issubclass(one, Exception))


def _sql_errors() -> tuple[type[Exception], ...]:
    try:
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:  # a REST catalog needs none
        return ()
    return (SQLAlchemyError,)
