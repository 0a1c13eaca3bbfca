"""A lake for Spark: views of exactly the files that its manifests name.

A folder's listing would find increments and garbage; so the manifests are read first, by Spark
itself, wherever the cluster's file system can. Only PySpark (3.5 or 4) and the standard library
are needed: this module travels in the script that `airkeep models --engine spark` writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from airkeep.errors import ConfigError, NoSuchSnapshotError, did_you_mean
from airkeep.lake.columns import Kind
from airkeep.lake.histories import histories
from airkeep.lake.manifests import Manifests, Warn
from airkeep.lake.views import OWN, history_view, last_view, newest_view, state_view, versions_view
from airkeep.snapshot.documents import manifest_of
from airkeep.snapshot.manifest import ColumnEntry, FileEntry, Manifest
from airkeep.snapshot.names import SnapshotName, check_environment

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # as Spark 4 has it: what cannot be is an error, not NULL
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    # an environment's name is text, 007 too
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",  # DuckDB's calendar, to year 1
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
}
_STORED = {
    "BOOLEAN": "boolean",
    "SMALLINT": "smallint",
    "INTEGER": "int",
    "BIGINT": "bigint",
    "FLOAT": "float",
    "DOUBLE": "double",
    "VARCHAR": "string",
    "BLOB": "binary",
    "DATE": "date",
    "TIMESTAMP": "timestamp_ntz",
    "TIMESTAMPTZ": "timestamp",
}


def own_session(spark: SparkSession) -> SparkSession:
    """A session beside that one: views and settings of ours are not seen in the other."""
    session = spark.newSession()
    for name, value in SETTINGS.items():
        session.conf.set(name, value)
    return session


class ReadSnapshots:
    """The manifests of a lake as Spark has read them, each decoded when it is asked for."""

    def __init__(self, url: str, documents: Mapping[SnapshotName, tuple[str, str]]) -> None:
        self.url = url
        self._documents = documents

    def environments(self) -> list[str]:
        return sorted({name.environment for name in self._documents})

    def check_environment(self, environment: str) -> None:
        """Refuse an environment that nothing here is of.

        Raises:
            NoSuchSnapshotError: there is none.
        """
        if environment not in self.environments():
            raise NoSuchSnapshotError(f"{self.url} has no snapshots of {environment}")

    def names(self, environment: str) -> list[SnapshotName]:
        """Those of an environment, newest first."""
        return sorted((n for n in self._documents if n.environment == environment), reverse=True)

    def outline(self, name: SnapshotName) -> Manifest:
        """The manifest.

        Raises:
            SnapshotError: it cannot be read.
        """
        text, path = self._documents[name]
        return manifest_of(text, path)


def read_snapshots(
    spark: SparkSession, url: str, *, environments: Sequence[str] = ()
) -> ReadSnapshots:
    """Read a lake's manifests.

    Args:
        url: as the cluster's file system knows it: `s3://bucket/prefix`, `hdfs://`, a folder.
        environments: only these; all of them when empty.

    Raises:
        NoSuchSnapshotError: there is none, or none of one of the environments.
    """
    folder = f"{url}/snapshots"
    folders = [f"{folder}/environment={check_environment(e)}" for e in environments] or [folder]
    of = f" of {', '.join(environments)}" if environments else ""
    with explained(f"{url} has no snapshots{of}"):
        documents = spark.read.text(
            folders, wholetext=True, pathGlobFilter="manifest.json", recursiveFileLookup=True
        )
        rows = documents.select("value", "_metadata.file_path").toLocalIterator()
        found = {_name_of(row.file_path): (row.value, row.file_path) for row in rows}
    return ReadSnapshots(url, found)


def _name_of(path: str) -> SnapshotName:
    *_, folder, snapshot, _ = path.split("/")
    return SnapshotName(folder.removeprefix("environment="), snapshot)


class SparkLake:
    """Spark over a lake: as `OpenLake` of DuckDB, with the same statements.

    Args:
        spark: of `own_session`.
        environments: only these; all of them when empty.
        at: as the lake was known at this time; now, when None.
        warn: told of a snapshot that cannot be read and was passed over.

    Raises:
        NoSuchSnapshotError: there is none, of these environments and up to that time.
        SnapshotError: none of them can be read.
    """

    def __init__(
        self,
        spark: SparkSession,
        snapshots: ReadSnapshots,
        *,
        environments: Sequence[str] = (),
        at: datetime | None = None,
        warn: Warn,
    ) -> None:
        self.spark, self._url = spark, snapshots.url
        self._manifests = Manifests(snapshots, environments, at, warn)
        known = self.manifests()
        self._manifests.check_readable("", ())
        if not known:
            raise NoSuchSnapshotError(
                f"{self._url} has no snapshots of that time: correct the lake's name, or --as-of"
            )
        self._relations: dict[tuple[str, ...], str] = {}

    def manifests(self) -> list[Manifest]:
        """Those of every snapshot that can be read, each environment's newest first."""
        return self._manifests.all()

    def query(self, statement: str) -> DataFrame:
        """What a statement in Spark's SQL finds; instants are UTC without a zone.

        Raises:
            ConfigError: Spark does not take it.
        """
        with explained("the question failed"):
            return without_zone(self.spark.sql(statement))

    def need(self, name: str) -> None:
        """Make the view `<table>`, `<table>_history` or `history.<table>`, which is one name here.

        Raises:
            ConfigError: no snapshot has that table.
        """
        self._view(name, self._statement(name))

    def need_last(
        self, name: str, label: str, columns: Mapping[str, Kind], *, key: Sequence[str]
    ) -> None:
        """Make a view of every row of a table ever seen, as it was last seen."""
        pieces = self._manifests.history(label)
        self._view(name, last_view(pieces, columns, self._source, key=key))

    def need_versions(self, name: str, label: str, columns: Mapping[str, Kind]) -> None:
        """Make a view of every version of every row of a table."""
        pieces = self._manifests.history(label)
        self._view(name, versions_view(pieces, columns, self._source, digest=_digest))

    def need_newest(self, name: str, label: str, columns: Mapping[str, Kind]) -> None:
        """Make a view of the rows of a table that are there."""
        pieces = self._manifests.state(label)
        self._view(name, newest_view(pieces, columns, self._source))

    def make_table(self, name: str, statement: str, *, aside: str | None = None) -> None:
        """Give a statement in Spark's SQL a name.

        Args:
            aside: the URL of a folder that is not there yet and that every executor reaches. The
                rows are counted now and lie there as Parquet, so that others' plans end there;
                None to count them wherever they are read.
        """
        with explained(name):
            rows = self.spark.sql(statement)
            if aside is not None:
                rows.write.parquet(aside)
                rows = self.spark.read.schema(rows.schema).parquet(aside)
            rows.createOrReplaceTempView(name)

    def _view(self, name: str, statement: str) -> None:
        with explained(name):
            self.spark.sql(statement).createOrReplaceTempView(_quoted(name))

    def _statement(self, name: str) -> str:
        if pieces := self._manifests.state(name):
            return state_view(pieces, self._source)
        labels = histories(name)
        for label in labels:
            if pieces := self._manifests.history(label):
                return history_view(pieces, self._source, digest=_digest)
        known = {label for one in self._manifests.newest() for label in one.labels}
        for label in (name, *labels):
            self._manifests.check_readable(label, known)
        near = did_you_mean([name, *labels][-1], known)
        raise ConfigError(f"{self._url} has no table {name!r}{near}")

    def _source(self, files: Sequence[FileEntry], columns: Sequence[ColumnEntry]) -> str:
        paths = tuple(file.path for file in files)
        if paths not in self._relations:
            name = f"airkeep_files_{len(self._relations)}"
            self._read(paths, columns).createOrReplaceTempView(name)
            self._relations[paths] = name
        return self._relations[paths]

    def _read(self, paths: Sequence[str], columns: Sequence[ColumnEntry]) -> DataFrame:
        fields = ", ".join(_field(c) for c in columns if c.name.lower() not in OWN)
        root = paths[0].partition("/environment=")[0]
        read = (
            self.spark.read.schema(fields)
            .option("basePath", f"{self._url}/{root}")
            .parquet(*(f"{self._url}/{path}" for path in paths))
        )
        return without_zone(read, to="timestamp")


