"""Schedules of every kind, for Airflow 2 and 3; `DAGS_START` says when they all begin."""

import os
from datetime import datetime, timedelta

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import DAG, Asset
except ImportError:
    from airflow import DAG
    from airflow.datasets import Dataset as Asset
    from airflow.operators.empty import EmptyOperator
    from airflow.operators.python import PythonOperator
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

START = datetime.fromisoformat(os.environ["DAGS_START"])
EVERY_MINUTE = "* * * * *"
SCHEDULES = {
    "minutes": (EVERY_MINUTE, False),
    "minutes_catchup": (EVERY_MINUTE, True),
    "hours": ("0 * * * *", False),
    "hours_catchup": ("0 * * * *", True),
    "delta": (timedelta(minutes=1), False),
    "delta_catchup": (timedelta(minutes=1), True),
    "intervals_catchup": (CronDataIntervalTimetable(EVERY_MINUTE, timezone="UTC"), True),
    "triggers_catchup": (CronTriggerTimetable(EVERY_MINUTE, timezone="UTC"), True),
    "paused_catchup": (EVERY_MINUTE, True),
}

for name, (schedule, catchup) in SCHEDULES.items():
    start = START - timedelta(hours=3 if name.startswith("hours") else 0)
    with DAG(name, schedule=schedule, start_date=start, catchup=catchup) as dag:
        EmptyOperator(task_id="first") >> EmptyOperator(task_id="second")
    globals()[name] = dag

with DAG("past_catchup", schedule=EVERY_MINUTE, start_date=START, catchup=True,
         default_args={"depends_on_past": True}) as past:  # fmt: skip
    EmptyOperator(task_id="first") >> EmptyOperator(task_id="second")

made = Asset("airkeep_made")
with DAG("producer", schedule=None, start_date=START, catchup=False) as producer:
    PythonOperator(task_id="make", python_callable=print, outlets=[made])
with DAG("consumer", schedule=[made], start_date=START, catchup=False) as consumer:
    EmptyOperator(task_id="use")
