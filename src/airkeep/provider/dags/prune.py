"""airkeep_prune: old rows leave the database, those that the newest snapshot holds unchanged.

Started by hand, as a dry run unless its form says otherwise, or by a schedule of your own. Run
airkeep_export before: what is not in a complete snapshot stays.
"""

from airkeep.provider.compatibility import DAG, Param
from airkeep.provider.dags.variables import PLACE, SHARED
from airkeep.provider.operators import AirkeepPruneOperator

with DAG(
    "airkeep_prune",
    schedule=None,
    description="Old rows out of the metadata database",
    doc_md=__doc__,
    params={
        "older_than_days": Param(
            None, type=["null", "number"], description="By default the variable max_age_in_days."
        ),
        "dry_run": Param(default=True, type="boolean", description="Only plan."),
    },
    **SHARED,
) as dag:
    prune = AirkeepPruneOperator(
        task_id="prune",
        older_than_days="{{ params.older_than_days or var.value.get('max_age_in_days', '30') }}",
        dry_run="{{ params.dry_run }}",
        **PLACE,
    )
