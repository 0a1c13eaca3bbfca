"""airkeep inside Airflow: operators, ready DAGs, and the report in Airflow's own pages.

The only room that imports `airflow`; `compatibility.py` alone decides between Airflow 2 and 3. What
is done is done by the library, in the task's process (`operators/`), or by the command line in a
process or a Glue job of its own, through the room `jobs`. `hook.py` turns a task's arguments, a
connection and the worker's variables into addresses and lakes; the task's own database session is
never touched. `dags/` are DAGs that a one-line file imports, `plugin.py` and `page.py` show the
newest report.

An operator pushes names and counts, never rows, and no password is taken where Airflow would show
it. See docs/provider.md.
"""
