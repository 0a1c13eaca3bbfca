"""Print what an Airflow finds in its folder of DAGs, and what was wrong, as JSON."""

import json
import os
import sys
import warnings


def schedule(dag: object) -> str:
    """As it was written; Airflow 2 has it under two names."""
    return str(getattr(dag, "schedule_interval", None) or getattr(dag, "schedule", None))


with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    from airflow.configuration import conf
    from airflow.models.dagbag import DagBag
    from airflow.providers_manager import ProvidersManager

    bag = DagBag(conf.get("core", "dags_folder"))

sys.stdout.write(json.dumps({
    "errors": bag.import_errors,
    "dags": {
        name: {"tasks": sorted(dag.task_ids), "schedule": schedule(dag)}
        for name, dag in bag.dags.items()
    },
    "warned": [str(w.message) for w in warned if f"{os.sep}airkeep{os.sep}" in str(w.filename)],
    "provider": ProvidersManager().providers["airkeep"].version,
}))  # fmt: skip
