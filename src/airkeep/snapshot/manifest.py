"""The manifest: what a snapshot is, in one JSON document, saved last.

The classes are the format. `docs/manifest.schema.json` is generated from them, and
docs/format.md says what each field means. A reader refuses a newer `format` and ignores
fields that it does not know within its own. msgspec is imported where it is used: the classes
travel to places that have the standard library only (lake/spark.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from airkeep.errors import ManifestError, NewerFormatError
from airkeep.snapshot.decode import decode

FORMAT = 1

Mode = Literal["full", "increment"]
SecretsMode = Literal["keep", "seal", "drop", "plain"]
Layout = Literal["dated-csv", "orm-csv", "pipe-csv", "archive-csv", "pg_dump"]


@dataclass(frozen=True)
class FileEntry:
    """One saved file: `path` from the lake's root, `sha256` of its bytes in hex."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ColumnEntry:
    """One column: `type` as the database spells it, `parquet` as DuckDB does.

    Attributes:
        encoding: how the database's value stands in the Parquet one: `same`, `text` (the
            database's own text of it) or `literal` (a SQLite literal, see docs/format.md).
        secret: what it holds, where it is one of Airflow's secrets.
    """

    name: str
    type: str
    parquet: str
    nullable: bool = True
    default: str | None = None
    generated: bool = False
    encoding: Literal["same", "text", "literal"] = "same"
    secret: str | None = None


@dataclass(frozen=True)
class ReferenceEntry:
    """A foreign key; `target` is the label of the table it points at."""

    name: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True)
class TableEntry:
    """One table of the snapshot.

    Attributes:
        label: what the snapshot calls it; `schema` and `name` are the database's.
        rows: rows of the table at this instant, parents' included.
        files: this snapshot's own; of an increment only what changed, unless `whole`.
        whole: the files hold the table whole, so readers of it need no parent.
        deleted: files with the keys of the rows that are gone since the parent.
        window: which rows were taken, in words, when not all were.
        settled: rows whose version is older than the lineage's `xmin`; None where unknown.
    """

    label: str
    schema: str | None
    name: str
    role: str
    columns: tuple[ColumnEntry, ...]
    key: tuple[str, ...]
    references: tuple[ReferenceEntry, ...]
    rows: int
    files: tuple[FileEntry, ...]
    whole: bool = True
    deleted: tuple[FileEntry, ...] = ()
    deleted_rows: int = 0
    window: str | None = None
    settled: int | None = None
    oid: int | None = None

    @property
    def bytes(self) -> int:
        return sum(f.bytes for f in (*self.files, *self.deleted))

    def column(self, name: str) -> ColumnEntry:
        return next(c for c in self.columns if c.name == name)


@dataclass(frozen=True)
class SequenceEntry:
    """A sequence and how far it was."""

    label: str
    schema: str | None
    name: str
    last_value: int
    is_called: bool
    increment: int
    owner: str | None = None
    owner_column: str | None = None


@dataclass(frozen=True)
class LineageEntry:
    """Which database, and its transaction horizon (64-bit); see docs/format.md."""

    system_identifier: str
    database_oid: int
    timeline: int | None
    server_start: str
    xmin: int
    xmax: int


@dataclass(frozen=True)
class ServerEntry:
    """What held the database."""

    engine: Literal["postgresql", "sqlite"]
    version: str


@dataclass(frozen=True)
class SecretsEntry:
    """What was done with secrets, and which keys they need now (fingerprints, never keys)."""

    mode: SecretsMode
    archive_keys: tuple[str, ...] = ()
    plain_values: int = 0


@dataclass(frozen=True)
class WindowEntry:
    """The cutoff of `--since`; tables say in words what they took."""

    cutoff: datetime


@dataclass(frozen=True)
class ParentEntry:
    """The snapshot that an increment stands on, and the bytes it was seen with."""

    id: str
    manifest_sha256: str


@dataclass(frozen=True)
class CompactedEntry:
    """The chain that this snapshot was folded from: its newest snapshot, and all of their ids."""

    id: str
    manifest_sha256: str
    chain: tuple[str, ...]


@dataclass(frozen=True)
class RekeyedEntry:
    """The snapshot that this one equals but for the key of its secrets.

    Attributes:
        chain: the ids of all that it was folded from, the newest first.
        key: the fingerprint of the key that encrypts now.
    """

    id: str
    manifest_sha256: str
    chain: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class DagRunEntry:
    """The DAG run that carried the export itself, where there is one."""

    dag_id: str
    run_id: str


@dataclass(frozen=True)
class RepairEntry:
    """What was done with some values of a column, in words, because the source says less."""

    table: str
    column: str
    what: str
    values: int


@dataclass(frozen=True)
class AdoptedEntry:
    """The backup of another tool that the snapshot was made of.

    Attributes:
        source: its place, without secrets.
        sha256: of the sorted lines `<sha256 of a file>  <its path in the source>`.
        time: how the instant is known, which is the snapshot's id.
        notes: what could not be known, in words.
        repairs: by column.
    """

    layout: Layout
    source: str
    sha256: str
    time: str
    notes: tuple[str, ...] = ()
    repairs: tuple[RepairEntry, ...] = ()


