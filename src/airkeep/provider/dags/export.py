"""airkeep_export: once a day, everything into the lake, verified; and a report of it.

The snapshot is always of everything, so that it can be restored and proves what a prune may delete;
it holds only what changed since the last one where that can be told. `max_age_in_days` is how far
back the dated CSV files and the report's periods go.
"""

from airkeep.provider.compatibility import DAG
from airkeep.provider.dags.variables import AGAIN, CATALOG, MAX_AGE_DAYS, PLACE, SHARED
from airkeep.provider.operators import (
    AirkeepExportOperator,
    AirkeepRegisterOperator,
    AirkeepReportOperator,
    AirkeepVerifyOperator,
)

with DAG(
    "airkeep_export",
    schedule="@daily",
    description="A verified snapshot of the metadata database",
    default_args=AGAIN,
    doc_md=__doc__,
    **SHARED,
) as dag:
    export = AirkeepExportOperator(task_id="export", increment=True, **PLACE)
    verify = AirkeepVerifyOperator(
        task_id="verify",
        snapshot="{{ ti.xcom_pull(task_ids='export')['snapshot'] }}",
        **PLACE,
    )
    csv = AirkeepExportOperator(task_id="csv", form="csv", since_days=MAX_AGE_DAYS, **PLACE)
    register = AirkeepRegisterOperator(task_id="register", catalog=CATALOG, **PLACE)
    report = AirkeepReportOperator(task_id="report", since_days=MAX_AGE_DAYS, **PLACE)

    export >> verify >> register
    verify >> csv
    verify >> report
