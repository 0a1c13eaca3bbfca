"""DAG versions of a living target that would meet numbers which arrive.

Airflow 3.0 to 3.2 takes the version with the newest `created_at` for the latest one, and gives the
next one the number after it (read in 3.0.6, 3.1.8 and 3.2.2; 3.3 takes the highest number). Where
the snapshot brings versions 1 and 2, and the target's own version 1 is newer, the DAG's next change
would ask for number 2 again, and fail at the unique rule for ever. So the target's newest version
gets the number after all of them first: it is another version than the snapshot's 1 anyway.
"""

from __future__ import annotations


def renumber_newest(target: str, stage: str) -> str:
    """The statement, for PostgreSQL and SQLite.

    Args:
        target: `dag_version`, as it stands in UPDATE.
        stage: the arriving rows.
    """
    newest = (
        "SELECT id, dag_id, row_number() OVER (PARTITION BY dag_id ORDER BY created_at DESC) AS n, "
        f"max(version_number) OVER (PARTITION BY dag_id) AS highest FROM {target}"
    )
    arriving = f"SELECT dag_id, max(version_number) AS highest FROM {stage} GROUP BY dag_id"
    # Where the snapshot has the very row, nothing of the target's own is newest.
    return (
        f"UPDATE {target} AS v SET version_number = a.highest + 1 FROM ({newest}) t "
        f"JOIN ({arriving}) a ON a.dag_id = t.dag_id WHERE v.id = t.id AND t.n = 1 "
        f"AND a.highest > t.highest AND NOT EXISTS (SELECT 1 FROM {stage} s "
        f"WHERE s.id = t.id AND s.dag_id = t.dag_id)"
    )
