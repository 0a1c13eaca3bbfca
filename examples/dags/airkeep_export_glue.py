from airkeep.provider.dags.export_glue import dag  # airkeep_export_glue in Airflow
