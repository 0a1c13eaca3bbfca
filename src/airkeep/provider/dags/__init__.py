"""Ready DAGs; a file of one line in the folder of DAGs has one of them.

    from airkeep.provider.dags.export import dag  # airkeep_export in Airflow

(Airflow passes over files that do not say both "dag" and "airflow".) Nothing is asked for while
they are parsed: variables are read when a task runs. `variables.py` has them and their defaults.
"""
