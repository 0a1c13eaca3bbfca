from airkeep.provider.dags.export import dag  # airkeep_export in Airflow
