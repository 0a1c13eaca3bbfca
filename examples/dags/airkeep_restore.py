from airkeep.provider.dags.restore import dag  # airkeep_restore in Airflow
