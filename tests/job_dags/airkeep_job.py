"""Stands in for the provider's DAG: the same name, the same conf, the same result."""
# mypy: ignore-errors

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path

try:
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG
    from airflow.operators.python import PythonOperator


def run_command(**context: object) -> None:
    conf = context["dag_run"].conf
    done = subprocess.run(
        [os.environ["AIRKEEP_PYTHON"], "-m", "airkeep.cli", *conf["command"]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    summary = json.loads(done.stdout) if done.returncode == 0 else None
    result = {"status": done.returncode, "summary": summary, "error": done.stderr[-200:]}
    file = Path(conf["result"])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result))
    done.check_returncode()


with DAG("airkeep_job", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    PythonOperator(task_id="run", python_callable=run_command)
