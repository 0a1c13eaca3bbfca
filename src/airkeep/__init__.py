"""airkeep: verified snapshots of Apache Airflow metadata databases."""
