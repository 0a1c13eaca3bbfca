"""Operators: the library's functions, and the command line, as tasks.

Each one takes where things are (`AirkeepOperator`) and what its function takes, runs it in the
task's own process, and pushes a summary of names and counts. An error of airkeep's becomes the
task's one line; it is tried again by the DAG's `retries`, unless another try could not mend it.
"""

from airkeep.provider.operators.command import AirkeepCommandOperator, AirkeepRegisterOperator
from airkeep.provider.operators.export import AirkeepExportOperator
from airkeep.provider.operators.glue import AirkeepGlueOperator
from airkeep.provider.operators.prune import AirkeepPruneOperator
from airkeep.provider.operators.report import AirkeepReportOperator
from airkeep.provider.operators.restore import AirkeepRestoreOperator
from airkeep.provider.operators.task import AirkeepOperator
from airkeep.provider.operators.verify import AirkeepVerifyOperator

__all__ = [
    "AirkeepCommandOperator",
    "AirkeepExportOperator",
    "AirkeepGlueOperator",
    "AirkeepOperator",
    "AirkeepPruneOperator",
    "AirkeepRegisterOperator",
    "AirkeepReportOperator",
    "AirkeepRestoreOperator",
    "AirkeepVerifyOperator",
]
