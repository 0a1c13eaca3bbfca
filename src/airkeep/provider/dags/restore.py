"""airkeep_restore: a snapshot back into the database of this environment, while it is in use.

Started by hand; its form asks what to restore and how. It begins as a dry run: what it would do
stands in the task's log. What is restored is the snapshot that was verified, whatever is the newest
by then.
"""

from typing import Any

from airkeep.provider.compatibility import DAG, Param
from airkeep.provider.dags.variables import PLACE, SHARED
from airkeep.provider.operators import AirkeepRestoreOperator, AirkeepVerifyOperator

with DAG(
    "airkeep_restore",
    schedule=None,
    description="A snapshot back into the metadata database",
    doc_md=__doc__,
    params={
        "snapshot": Param(
            "latest", type="string", description="[ENVIRONMENT/]id, latest, or @time"
        ),
        "environment": Param("", type="string", description="Whose; by default this one's."),
        "dry_run": Param(default=True, type="boolean", description="Only plan."),
        "on_conflict": Param("skip", type="string", description="fail, skip or replace"),
        "only": Param("all", enum=["all", "history", "config"]),
        "in_flight": Param("fail", enum=["fail", "clear", "keep"]),
    },
    **SHARED,
) as dag:
    whose: dict[str, Any] = {"environment": "{{ params.environment }}", **PLACE}
    verify = AirkeepVerifyOperator(
        task_id="verify", snapshot="{{ params.snapshot }}", complete=True, **whose
    )
    restore = AirkeepRestoreOperator(
        task_id="restore",
        snapshot="{{ ti.xcom_pull(task_ids='verify')['snapshot'] }}",
        dry_run="{{ params.dry_run }}",
        on_conflict="{{ params.on_conflict }}",
        only="{{ params.only }}",
        in_flight="{{ params.in_flight }}",
        **whose,
    )
    verify >> restore
