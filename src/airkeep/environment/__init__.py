"""An Airflow that comes and goes: asleep it is a snapshot and a journal in the lake."""
