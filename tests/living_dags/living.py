"""DAGs that leave a row in as many tables as a small run can, for Airflow 2 and 3."""
# mypy: ignore-errors

from datetime import UTC, datetime, timedelta

try:
    from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
    from airflow.providers.standard.sensors.python import PythonSensor
    from airflow.sdk import DAG, Asset, task
except ImportError:
    from airflow import DAG
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import task
    from airflow.sensors.date_time import DateTimeSensorAsync
    from airflow.sensors.python import PythonSensor

START = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = "2026-01-01T00:00:00+00:00"
made = Asset("file:///airkeep/made")


@task
def numbers(**context: object) -> list[int]:
    return list(range(context["dag_run"].conf.get("numbers", 3)))


@task
def double(number: int) -> int:
    return number * 2


@task(retries=2, retry_delay=timedelta(seconds=1))
def flaky(**context: object) -> str:
    if context["ti"].try_number <= context["dag_run"].conf.get("failures", 1):
        raise RuntimeError("on purpose")
    return "better"


@task(outlets=[made])
def publish(values: list[int]) -> int:
    return sum(values)


def is_better(**context: object) -> bool:
    return context["ti"].xcom_pull(task_ids="flaky") == "better"


with DAG("living_pipeline", schedule=None, start_date=START, catchup=False) as pipeline:
    publish(double.expand(number=numbers()))
    flaky()
    # Sooner, a busy machine queues it again before the executor has told how it went: that fails.
    PythonSensor(task_id="look", python_callable=is_better, mode="reschedule", poke_interval=15)

with DAG("living_consumer", schedule=[made], start_date=START, catchup=False) as consumer:
    numbers()

# Without a triggerer it waits for ever, with one it goes on at once.
with DAG("living_waiting", schedule=None, start_date=START, catchup=False) as waiting:
    DateTimeSensorAsync(task_id="wait", target_time=LONG_AGO) >> numbers()
