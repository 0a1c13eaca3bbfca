"""Rows that a fresh Airflow has already, and by which columns a row is known again.

`airflow db migrate` fills a few tables: the default pool, the log templates, the revisions. The
first web server (or `sync-perm`) adds FAB's roles and permissions, `db init` the default
connections, the first DAG processor a bundle, each command line its line in `log`. A database
that holds nothing else is *fresh*: a restore may empty these tables and put the snapshot's rows
there, ids and all. In a living environment the same rows must not come twice: there they are
matched by natural key, and what points at them moves (`ab_permission_view_role.role_id`, ...; what
no foreign key says is in `references.py`).

A default row is known by name and may have been edited since: a pool resized, a password in
`aws_default`. So a target is fresh only if *every* row of *every* table is a default one; where a
scheduler ever ran there are jobs, and it is not.

Seen empty save for: 2.11.2 `db migrate`: alembic_version 1, log_template 1, slot_pool 1; then
`sync-perm`: ab_permission 5, ab_view_menu 47, ab_permission_view 90, ab_role 5,
ab_permission_view_role 222, log 1; `connections create-default-connections`: 61.
3.3.2 `db migrate`: alembic_version 1, log_template 2, slot_pool 1, and with the FAB provider
installed alembic_version_fab 1; then `sync-perm`: 5, 53, 104, 5, 257, log 1; connections 62;
`dags reserialize`: dag_bundle 1. Up to 2.2 `db init` also parsed the example DAGs: those rows are
no defaults.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

# What Airflow writes with each parse of a DAG file, from it and the newest run; and what a restore
# settles for itself.
_WRITTEN_ANEW = {
    "dag": (
        "is_paused", "is_active", "is_stale", "last_parsed_time", "last_parse_duration",
        "last_expired", "last_pickled", "next_dagrun", "next_dagrun_data_interval_start",
        "next_dagrun_data_interval_end", "next_dagrun_create_after", "exceeds_max_non_backfill",
    ),
}  # fmt: skip

# Where the primary key is a number or a uuid that another database gives to another row. Where
# a part is itself such a number (role_id), it is translated first.
#
# Not every key is unique by law. `log_template` may hold one pair twice, when a setting was changed
# and changed back: the lowest id is then the one meant. A job, a trigger, a backfill are known by
# the microsecond of their birth, as what else they say changes while they live: a scheduler closes
# jobs and backfills of others, a trigger's kwargs are encrypted anew by each restore.
#
# A uuid alone is a key where nothing names a row and Airflow draws it (version 7): no other
# database has it for another row. `serialized_dag.data` names `deadline_alert` by it, so it has to
# stay.
NATURAL_KEYS: dict[str, tuple[str, ...]] = {
    "alembic_version": ("version_num",),
    "alembic_version_fab": ("version_num",),
    "slot_pool": ("pool",),
    "connection": ("conn_id",),  # not unique up to 1.10
    "variable": ("key",),
    "log_template": ("filename", "elasticsearch_id"),
    "ab_role": ("name",),
    "ab_permission": ("name",),
    "ab_view_menu": ("name",),
    "ab_permission_view": ("permission_id", "view_menu_id"),
    "ab_permission_view_role": ("permission_view_id", "role_id"),
    "ab_user": ("username",),
    "ab_user_role": ("user_id", "role_id"),
    "ab_group": ("name",),
    "ab_group_role": ("group_id", "role_id"),
    "ab_user_group": ("user_id", "group_id"),
    "ab_register_user": ("username",),
    "users": ("username",),
    "user": ("username",),
    "known_event_type": ("know_event_type",),
    "chart": ("label",),
    "team": ("name",),
    "dag_bundle": ("name",),
    "dag_bundle_team": ("dag_bundle_name",),  # a bundle is of one team
    "dag_version": ("dag_id", "version_number"),
    "serialized_dag": ("dag_version_id",),  # from 3.0 on; before, dag_id is its primary key
    "dag_code": ("dag_version_id",),
    "dag_run": ("dag_id", "run_id"),
    "task_instance": ("dag_id", "task_id", "run_id", "map_index"),
    "task_instance_history": ("dag_id", "task_id", "run_id", "map_index", "try_number"),
    "task_state_store": ("dag_run_id", "task_id", "map_index", "key"),
    "sensor_instance": ("dag_id", "task_id", "execution_date"),
    "backfill": ("dag_id", "created_at"),
    "backfill_dag_run": ("backfill_id", "sort_ordinal"),  # dag_run_id is NULL where none came
    "asset": ("name", "uri"),
    "asset_alias": ("name",),
    "dataset": ("uri",),
    "asset_watcher": ("asset_id", "name"),  # its trigger is made anew in each environment
    "asset_partition_dag_run": ("target_dag_id", "partition_key", "created_at"),
    "dataset_alias": ("name",),
    "session": ("session_id",),
    "import_error": ("bundle_name", "filename"),
    "job": ("job_type", "hostname", "start_date"),
    "trigger": ("classpath", "created_date"),
    "deadline": ("id",),
    "deadline_alert": ("id",),
    "callback": ("id",),
    "connection_test_request": ("id",),
}
# The same where a column of the key is not there yet.
_EARLIER_KEYS: dict[str, tuple[str, ...]] = {
    "import_error": ("filename",),
}

# The columns that a default row is known by, and the values it may have (as in a shell: `*`).
_DEFAULTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "alembic_version": ("version_num", ("*",)),
    "alembic_version_fab": ("version_num", ("*",)),
    "slot_pool": ("pool", ("default_pool",)),
    "log_template": ("filename", ("*",)),
    "ab_role": ("name", ("Admin", "Op", "Public", "User", "Viewer")),
    # Which of them exist follows from the version and the DAGs; without a role they do nothing.
    "ab_permission": ("name", ("*",)),
    "ab_view_menu": ("name", ("*",)),
    "ab_permission_view": ("permission_id", ("*",)),
    "ab_permission_view_role": ("role_id", ("*",)),
    "connection": ("conn_id", ("*_default", "airflow_db", "airflow_ci", "local_mysql")),
    "dag_bundle": ("name", ("dags-folder", "example_dags")),
    "log": ("event", ("cli_*",)),
    "chart": ("label", ("Airflow task instance by type",)),
    "known_event_type": (
        "know_event_type",
        ("Holiday", "Marketing Campaign", "Natural Disaster", "Outage"),
    ),
    "kube_resource_version": ("one_row_id", ("*",)),
    "kube_worker_uuid": ("one_row_id", ("*",)),
}


def natural_key(table: str, columns: Collection[str]) -> tuple[str, ...]:
    """The columns by which a row is the same row in another database.

    Empty where the table's own primary key is natural (`dag`, and 1.10's `task_instance`, which
    has no run_id), or where nothing but all of a row's values names it:

    - an event, written once and never changed: `log`, `asset_event`, `dataset_event`, `task_fail`,
      `task_reschedule`, `partitioned_asset_key_log`, `known_event`, 1.10's `xcom` (its key may
      come twice);
    - `callback_request`, gone as soon as a DAG processor has seen it;
    - `dag_pickle`, whose hash is another one in each process.

    Args:
        columns: the names of the table's columns: the key is given only if all of it is there.
    """
    for keys in (NATURAL_KEYS, _EARLIER_KEYS):
        key = keys.get(table, ())
        if key and all(column in columns for column in key):
            return key
    return ()


def default_column(table: str) -> str | None:
    """The column that `is_default` has to see, None where a table has no default rows."""
    return _DEFAULTS[table][0] if table in _DEFAULTS else None


def is_default(table: str, row: Mapping[str, object]) -> bool:
    """Whether a fresh Airflow may hold this row.

    Args:
        row: at least `default_column`.
    """
    if table not in _DEFAULTS:
        return False
    column, patterns = _DEFAULTS[table]
    value = str(row[column])
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def written_anew(table: str) -> tuple[str, ...]:
    """Columns that say nothing lasting of a row."""
    return _WRITTEN_ANEW.get(table, ())
