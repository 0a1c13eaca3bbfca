"""Three tasks that hand something on, one of which fails once; and a DAG that stays paused."""

from __future__ import annotations

from datetime import datetime, timedelta

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task

START = datetime(2026, 1, 1)

with DAG(
    "words",
    schedule=None,
    start_date=START,
    catchup=False,
    is_paused_upon_creation=False,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=1)},
    tags=["sample"],
):

    @task
    def listen() -> dict[str, object]:
        return {"text": "naïve café ☕", "none": None, "many": [1, 2.5, True]}

    @task
    def stumble(heard: dict[str, object], **context: object) -> int:
        instance = context["ti"]
        if instance.try_number == 1:
            raise RuntimeError("the first try fails")
        return len(str(heard["text"]))

    @task
    def count(length: int) -> int:
        return length * 2

    count(stumble(listen()))

with DAG("silent", schedule=None, start_date=START, is_paused_upon_creation=True):

    @task
    def nothing() -> None:
        pass

    nothing()
