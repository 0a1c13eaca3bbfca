"""What a snapshot says of a database: tables, columns, sequences, lineage, schema.sql."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from airkeep.database.catalog import Catalog, Lineage, Table
from airkeep.database.ddl import make_ddl
from airkeep.database.reader import Reader
from airkeep.export.plan import TablePlan
from airkeep.snapshot import manifest as m
from airkeep.snapshot.names import id_time
from airkeep.tables.revisions import airflow_version
from airkeep.tables.shapes import core_tables


def table_entry(
    reader: Reader, table: TablePlan, files: Sequence[m.FileEntry], *, rows: int
) -> m.TableEntry:
    """One table, exported as a whole."""
    source = table.table
    return m.TableEntry(
        label=table.label,
        schema=source.schema,
        name=source.name,
        role=table.role,
        columns=column_entries(source, reader, table),
        key=source.key,
        references=tuple(
            m.ReferenceEntry(
                f.name,
                f.columns,
                reader.catalog.label_of(f.target_schema, f.target),
                f.target_columns,
            )
            for f in source.foreign_keys
        ),
        rows=rows,
        files=tuple(files),
        window=table.window,
        oid=source.oid or None,
    )


@dataclass(frozen=True)
class Origin:
    """The backup that a scratch database was made of: the snapshot is the backup's, not its.

    Attributes:
        at: the backup's own time, which the snapshot's id is.
        server_version: of the server that was backed up.
    """

    adopted: m.AdoptedEntry
    at: datetime
    server_version: str


@dataclass(frozen=True)
class UpgradeOrigin:
    """The snapshot that was migrated in a scratch database: what is exported is that snapshot.

    Attributes:
        upgraded: what was done, and what was seen to be equal.
        parent: the snapshot's manifest.
        window: what the snapshot was cut to before.
    """

    upgraded: m.UpgradedEntry
    parent: m.Manifest
    window: m.WindowEntry | None = None

    @property
    def at(self) -> datetime:
        """The snapshot's instant: no row is any newer."""
        return id_time(self.parent.id)


def as_of_origin(manifest: m.Manifest, origin: Origin | UpgradeOrigin) -> m.Manifest:
    """What the manifest says when the database was only a scratch one."""
    if isinstance(origin, UpgradeOrigin):
        return _as_upgraded(manifest, origin)
    return _as_adopted(manifest, origin)


def _as_upgraded(manifest: m.Manifest, origin: UpgradeOrigin) -> m.Manifest:
    parent = origin.parent
    return replace(
        manifest,
        upgraded=origin.upgraded,
        window=origin.window or parent.window,
        # A window that was asked for is all that the new environment begins with.
        complete=manifest.complete and parent.complete and parent.secrets.mode != "drop",
        secrets=parent.secrets,
        lineage=None,
        dag_run=parent.dag_run,
        server=replace(manifest.server, version=parent.server.version),
        tables=tuple(replace(t, oid=None, settled=None) for t in manifest.tables),
        left_out=tuple(dict.fromkeys((*parent.left_out, *manifest.left_out))),
    )


def _as_adopted(manifest: m.Manifest, origin: Origin) -> m.Manifest:
    first = airflow_version(manifest.revisions).first
    notes = list(origin.adopted.notes)
    missing = sorted(core_tables(first) - {t.label for t in manifest.tables}) if first else []
    if missing:
        notes.append(f"tables of this Airflow that are not in the backup: {', '.join(missing)}")
    if not first:
        notes.append("whether all of its Airflow's tables are in the backup is not known")
    return replace(
        manifest,
        adopted=replace(origin.adopted, notes=tuple(notes)),
        complete=manifest.complete and bool(first) and not missing,
        lineage=None,
        server=replace(manifest.server, version=origin.server_version),
        tables=tuple(replace(t, oid=None, settled=None) for t in manifest.tables),
    )


def lineage_entry(lineage: Lineage | None) -> m.LineageEntry | None:
    """Where the database stood; SQLite has no such thing."""
    if lineage is None:
        return None
    return m.LineageEntry(
        lineage.system_identifier,
        lineage.database_oid,
        lineage.timeline,
        lineage.server_start,
        lineage.xmin,
        lineage.xmax,
    )


def schema_text(catalog: Catalog) -> str:
    """What `schema.sql` holds: our own statements, or SQLite's as they were written."""
    if catalog.engine == "postgresql":
        return make_ddl(catalog).script()
    made = (t.definition for t in catalog.tables if t.definition)
    return "".join(f"{s};\n" for s in (*made, *catalog.statements))


def column_entries(source: Table, reader: Reader, table: TablePlan) -> tuple[m.ColumnEntry, ...]:
    """Every column, generated ones too (they have no Parquet column)."""
    ways = dict(zip((c.name for c in source.stored_columns), reader.ways(source), strict=True))
    held = {s.column: s.holds.value for s in table.secrets}
    return tuple(
        m.ColumnEntry(
            name=c.name,
            type=c.type,
            parquet=ways[c.name].parquet if c.name in ways else "",
            nullable=c.nullable,
            default=c.default,
            generated=c.generated is not None,
            encoding=ways[c.name].encoding if c.name in ways else "same",
            secret=held.get(c.name),
        )
        for c in source.columns
    )


def sequence_entries(catalog: Catalog) -> tuple[m.SequenceEntry, ...]:
    """Every sequence and how far it was."""
    return tuple(
        m.SequenceEntry(
            label=catalog.label_of(s.schema, s.name),
            schema=s.schema,
            name=s.name,
            last_value=s.last_value,
            is_called=s.is_called,
            increment=s.increment,
            owner=None
            if s.owner_table is None
            else catalog.label_of(s.owner_schema, s.owner_table),
            owner_column=s.owner_column,
        )
        for s in catalog.sequences
    )
