from airkeep.provider.dags.prune import dag  # airkeep_prune in Airflow
