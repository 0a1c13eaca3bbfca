"""airkeep_export_glue: the daily export as an AWS Glue job, beside the workers and not in them.

For databases that would keep a worker too long. The job is airkeep's own (room jobs); Airflow waits
for it, without a worker where there is a triggerer.
"""

from airkeep.provider.compatibility import DAG
from airkeep.provider.dags.variables import AGAIN, PLACE, ROLE, SHARED
from airkeep.provider.operators import AirkeepGlueOperator, AirkeepVerifyOperator

with DAG(
    "airkeep_export_glue",
    schedule="@daily",
    description="A verified snapshot of the metadata database, taken by AWS Glue",
    default_args=AGAIN,
    doc_md=__doc__,
    **SHARED,
) as dag:
    export = AirkeepGlueOperator(
        task_id="export",
        command=["export", "env:", "-", "--increment"],
        role_name=ROLE,
        **PLACE,
    )
    verify = AirkeepVerifyOperator(
        task_id="verify",
        snapshot="{{ ti.xcom_pull(task_ids='export')['result']['summary']['id'] }}",
        **PLACE,
    )
    export >> verify
