"""A copy of a database whose every number and uuid is another row's in the original."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from identities import Said, what_it_says


def renumber(place: str | Path) -> None:
    """Hand the numbers of each table to its rows in the opposite order; references follow.

    Args:
        place: a PostgreSQL's URL, or a SQLite file.
    """
    said = what_it_says(place)
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as db:
            db.executescript("; ".join(_moves(said, "lower(hex(randomblob(16)))")))
        return
    moves = _moves(said, "md5('airkeep' || a.old::text)::uuid")
    run_script(place, "; ".join(["SET session_replication_role = replica", *moves]))


def run_script(url: str, script: str) -> None:
    """Run statements on one connection, each committed."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        try:
            cursor.executescript(script)
        except dbapi.Error as error:
            raise AssertionError(str(error)[-500:]) from None


def _moves(said: Said, uuid: str) -> list[str]:
    moves = []
    for table, own in said.own.items():
        if not said.rows[table]:
            continue
        number = isinstance(said.rows[table][0][own], int)
        away = "-a.old - 1000000000" if number else uuid
        ranked = f'SELECT "{own}" AS old, row_number() OVER (ORDER BY "{own}" {{0}}) AS n'
        moves.append(
            f"CREATE TEMP TABLE moved AS SELECT a.old AS old, b.old AS new, {away} AS away "
            f'FROM ({ranked.format("")} FROM "{table}") a '
            f'JOIN ({ranked.format("DESC")} FROM "{table}") b USING (n)'
        )
        places = [(table, own)] + [(t, c) for (t, c), (p, _) in said.links.items() if p == table]
        moves += [
            f'UPDATE "{there}" AS t SET "{column}" = m.{to} FROM moved m '
            f'WHERE t."{column}" = m.{by}'
            for to, by in (("away", "old"), ("new", "away"))
            for there, column in places
        ]
        moves.append("DROP TABLE moved")
    return moves
