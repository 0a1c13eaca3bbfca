"""A copy of a database whose every number and uuid is another row's in the original."""

from __future__ import annotations

from identities import Said, what_it_says


def renumber(url: str) -> None:
    """Hand the numbers of each table to its rows in the opposite order; references follow."""
    said = what_it_says(url)
    run_script(url, "; ".join(["SET session_replication_role = replica", *_moves(said)]))


def run_script(url: str, script: str) -> None:
    """Run statements on one connection, each committed."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        try:
            cursor.executescript(script)
        except dbapi.Error as error:
            raise AssertionError(str(error)[-500:]) from None


def _moves(said: Said) -> list[str]:
    moves = []
    for table, own in said.own.items():
        if not said.rows[table]:
            continue
        number = isinstance(said.rows[table][0][own], int)
        away = "-a.old - 1000000000" if number else "md5('airkeep' || a.old::text)::uuid"
        ranked = f'SELECT "{own}" AS old, row_number() OVER (ORDER BY "{own}" {{0}}) AS n'
        moves.append(
            f"CREATE TEMP TABLE moved AS SELECT a.old AS old, b.old AS new, {away} AS away "
            f'FROM ({ranked.format("")} FROM "{table}") a '
            f'JOIN ({ranked.format("DESC")} FROM "{table}") b USING (n)'
        )
        places = [(table, own)] + [(t, c) for (t, c), (p, _) in said.links.items() if p == table]
        moves += [
            f'UPDATE "{there}" t SET "{column}" = m.{to} FROM moved m WHERE t."{column}" = m.{by}'
            for to, by in (("away", "old"), ("new", "away"))
            for there, column in places
        ]
        moves.append("DROP TABLE moved")
    return moves
