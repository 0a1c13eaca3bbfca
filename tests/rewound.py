"""An Airflow database that was exported once and can be had again as it was then.

A prune wants the very database that its snapshot is of, so each copy gets the number of the one
that was exported (PostgreSQL 15 on), which takes a tenth of a second; an export takes longer.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import airkeep
from airkeep.prune.run import PruneResult
from compare import data_of
from servers import AIRFLOW_DATA, Templates, psql, query

NOW = timedelta(0)
_RUNS = """
SELECT child.table_name FROM information_schema.columns child
WHERE child.table_schema = 'public' AND column_name IN ('dag_id', 'run_id')
GROUP BY 1 HAVING count(*) = 2
"""


class Rewound:
    """One database of `data/airflow`, its lake, and copies of it.

    Attributes:
        lake: holds one full snapshot of environment `prod`.
        rows: of that snapshot, as `data_of` tells them.
    """

    def __init__(self, templates: Templates, name: str, folder: Path, *before: str) -> None:
        self._server = templates.cluster
        self._name = f"airkeep_rewound_{uuid4().hex[:12]}"
        self._template = f"{self._name}_then"
        self.lake = str(folder / f"lake-{name}")
        url = self._server.create(
            self._name, template=templates.name(AIRFLOW_DATA / f"{name}.dump")
        )
        if before:
            psql(self._server, url, *before)
        airkeep.export(url, self.lake, environment="prod")
        self.rows = data_of(url)
        [(oid,)] = query(
            url, "SELECT oid::bigint FROM pg_database WHERE datname = current_database()"
        )
        self._oid = oid
        self._server.create(self._template, template=self._name)

    def again(self, *changes: str) -> str:
        """The database as it was at the snapshot, then changed: its URL."""
        self._server.drop(self._name)
        statement = f"CREATE DATABASE {self._name} TEMPLATE {self._template} OID = {self._oid};"
        self._server.run("psql", "-q", stdin=statement)
        url = self._server.address(self._name)
        if changes:
            psql(self._server, url, *changes)
        return url

    @property
    def then(self) -> str:
        """The URL of the database as it was, to be read only."""
        return self._server.address(self._template)

    def drop(self) -> None:
        """Both databases; the lake stays."""
        self._server.drop(self._name)
        self._server.drop(self._template)

    def psql(self, url: str, *statements: str) -> None:
        psql(self._server, url, *statements)

    def gone(self, before: dict[str, list[str]], url: str) -> dict[str, int]:
        """How many rows left each table, all of which were in the snapshot as they were.

        Args:
            before: what the database held just before the prune.
        """
        after, left = data_of(url), {}
        for label, rows in before.items():
            was, now = Counter(rows), Counter(after.get(label, ()))
            assert not now - was, f"{label} has rows that it had not"
            deleted = was - now
            assert not deleted - Counter(self.rows.get(label, ())), f"{label} lost rows unproved"
            if deleted:
                left[label] = deleted.total()
        return left


def runs_are_whole(before: str, after: str) -> None:
    """Every run is there with all that it had, or not at all. Both are URLs."""
    kept = {tuple(r) for r in query(after, "SELECT dag_id, run_id FROM dag_run")}
    had = {tuple(r) for r in query(before, "SELECT dag_id, run_id FROM dag_run")}
    for (table,) in query(after, _RUNS):
        if table in ("dag_run", "log"):
            continue
        counted = f'SELECT dag_id, run_id, count(*) FROM "{table}" GROUP BY 1, 2'
        was = {(d, r): n for d, r, n in query(before, counted) if (d, r) in had}
        now = {(d, r): n for d, r, n in query(after, counted) if (d, r) in had}
        assert now == {run: n for run, n in was.items() if run in kept}, table


def prune(url: str, world: Rewound, **more: Any) -> PruneResult:
    """Prune everything that is older than now, without a pause."""
    return airkeep.prune(url, world.lake, **{"older_than": NOW, "pause_ms": 0, **more})


def an_old_run(url: str) -> tuple[int, str, str]:
    """A run that leaves, unless something keeps it: its id, DAG and name."""
    [run] = query(
        url,
        "SELECT id, dag_id, run_id FROM dag_run r WHERE state = 'success' AND EXISTS "
        "(SELECT FROM xcom x WHERE x.dag_run_id = r.id) AND id < (SELECT max(id) FROM dag_run l "
        "WHERE l.dag_id = r.dag_id AND l.run_type = r.run_type AND l.state = r.state) "
        "AND start_date < (SELECT max(start_date) FROM dag_run l WHERE l.dag_id = r.dag_id AND "
        "l.run_type = r.run_type AND l.state = r.state) "
        "AND logical_date < (SELECT max(logical_date) FROM dag_run l WHERE l.dag_id = r.dag_id "
        "AND l.run_type = r.run_type AND l.state = r.state) ORDER BY id LIMIT 1",
    )
    return run


def is_there(url: str, run: int) -> bool:
    """Whether a run is still in the database."""
    return query(url, f"SELECT count(*) FROM dag_run WHERE id = {run}") == [(1,)]
