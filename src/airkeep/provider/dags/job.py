"""airkeep_job: any airkeep command, run where the database can be reached.

conf: {"command": ["export", "env:", "-"], "result": "s3://bucket/results/1.json"}. The first word
is one of airkeep's own commands; there is no shell. At `result` {"status", "summary", "error"} is
saved when the command has ended, or was refused, and then the run fails. Whoever may trigger this
DAG may do all that airkeep can do here.
"""

from airkeep.provider.compatibility import DAG
from airkeep.provider.dags.variables import PLACE, SHARED
from airkeep.provider.operators import AirkeepCommandOperator

with DAG(
    "airkeep_job",
    schedule=None,
    description="An airkeep command in a worker",
    doc_md=__doc__,
    **{**SHARED, "max_active_runs": 4},
) as dag:
    run = AirkeepCommandOperator(task_id="run", from_conf=True, **PLACE)
