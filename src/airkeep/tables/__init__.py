"""What Airflow's tables are, as data: from 1.10 (and older) to 3.3.

Introspection finds the columns of whatever Airflow is there; this room says what they mean.
Nothing here opens a database or reads a setting, so everything can be asked at any time:

    revisions.py   alembic revisions -> which Airflow
    roles.py       table -> history, config, definition, state, ... or somebody else's
    window.py      `--since`: which rows of a table belong to the runs of a window
    secrets.py     column -> what secret it holds, and what each policy does with it
    defaults.py    rows that every fresh Airflow has already, and how to know them again
"""
