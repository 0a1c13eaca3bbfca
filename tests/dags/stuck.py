"""Tasks that a snapshot catches in every unfinished state; nothing here ends by itself."""

import os
from datetime import datetime, timedelta

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
    from airflow.providers.standard.sensors.python import PythonSensor
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG
    from airflow.operators.bash import BashOperator
    from airflow.operators.empty import EmptyOperator
    from airflow.operators.python import PythonOperator
    from airflow.sensors.date_time import DateTimeSensorAsync
    from airflow.sensors.python import PythonSensor

START = datetime.fromisoformat(os.environ["DAGS_START"])


def fail() -> None:
    raise RuntimeError("on purpose")


with DAG("stuck", schedule=None, start_date=START, catchup=False) as stuck:
    done = EmptyOperator(task_id="done")
    done >> PythonOperator(
        task_id="retrying", python_callable=fail, retries=2, retry_delay=timedelta(days=1)
    )
    done >> PythonSensor(
        task_id="rescheduled", python_callable=lambda: False, mode="reschedule", poke_interval=3600
    )
    done >> DateTimeSensorAsync(task_id="deferred", target_time="2099-01-01T00:00:00+00:00")
    running = BashOperator(
        task_id="running", bash_command="sleep 3600", retries=3, priority_weight=5
    )
    done >> running >> EmptyOperator(task_id="later")
    done >> BashOperator(task_id="queued", bash_command="sleep 1", pool="nothing")
    done >> BashOperator(task_id="scheduled", bash_command="sleep 1", pool="nothing")
