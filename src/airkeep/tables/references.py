"""Columns that point at a row by its number or uuid, and no foreign key says so.

Airflow dropped these keys for speed (jobs), for rows that outlive what they point at
(`task_instance_history`, asset events), or for another table's life (`dag_run_note.user_id`, which
has a key in 2.x and none in 3.x). A restore that gives a row a new id has to move them all the
same. What has a foreign key is not here: the catalogue says it, and an entry of ours then names
the same parent, so that asking twice does no harm.

All versions at once: a column that this version lacks is not given. Where a column is text
(`dag_run_note.user_id`, `dag_favorite.user_id` in 3.x) it holds what the login manager calls its
user: the number of `ab_user` in digits where that is FAB, a name elsewhere. Compare as text.

An id may point at a row that is long gone: most of all jobs, triggers and assets, which Airflow
deletes by itself. Then nothing is to be moved, but it must not by chance meet another row that has
this id in the target.

Not moved by anybody, because it stands inside a value: `serialized_dag.data` names `deadline_alert`
uuids, `hitl_detail.responded_by` and `.assignees` a user (beside the name), `trigger.kwargs` of a
human's task the uuid of its `task_instance` (encrypted), `session.data` a user (pickled),
`callback.data`, `callback_request.callback_data` and `edge_job.command` the task instance that a
process was just to look at. Hence uuids of these parents are best kept where they are free.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class SoftReference:
    """One column that points, and what at."""

    table: str
    column: str
    parent: str
    to: str
    """The parent's id: a number or a uuid that the database itself gave."""


# table: column > parent, ...   The parent's column is `id` everywhere.
_REFERENCES = """
task_instance: job_id > job, queued_by_job_id > job, trigger_id > trigger,
    dag_version_id > dag_version
task_instance_history: job_id > job, queued_by_job_id > job, trigger_id > trigger,
    dag_version_id > dag_version
dag_run: creating_job_id > job, scheduled_by_job_id > job, log_template_id > log_template
trigger: triggerer_id > job
xcom: dag_run_id > dag_run
dag_run_note: user_id > ab_user
task_instance_note: user_id > ab_user
dag_favorite: user_id > ab_user
dag: pickle_id > dag_pickle
dataset_event: dataset_id > dataset
asset_event: asset_id > asset
partitioned_asset_key_log: asset_id > asset, asset_event_id > asset_event,
    asset_partition_dag_run_id > asset_partition_dag_run
"""


def _parse(text: str) -> tuple[SoftReference, ...]:
    found = []
    for line in text.replace(",\n", ",").strip().splitlines():
        table, _, columns = line.partition(":")
        for part in columns.split(","):
            column, _, parent = part.partition(">")
            found.append(SoftReference(table, column.strip(), parent.strip(), "id"))
    return tuple(found)


SOFT_REFERENCES = _parse(_REFERENCES)


def soft_references(
    table: str, columns: Collection[str], tables: Collection[str]
) -> tuple[SoftReference, ...]:
    """The references of one table that its database really has.

    Args:
        columns: the names of the table's columns.
        tables: the names of all tables of the database: without FAB there is no `ab_user`.
    """
    return tuple(
        each
        for each in SOFT_REFERENCES
        if each.table == table and each.column in columns and each.parent in tables
    )
