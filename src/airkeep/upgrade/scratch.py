"""The scratch database that a snapshot is migrated in: of its own engine, private, gone afterwards.

It is made from the snapshot's own `schema.sql` and rows by a plain restore, which settles nothing:
what was in flight is for the restore that comes after the upgrade. Secrets go in as they
lie in the lake: ciphertext, sealed or dropped, and nothing is decrypted.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

from airkeep.database.limits import ReadLimits
from airkeep.database.server import Server
from airkeep.database.sql import ident, qualified
from airkeep.restore.run import restore
from airkeep.snapshot.lake import Lake, Snapshot
from airkeep.snapshot.manifest import Manifest, SecretsEntry, TableEntry, encode
from airkeep.snapshot.progress import Progress, silent
from airkeep.tables.shapes import shape_of, version_like
from airkeep.upgrade.masks import Masking, Masks

_DATABASE = "airflow"


@dataclass(frozen=True)
class Scratch:
    """A database of our own.

    Attributes:
        url: as airkeep takes it.
        airflow_url: as SQLAlchemy does; both hold the password of a server that is ours alone.
    """

    url: str
    airflow_url: str
    server: Server | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is never to be shown of it."""
        return (self.airflow_url, self.url) if self.server else ()

    def revisions(self) -> frozenset[str]:
        """What `alembic_version` holds now."""
        return frozenset(self.ask("SELECT version_num FROM alembic_version"))

    def newest_event(self) -> int:
        """The highest id in `log`; 0 where there is none."""
        [newest] = self.ask("SELECT coalesce(max(id), 0) FROM log")
        return int(newest)

    def forget_events(self, after: int) -> None:
        """Delete what Airflow's command line logged of itself: its command, user and host."""
        self.ask(f"DELETE FROM log WHERE id > {after}")

    def drop(self, tables: Sequence[TableEntry]) -> None:
        """Take tables out, with what points at them; they must not meet a migration."""
        how = " CASCADE" if self.server is not None else ""  # SQLite keeps no references here
        for table in tables:
            self.ask(f"DROP TABLE {qualified(table.schema, table.name)}{how}")

    def align(self, version: str) -> list[str]:
        """Give columns the JSON type that a new database of this release has; which they were.

        Migrated ones stay `json` where a new one has `jsonb`, and a restore wants equal types.
        SQLite has no such types.
        """
        if self.server is None:
            return []
        columns = self.ask(
            "SELECT table_name || '.' || column_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND data_type = 'json'"
        )
        aligned = []
        for table, _, column in (name.partition(".") for name in sorted(columns)):
            shape = shape_of(table, version_like(version))
            wanted = shape.columns.get(column) if shape is not None else None
            if wanted is not None and wanted.type == "jsonb":
                name = ident(column)
                self.ask(
                    f"ALTER TABLE {ident(table)} ALTER COLUMN {name} TYPE jsonb USING {name}::jsonb"
                )
                aligned.append(f"{table}.{column}")
        return aligned

    def ask(self, statement: str) -> list[str]:
        """Run one statement, in a transaction of its own; gives its first column as text."""
        if self.server is not None:
            return self.server.run("psql", "-qAt", "-c", statement, database=_DATABASE).splitlines()
        with contextlib.closing(sqlite3.connect(self.url, isolation_level=None)) as db:
            return [str(row[0]) for row in db.execute(statement)]


@contextmanager
def scratch_of(
    snapshot: Snapshot,
    folder: Path,
    *,
    skip: tuple[str, ...] = (),
    without: Sequence[TableEntry] = (),
    masks: Masks | None = None,
    limits: ReadLimits | None = None,
    progress: Progress = silent,
) -> Iterator[Scratch]:
    """A scratch database that holds the snapshot.

    Args:
        folder: private, for a SQLite file.
        skip: tables whose rows stay behind.
        without: those of them that are not to be there at all.
        masks: what takes sealed secrets; None where there are none.

    Raises:
        AirkeepError: the snapshot cannot be restored.
    """
    with _empty(snapshot.manifest, folder) as scratch:
        restore(
            Lake(snapshot.store),
            as_stored(snapshot),
            scratch.url,
            create_schema=True,
            skip=skip,
            in_flight="keep",
            missed_runs="make",
            back=None if masks is None else Masking("seal", masks=masks),
            limits=limits,
            spool=folder,
            progress=progress,
        )
        if scratch.server is None:
            reorder_connection(Path(scratch.url))
        scratch.drop(without)
        yield scratch


@contextmanager
def _empty(manifest: Manifest, folder: Path) -> Iterator[Scratch]:
    if manifest.server.engine == "sqlite":
        file = Path(mkdtemp(dir=folder)) / "scratch.db"
        yield Scratch(str(file), f"sqlite:///{file}")
        return
    with Server.start() as server:
        url = server.create(_DATABASE)
        schema = manifest.main_schema or "public"
        # Airflow names no schema; one that is not `public` is found as it was by its own user.
        server.run(
            "psql", "-q", "-c",
            f"ALTER DATABASE {_DATABASE} SET search_path = {ident(schema)}, public",
        )  # fmt: skip
        scheme, _, rest = url.partition("://")
        yield Scratch(url, f"{scheme}+psycopg2://{rest}", server)


def as_stored(snapshot: Snapshot) -> Snapshot:
    """The snapshot with its secrets as they lie in the lake: nobody is to open them on the way."""
    kept: Manifest = replace(snapshot.manifest, secrets=SecretsEntry("keep"))
    return Snapshot(snapshot.store, snapshot.name, encode(kept))


# As 2.9.2's migration expects them on SQLite: it copies the table by position, whatever the names.
_CONNECTION = (
    "id", "conn_id", "conn_type", "host", "schema", "login", "password", "port", "extra",
    "is_encrypted", "is_extra_encrypted", "description",
)  # fmt: skip


def reorder_connection(file: Path) -> None:
    """Bring `connection` into the one order of columns that 2.9.2's migration copies rightly.

    A file that 2.x made itself has another one, and there a password would become a port. A later
    Airflow's table may be in any order: nothing copies it by position.
    """
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
        columns = {row[1]: row for row in db.execute("PRAGMA table_info(connection)")}
        if set(columns) != set(_CONNECTION) or tuple(columns) == _CONNECTION:
            return
        [(made,)] = db.execute("SELECT sql FROM sqlite_master WHERE name = 'connection'")
        found = re.search(r"CONSTRAINT (\w+) UNIQUE \(conn_id\)", made)
        definitions = [
            f"{ident(name)} {columns[name][2]}{' NOT NULL' if columns[name][3] else ''}"
            for name in _CONNECTION
        ]
        unique = f"CONSTRAINT {found[1]} UNIQUE" if found else "UNIQUE"
        body = ", ".join((*definitions, "PRIMARY KEY (id)", f"{unique} (conn_id)"))
        names = ", ".join(map(ident, _CONNECTION))
        db.execute("BEGIN")
        db.execute("ALTER TABLE connection RENAME TO airkeep_connection")
        db.execute(f"CREATE TABLE connection ({body})")
        db.execute(f"INSERT INTO connection ({names}) SELECT {names} FROM airkeep_connection")
        db.execute("DROP TABLE airkeep_connection")
        db.execute("COMMIT")