@dataclass(frozen=True)
class UpgradeStepEntry:
    """One run of an Airflow: what it did, and the release that came of it."""

    airflow: str
    deed: Literal["migrate", "downgrade", "merge heads"]
    to: str
    took_s: float


@dataclass(frozen=True)
class UpgradedTableEntry:
    """What became of one table.

    Attributes:
        label: what it is called afterwards; `was` before, where it has another name now.
        before, after: its rows, None where there is no such table.
        gone, new: columns; `changed`: as `name: type before -> type after`.
        why: what became of rows that are not there any more, where that is known.
    """

    label: str
    before: int | None
    after: int | None
    was: str | None = None
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    why: str | None = None


@dataclass(frozen=True)
class ProofEntry:
    """Rows that were compared before and after, by their natural key.

    Attributes:
        what: `runs`, `task instances`, ...
        equal: how many are equal, in all of `columns`.
        left_out: why some were not compared, and how many.
        converted: values that Airflow wrote otherwise, by what it did; they are equal so.
    """

    what: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    equal: int
    left_out: dict[str, int] = field(default_factory=dict)
    converted: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class UpgradedEntry:
    """The snapshot that this one is, as a newer Airflow has it.

    Attributes:
        manifest_sha256: of the snapshot that it was made of.
        notes: what people should know.
    """

    environment: str
    id: str
    manifest_sha256: str
    airflow_version: str
    to: str
    steps: tuple[UpgradeStepEntry, ...]
    tables: tuple[UpgradedTableEntry, ...]
    proof: tuple[ProofEntry, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """One instant of one database. Times are UTC, sizes bytes."""

    format: int
    airkeep: str
    run_id: str
    environment: str
    id: str
    airflow_version: str
    revisions: tuple[str, ...]
    server: ServerEntry
    mode: Mode
    complete: bool
    secrets: SecretsEntry
    schema_sql: FileEntry
    tables: tuple[TableEntry, ...]
    sequences: tuple[SequenceEntry, ...]
    started: datetime
    finished: datetime
    main_schema: str | None = None
    parent: ParentEntry | None = None
    full_because: str | None = None
    window: WindowEntry | None = None
    lineage: LineageEntry | None = None
    dag_run: DagRunEntry | None = None
    compacted: CompactedEntry | None = None
    rekeyed: RekeyedEntry | None = None
    adopted: AdoptedEntry | None = None
    upgraded: UpgradedEntry | None = None
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    timings_s: dict[str, float] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(t.rows for t in self.tables)

    @property
    def bytes(self) -> int:
        """Bytes of this snapshot's own files, its parents' not counted."""
        return self.schema_sql.bytes + sum(t.bytes for t in self.tables)

    @property
    def labels(self) -> tuple[str, ...]:
        """Every table's label, in order."""
        return tuple(table.label for table in self.tables)

    def table(self, label: str) -> TableEntry | None:
        return next((t for t in self.tables if t.label == label), None)

    def files(self) -> list[FileEntry]:
        """Every file that the manifest names, the schema first."""
        return [self.schema_sql, *(f for t in self.tables for f in (*t.files, *t.deleted))]


@dataclass(frozen=True)
class Summary:
    """What a listing shows of a snapshot: derived from its manifest, kept in `index/`."""

    environment: str
    id: str
    airflow_version: str
    engine: str
    mode: Mode
    complete: bool
    parent: str | None
    tables: int
    rows: int
    bytes: int
    took_s: float
    secrets: SecretsMode
    window: bool


def summarize(manifest: Manifest) -> Summary:
    """Derive what a listing shows."""
    return Summary(
        environment=manifest.environment,
        id=manifest.id,
        airflow_version=manifest.airflow_version,
        engine=manifest.server.engine,
        mode=manifest.mode,
        complete=manifest.complete,
        parent=manifest.parent.id if manifest.parent else None,
        tables=len(manifest.tables),
        rows=manifest.rows,
        bytes=manifest.bytes,
        took_s=round((manifest.finished - manifest.started).total_seconds(), 3),
        secrets=manifest.secrets.mode,
        window=manifest.window is not None,
    )


def encode(document: Manifest | Summary) -> bytes:
    """The document as JSON, a field a line: people read manifests too."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode_manifest(data: bytes, path: str) -> Manifest:
    """Read a manifest.

    Raises:
        NewerFormatError: it was written by a newer airkeep.
        ManifestError: it is no manifest.
    """
    import msgspec

    try:
        version = decode(data, _Versioned).format
        if version > FORMAT:
            raise NewerFormatError(path, found=version, known=FORMAT)
        return decode(data, Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from None


def unreadable(path: str, error: Exception) -> ManifestError:
    """What to raise for a document that is no manifest."""
    return ManifestError(
        f"{path} is not a manifest that can be read ({error}): the file was changed or "
        f"cut off. Use another snapshot."
    )


def decode_summary(data: bytes) -> Summary | None:
    """Read an index entry; None when it is not one (it is only derived: read the manifest)."""
    import msgspec

    try:
        return decode(data, Summary)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def json_schema() -> dict[str, object]:
    """The JSON Schema of a manifest, as in docs/manifest.schema.json."""
    import msgspec

    return msgspec.json.schema(Manifest)


@dataclass(frozen=True)
class _Versioned:
    format: int
