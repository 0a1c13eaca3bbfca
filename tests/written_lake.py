"""Lakes whose snapshots no database was exported for: real manifests over real Parquet files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from airkeep.snapshot import manifest as m
from airkeep.snapshot import names
from airkeep.snapshot.names import SnapshotName
from airkeep.store.interface import Store
from fake_lake import commit, make_manifest, snapshot_name

_TYPES = {
    pa.bool_(): ("boolean", "BOOLEAN"),
    pa.float64(): ("double precision", "DOUBLE"),
    pa.int64(): ("bigint", "BIGINT"),
    pa.string(): ("text", "VARCHAR"),
    pa.timestamp("us"): ("timestamp without time zone", "TIMESTAMP"),
}


class Written:
    """Snapshots of tables that are handed in; each one an hour later than the one before."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._hours = 100_000

    def save(
        self,
        environment: str,
        tables: Mapping[str, pa.Table],
        *,
        parent: m.Manifest | None = None,
        deleted: Mapping[str, pa.Table] | None = None,
        window: str | None = None,
        whole: Sequence[str] = (),
        key: tuple[str, ...] = ("id",),
        keys: Mapping[str, tuple[str, ...]] | None = None,
        role: str = "foreign",
        row_group_size: int = 100_000,
    ) -> m.Manifest:
        """Save a snapshot.

        Args:
            tables: of the kinds that `_TYPES` names; with a parent only what changed.
            keys: of tables whose key is another than `key`.
            deleted: keys that are gone since the parent.
            whole: tables that an increment holds whole.
        """
        self._hours -= 1
        name = snapshot_name(self._hours, environment, hours=1)
        small = make_manifest(name, parent=parent)
        entries = []
        for label, rows in tables.items():
            gone = (deleted or {}).get(label)
            entry = m.TableEntry(
                *(label, "public", label, role, _columns(rows), (keys or {}).get(label, key), ()),
                rows=rows.num_rows,
                files=self._file(name, label, rows, "tables", row_group_size),
                whole=parent is None or label in whole,
                deleted=() if gone is None else self._file(name, label, gone, "deleted", 1000),
                deleted_rows=0 if gone is None else gone.num_rows,
                window=window,
            )
            entries.append(entry)
        made = replace(small, tables=tuple(entries), complete=window is None)
        self.store.save(made.schema_sql.path, b"schema")
        commit(self.store, made)
        return made

    def _file(
        self, name: SnapshotName, label: str, rows: pa.Table, kind: str, row_group_size: int
    ) -> tuple[m.FileEntry, ...]:
        if not rows.num_rows:
            return ()
        path = f"{names.data_folder(label, name.environment, name.id, kind=kind)}/00000.parquet"
        out = BytesIO()
        pq.write_table(rows, out, row_group_size=row_group_size)
        data = out.getvalue()
        self.store.save(path, data)
        return (m.FileEntry(path, rows.num_rows, len(data), sha256(data).hexdigest()),)


def _columns(rows: pa.Table) -> tuple[m.ColumnEntry, ...]:
    return tuple(m.ColumnEntry(f.name, *_TYPES[f.type]) for f in rows.schema)
