"""What became of each table: rows, columns, and why rows that were there are not any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airkeep.database.catalog import Catalog, Table
from airkeep.database.reader import Reader
from airkeep.database.sql import ident, qualified
from airkeep.snapshot.manifest import Manifest, TableEntry, UpgradedTableEntry

# Airflow 3.0 calls assets what was a dataset.
_RENAMED = {
    "dataset": "asset",
    "dataset_alias": "asset_alias",
    "dataset_alias_dataset": "asset_alias_asset",
    "dataset_alias_dataset_event": "asset_alias_asset_event",
    "dataset_dag_run_queue": "asset_dag_run_queue",
    "dataset_event": "asset_event",
    "dagrun_dataset_event": "dagrun_asset_event",
    "dag_schedule_dataset_alias_reference": "dag_schedule_asset_alias_reference",
    "dag_schedule_dataset_reference": "dag_schedule_asset_reference",
    "task_outlet_dataset_reference": "task_outlet_asset_reference",
}
LEFT_BEHIND = "left behind with --skip"
_PARSED = "the new Airflow writes it anew when it parses the DAGs"
_WHY = {
    "serialized_dag": _PARSED,
    "dag_code": _PARSED,
    "dag_warning": _PARSED,
    "import_error": _PARSED,
    "dag_pickle": "Airflow 3 has no such table: nothing reads pickled DAGs any more",
    "task_fail": "Airflow 3 has no such table and drops its rows",
    "sla_miss": "Airflow 3 has no SLAs; what stays there is an orphan",
    "xcom": "pickled XComs are in _xcom_archive",
    "task_reschedule": "rows whose task instance is gone, or was tried again",
    "dag_owner_attributes": _PARSED,
    "alembic_version": "several heads became one",
    "kube_resource_version": "Airflow has no such table any more",
    "kube_worker_uuid": "Airflow has no such table any more",
    "users": "made ab_user by FAB; Airflow has no such table any more",
    "chart": "Airflow has no such table any more",
    "known_event": "Airflow has no such table any more",
    "known_event_type": "Airflow has no such table any more",
    "sensor_instance": "Airflow has no such table any more",
}


def tables_after(
    before: Manifest, after: Reader, skip: Sequence[str] = ()
) -> tuple[UpgradedTableEntry, ...]:
    """Every table of either side, in the order of their names.

    Args:
        skip: those that stayed behind.
    """
    catalog = after.catalog
    there = catalog.by_label()
    renamed = {
        old: new
        for old, new in _RENAMED.items()
        if before.table(old) is not None and new in there and old not in there
    }
    names = {new: old for old, new in renamed.items()}
    labels = sorted({*there, *(t.label for t in before.tables if t.label not in renamed)})
    counts = {label: count_rows(after, there[label]) for label in there}
    return tuple(
        _table(
            label,
            before.table(names.get(label, label)),
            _After(catalog, there.get(label), counts.get(label)),
            names.get(label),
            skip,
        )
        for label in labels
    )


def count_rows(reader: Reader, table: Table) -> int:
    """How many rows a table has at the reader's instant."""
    place = qualified(table.schema, table.name) if table.schema else ident(table.name)
    [(rows,)] = reader.query(f"SELECT count(*) FROM {place}")
    return int(rows)


@dataclass(frozen=True)
class _After:
    catalog: Catalog
    table: Table | None
    rows: int | None


def _table(
    label: str,
    before: TableEntry | None,
    after: _After,
    was: str | None,
    skip: Sequence[str],
) -> UpgradedTableEntry:
    ours = {} if before is None else {c.name: c.type for c in before.columns}
    theirs = {} if after.table is None else {c.name: c.type for c in after.table.columns}
    both = before is not None and after.table is not None
    rows = None if before is None else before.rows
    moved = after.rows if label.startswith("_airflow_moved__") else None
    fewer = rows is not None and rows > (after.rows or 0)
    why = "rows without a run, set aside by Airflow" if moved else None
    if fewer:
        why = LEFT_BEHIND if before is not None and before.label in skip else _WHY.get(label)
    return UpgradedTableEntry(
        label,
        rows,
        after.rows,
        was,
        gone=_only(ours, theirs) if both else (),
        new=_only(theirs, ours) if both else (),
        changed=_changed(ours, theirs) if both else (),
        why=why,
    )


def _only(some: Mapping[str, str], others: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in some if name not in others)


def _changed(ours: Mapping[str, str], theirs: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{name}: {kind} -> {theirs[name]}"
        for name, kind in ours.items()
        if name in theirs and theirs[name] != kind
    )
