"""What each of Airflow's tables is for, by name, over all versions at once.

No name ever changed its meaning between versions, so the version is not asked. A name that is
not listed is foreign: an application's table, Celery's result backend, another schema's. It is
exported as well, but Airflow's own rules (windows, secrets, defaults) do not hold for it.

A new Airflow's new table is foreign until it is listed here; the tests compare this list with the
schemas of every version that we have.
"""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """Why Airflow keeps a table."""

    HISTORY = "history"
    """Runs, and what hangs on them. Grows for ever; what people want to ask about."""
    CONFIG = "config"
    """What people entered: connections, variables, pools, users, roles. Small, not in git."""
    DEFINITION = "definition"
    """DAGs as they were parsed. Comes back by itself, save for pauses and versions."""
    STATE = "state"
    """What running processes need now: jobs, triggers, queues, sessions, errors of the day."""
    ARCHIVE = "archive"
    """Rows that Airflow itself set aside, in a migration or in `airflow db clean`."""
    ALEMBIC = "alembic"
    """The revision of the schema."""
    FOREIGN = "foreign"
    """Not Airflow's."""


_NAMES: dict[Role, str] = {
    Role.HISTORY: """
        dag_run dag_run_note task_instance task_instance_history task_instance_note task_fail
        task_map task_reschedule task_state_store xcom rendered_task_instance_fields sla_miss
        sensor_instance log hitl_detail hitl_detail_history deadline backfill backfill_dag_run
        dataset_event dagrun_dataset_event dataset_alias_dataset_event
        asset_event dagrun_asset_event asset_alias_asset_event
        asset_partition_dag_run partitioned_asset_key_log
        known_event
    """,
    Role.CONFIG: """
        connection variable slot_pool team dag_bundle_team dag_favorite
        ab_user ab_role ab_user_role ab_group ab_group_role ab_user_group ab_permission
        ab_view_menu ab_permission_view ab_permission_view_role ab_register_user
        user users chart known_event_type
    """,
    Role.DEFINITION: """
        dag dag_bundle dag_code dag_owner_attributes dag_pickle dag_tag dag_version dag_warning
        serialized_dag deadline_alert log_template
        dataset dataset_alias dataset_alias_dataset dag_schedule_dataset_reference
        dag_schedule_dataset_alias_reference task_outlet_dataset_reference
        asset asset_active asset_alias asset_alias_asset asset_trigger asset_watcher
        dag_schedule_asset_alias_reference dag_schedule_asset_name_reference
        dag_schedule_asset_reference dag_schedule_asset_uri_reference
        task_inlet_asset_reference task_outlet_asset_reference
    """,
    Role.STATE: """
        job trigger callback callback_request import_error dag_priority_parsing_request
        dataset_dag_run_queue asset_dag_run_queue asset_state_store connection_test_request
        session revoked_token dag_stats kube_resource_version kube_worker_uuid
        edge_worker edge_job edge_logs
    """,
    Role.ALEMBIC: "alembic_version alembic_version_fab alembic_version_edge3",
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names.split()}

# `_airflow_moved__2_2__dangling__task_instance` from a migration, `_airflow_deleted__log__…` from
# `db clean`, `_xcom_archive` where 3.0's migration put pickled values. No keys, any column.
_ARCHIVES = ("_airflow_moved__", "_airflow_deleted__", "_xcom_archive")


def role_of(table: str) -> Role:
    """The role of a table of Airflow's own schema; FOREIGN for every name not known.

    Args:
        table: the bare name. A table of another schema is foreign whatever its name, which is
            what its qualified name `<schema>.<table>` gives.
    """
    if table.startswith(_ARCHIVES):
        return Role.ARCHIVE
    return _ROLES.get(table, Role.FOREIGN)


def is_airflow_table(table: str) -> bool:
    """Whether `--airflow-only` takes it."""
    return role_of(table) is not Role.FOREIGN