def without_zone(rows: DataFrame, *, to: str = "timestamp_ntz") -> DataFrame:
    """The rows with every time as that one of Spark's two kinds of TIMESTAMP; both are UTC."""
    other = {"timestamp_ntz": "timestamp", "timestamp": "timestamp_ntz"}[to]
    named = ((_quoted(f.name), f.dataType.simpleString()) for f in rows.schema.fields)
    return rows.selectExpr(
        *(f"CAST({name} AS {to}) AS {name}" if kind == other else name for name, kind in named)
    )


def _field(column: ColumnEntry) -> str:
    return f"{_quoted(column.name)} {_STORED[column.parquet]}"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _digest(columns: Sequence[str]) -> str:
    """Spark's hash passes NULLs over, so they are told beside the values."""
    told = (f"{_quoted(n)}, isnull({_quoted(n)})" for n in columns)
    return f"xxhash64({', '.join(told)})"


@contextmanager
def explained(what: str) -> Iterator[None]:
    """What Spark refuses, or fails at, is said in the first line of its words."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        kind = NoSuchSnapshotError if "PATH_NOT_FOUND" in str(error) else ConfigError
        raise kind(f"{what}: {_first(str(error))}") from None
    except Py4JJavaError as error:
        raise ConfigError(f"{what}: {_first(str(error.java_exception))}") from None


def _first(text: str) -> str:
    return text.partition("\n")[0]
