"""The layout `data/<table>.csv` without headers: which columns it has in which version.

The lists are those of mwaa-dr 2.2.0 (Apache-2.0), mwaa_dr/v_2_4 to v_2_11/dr_factory.py and
framework/model/: each version's own, in the order in which the tool selects. Most files are
separated by `|`; `variable` and `connection`, which hold *decrypted* values, by `,`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from airkeep.adopt.layouts import PIPE_FILES, Backup, TextTable
from airkeep.adopt.source import Source
from airkeep.adopt.text import TextFile
from airkeep.errors import BadBackupError, ConfigError, UnknownLayoutError
from airkeep.tables.shapes import known_versions

MINORS = ("2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "2.10", "2.11")
SOURCE_OF_LISTS = "mwaa-dr 2.2.0"

_RUN = (
    "conf creating_job_id dag_hash dag_id data_interval_end data_interval_start end_date "
    "execution_date external_trigger last_scheduling_decision log_template_id queued_at run_id "
    "run_type start_date state"
)
_TASK_HEAD = "dag_id map_index run_id task_id"
_TASK = (
    "executor_config external_executor_id hostname job_id max_tries next_kwargs next_method "
    "operator pid pool pool_slots priority_weight queue queued_by_job_id queued_dttm"
)
_TASK_TAIL = "trigger_id trigger_timeout try_number unixname"
_LOG = "dag_id dttm event execution_date extra map_index owner"

# By table: from which minor on, which columns.
_COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "variable": (("2.4", "key val description"),),
    "connection": (("2.4", "conn_id conn_type description extra host login password port schema"),),
    "slot_pool": (
        ("2.4", "description pool slots"),
        ("2.7", "description include_deferred pool slots"),
    ),
    "log": (
        ("2.4", f"{_LOG} task_id"),
        ("2.8", f"{_LOG} owner_display_name task_id"),
        ("2.9", f"{_LOG} owner_display_name run_id task_id"),
        ("2.10", f"{_LOG} owner_display_name run_id task_id try_number"),
    ),
    "job": (
        (
            "2.4",
            "dag_id end_date executor_class hostname job_type latest_heartbeat start_date state "
            "unixname",
        ),
    ),
    "dag_run": (("2.4", _RUN), ("2.8", f"clear_number {_RUN} updated_at")),
    "trigger": (("2.4", "classpath created_date kwargs triggerer_id"),),
    "task_instance": (
        ("2.4", f"{_TASK_HEAD} duration end_date {_TASK} start_date state {_TASK_TAIL}"),
        (
            "2.5",
            f"{_TASK_HEAD} duration end_date {_TASK} start_date state {_TASK_TAIL} updated_at",
        ),
        (
            "2.7",
            f"{_TASK_HEAD} custom_operator_name duration end_date {_TASK} start_date state "
            f"{_TASK_TAIL} updated_at",
        ),
        (
            "2.9",
            f"{_TASK_HEAD} custom_operator_name duration end_date {_TASK} rendered_map_index "
            f"start_date state task_display_name {_TASK_TAIL} updated_at",
        ),
        (
            "2.10",
            f"{_TASK_HEAD} custom_operator_name duration end_date executor {_TASK} "
            f"rendered_map_index start_date state task_display_name {_TASK_TAIL} updated_at",
        ),
    ),
    "task_fail": (("2.4", "dag_id duration end_date map_index run_id start_date task_id"),),
    "xcom": (("2.4", "dag_run_id key map_index task_id dag_id run_id timestamp value"),),
    "active_dags": (("2.4", "dag_id"),),
}
_COMMA = {"variable", "connection", "active_dags"}
_NO_BACKUP_DAG = "not those of the tool's own DAG backup_metadata"
_WINDOWS = {
    "task_instance": "those that were in no flight (no state, running, restarting, queued, "
    "scheduled, up_for_retry, up_for_reschedule are left out)",
    "dag_run": _NO_BACKUP_DAG,
    "job": f"{_NO_BACKUP_DAG}, and none without a DAG: no scheduler's, no triggerer's",
    "task_fail": _NO_BACKUP_DAG,
    "slot_pool": "not default_pool",
}


@dataclass(frozen=True)
class _File:
    table: str
    path: str
    width: int | None  # None of an empty file


def columns_of(table: str, minor: str) -> tuple[str, ...]:
    """The columns of a file, in its order, in a version such as 2.9."""
    at = MINORS.index(minor)
    lists = [columns for since, columns in _COLUMNS[table] if MINORS.index(since) <= at]
    return tuple(lists[-1].split())


def pipe_backup(
    source: Source, version: str | None, at: datetime | None, skip: Collection[str]
) -> Backup:
    """The one backup of such a folder.

    Args:
        version: which Airflow it is of; None: what the columns' numbers fit.
        at: when it was taken; None: when its newest file was written.
        skip: tables whose files are not looked at.

    Raises:
        ConfigError: the tool has no columns for that version.
        BadBackupError: files have columns that no version has, or not of one version.
        UnknownLayoutError: it holds several backups.
    """
    files, root = _files(source, skip)
    minors = _minors(version)
    fitting = [m for m in minors if all(_fits(f, m) for f in files)]
    if not fitting:
        raise _no_version(files, minors)
    modified = max(source.entries[f.path].modified for f in files)
    tables = tuple(
        TextTable(
            label=f.table,
            paths=(f.path,),
            columns=columns_of(f.table, fitting[-1]),
            delimiter="," if f.table in _COMMA else "|",
            window=_WINDOWS.get(f.table),
        )
        for f in files
    )
    told = "as told" if version else "by the numbers of columns"
    return Backup(
        at=at or modified,
        time="as told" if at else "when the newest file was written, which a copy changes",
        root=root,
        tables=tables,
        notes=(
            f"columns of Airflow {' or '.join(fitting)} {told}, by the lists of {SOURCE_OF_LISTS}",
        ),
        versions=tuple(v for v in known_versions() if v.rpartition(".")[0] in fitting),
    )


def _files(source: Source, skip: Collection[str]) -> tuple[list[_File], str]:
    found, roots = [], set()
    for path in source.entries:
        if match := PIPE_FILES.fullmatch(path):
            roots.add(match["root"])
            table = match["table"]
            if table == "active_dag":
                table = "active_dags"  # the tool's file has another name than its table
            delimiter = "," if table in _COMMA else "|"
            found.append(_File(table, path, None))
            if table in skip:
                continue
            file = TextFile(path, source.fetch(path), delimiter)
            if first := file.first():
                found[-1] = _File(table, path, len(first))
                if {*first} in [{*columns.split()} for _since, columns in _COLUMNS[table]]:
                    raise file.bad(1, f"a header, which no file of {SOURCE_OF_LISTS} has")
    if len(roots) > 1:
        raise UnknownLayoutError(
            f"{source.shown} holds several backups ({', '.join(sorted(roots)[:5])}): name the "
            f"folder of one of them"
        )
    return found, roots.pop()


def _minors(version: str | None) -> tuple[str, ...]:
    if version is None:
        return MINORS
    minor = ".".join(version.split(".")[:2])
    if minor not in MINORS:
        raise ConfigError(
            f"--airflow-version {version}: {SOURCE_OF_LISTS}, which writes such folders, knows "
            f"{MINORS[0]} to {MINORS[-1]}"
        )
    return (minor,)


def _fits(file: _File, minor: str) -> bool:
    return file.width is None or file.width == len(columns_of(file.table, minor))


def _no_version(files: list[_File], minors: tuple[str, ...]) -> BadBackupError:
    for file in files:
        known = sorted({len(columns_of(file.table, m)) for m in minors})
        if file.width is not None and file.width not in known:
            return BadBackupError(
                f"{file.path}, line 1: {file.width} values, expected "
                f"{' or '.join(map(str, known))} (Airflow {minors[0]} to {minors[-1]}, by the "
                f"lists of {SOURCE_OF_LISTS}): it is of another version, or not of this layout"
            )
    return BadBackupError(
        f"the files have the columns of different versions of Airflow "
        f"({', '.join(f'{f.path}: {f.width}' for f in files)}): they are not of one backup"
    )
