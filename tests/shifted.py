"""A database that believes it was left some days ago."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from servers import query

# Airflow names a run by its date: theirs must not be those of the days that now lie ahead.
_OTHER_RUN_IDS = """
DO $$ DECLARE found text; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR found IN SELECT quote_ident(table_name) FROM information_schema.columns
    WHERE table_schema = 'public' AND column_name = 'run_id'
  LOOP EXECUTE 'UPDATE ' || found || ' SET run_id = ''before_'' || run_id'; END LOOP;
END $$
"""


def shift(url: str, interval: str, *, starts: Mapping[datetime, datetime]) -> None:
    """Move every time in the database into the past, as if it had been left that long ago.

    Args:
        starts: the DAGs' start dates as the serialized DAGs have them, and what they become.
    """
    query(url, _OTHER_RUN_IDS)
    text = "data::text"
    for old, new in starts.items():
        text = f"replace({text}, '{old.timestamp()}', '{new.timestamp()}')"
    query(url, f"UPDATE serialized_dag SET data = ({text})::json RETURNING 1")
    columns = query(
        url, "SELECT quote_ident(table_name), string_agg(format('%1$I = %1$I - interval ', "
             "column_name), '|') FROM information_schema.columns WHERE table_schema = 'public' AND "
             "data_type LIKE 'timestamp%' GROUP BY 1"
    )  # fmt: skip
    for table, parts in columns:
        changes = ", ".join(f"{part}'{interval}'" for part in parts.split("|"))
        query(url, f"UPDATE {table} SET {changes} RETURNING 1")
