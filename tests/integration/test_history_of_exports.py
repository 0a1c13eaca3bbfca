"""Histories of random databases that were really exported, beside what the database itself says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airkeep.export.run import export
from airkeep.lake.connect import connect
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import id_time
from plain_history import PlainHistory
from servers import query

# dag_run's rows have a time of their own, so that a window takes some of them.
CHANGES = (
    "INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, start_date, end_date) VALUES "
    "('d', 'r{n}', 'manual', 'success', now(), {time}, {time}) ON CONFLICT DO NOTHING",
    "UPDATE dag_run SET state = '{state}' WHERE id % 5 = {n}",
    "UPDATE dag_run SET state = state WHERE id % 5 = {n}",
    "DELETE FROM dag_run WHERE id % 7 = {n}",
)
TIMES = ("now()", "now() - interval '90 days'")
changes = st.builds(
    lambda text, n, state, time: text.format(n=n, state=state, time=time),
    st.sampled_from(CHANGES),
    st.integers(0, 4),
    st.sampled_from(("success", "failed", "running")),
    st.sampled_from(TIMES),
)
ways = st.sampled_from(("full", "increment", "increment", "window"))
lives = st.lists(st.tuples(st.lists(changes, max_size=4), ways), min_size=2, max_size=4)


@settings(
    deadline=None, max_examples=3, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(lives)
def test_what_was_exported_is_known_as_the_database_told_it(
    airflow_dump: Callable[[str], str], life: list[tuple[list[str], str]]
) -> None:
    url, plain = airflow_dump("airflow-332"), PlainHistory()
    with TemporaryDirectory() as folder:
        lake = Lake(str(Path(folder, "lake")))
        for statements, how in life:
            for statement in statements:
                query(url, statement)
            cutoff = datetime.now(UTC) - timedelta(days=30)
            since = cutoff if how == "window" else None
            made = export(url, lake, environment="prod", since=since, increment=how == "increment")
            at = id_time(made.id).replace(tzinfo=None)
            rows = dict(query(url, "SELECT id, state FROM dag_run"))
            if since is None:
                plain.saw_all(at, rows)
            else:
                with connect(lake, folder=Path(folder)) as opened:
                    seen = {r for (r,) in _ids(opened, made.id)}
                plain.saw_some(at, {k: v for k, v in rows.items() if k in seen})
        with connect(lake, folder=Path(folder)) as opened:
            state = list(opened.query("SELECT id, state FROM dag_run").rows())
            versions = opened.query("SELECT id, state, valid_from, valid_to FROM dag_run_history")
            found = list(versions.rows())
    assert len(state) == len(plain.now)
    assert dict(state) == plain.now
    assert len(found) == len(set(found))
    assert set(found) == plain.versions()


def _ids(opened: Any, snapshot: str) -> list[tuple[int]]:
    own = opened.query("SELECT id, snapshot FROM dag_run").rows()
    return [(number,) for number, of in own if of == snapshot]
