from airkeep.provider.dags.job import dag  # airkeep_job in Airflow
