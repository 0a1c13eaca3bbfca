"""A snapshot as a newer Airflow would have it, made by that Airflow's own migrations."""
