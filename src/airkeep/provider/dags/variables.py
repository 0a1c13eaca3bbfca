"""The Airflow variables of the ready DAGs, as templates that a task renders.

- aws_region: unset, the worker's own, which is us-east-1 where nothing says otherwise.
- export_s3_bucket: the lake is s3://BUCKET/exports; unset, it is what AIRKEEP_LAKE says.
- database_name: where the Glue catalog has the lake; unset, airflow_metadb; empty, nowhere.
- glue_role_name: the role of a Glue job.
- max_age_in_days: unset, 30.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

REGION = "{{ var.value.get('aws_region', '') }}"
LAKE = (
    "{% set bucket = var.value.get('export_s3_bucket', '') %}"
    "{{ 's3://' ~ bucket ~ '/exports' if bucket else '' }}"
)
CATALOG = "{{ var.value.get('database_name', 'airflow_metadb') }}"
ROLE = "{{ var.value.get('glue_role_name', '') }}"
MAX_AGE_DAYS = "{{ var.value.get('max_age_in_days', '30') }}"

PLACE: dict[str, Any] = {"lake": LAKE, "aws_region": REGION}

SHARED: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "tags": ["airkeep"],
}
AGAIN = {"retries": 2, "retry_delay": timedelta(minutes=5)}


def lake_of_bucket(bucket: str) -> str:
    """The lake as `LAKE` renders it, for who has the variable's value."""
    return f"s3://{bucket}/exports" if bucket else ""
