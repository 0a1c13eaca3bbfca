"""What every kind of export does with rows: a cutoff, a refusal, spool files with secrets treated.

Nothing here knows whether a snapshot or CSV files are made of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from itertools import chain

from airkeep.config import check_setting
from airkeep.database.catalog import Catalog
from airkeep.database.reader import Reader
from airkeep.database.spool import SpoolFile
from airkeep.errors import ConfigError, PlainSecretError
from airkeep.export.plan import ExportOptions, ExportPlan, TablePlan, missing_tables
from airkeep.snapshot import names
from airkeep.snapshot.manifest import SecretsMode
from airkeep.snapshot.seal import ARCHIVE_KEY, SOURCE_KEY, SecretsWay, open_keyring
from airkeep.tables.revisions import airflow_version
from airkeep.tables.roles import is_airflow_table
from airkeep.tables.secrets import encrypts

Since = timedelta | datetime | None


def cutoff(since: Since, fixed_at: datetime) -> datetime | None:
    """Where a window begins, UTC: an age is counted back from the instant.

    A time without a zone is UTC.

    Raises:
        ConfigError: it is still to come, or outside the calendar.
    """
    if since is None:
        return None
    try:
        at = fixed_at - since if isinstance(since, timedelta) else names.utc(since)
    except OverflowError:
        raise ConfigError(
            f"--since {since} is outside the years 1 to 9999: write an age such as 30d, or a date"
        ) from None
    if at > fixed_at:
        raise ConfigError(f"--since {at:%Y-%m-%dT%H:%M:%SZ} is still to come: no run is of it")
    return at


def secrets_way(
    secrets: SecretsMode, fernet_key: str | None, archive_key: str | None
) -> SecretsWay:
    """What is done with secrets, with the keys for it.

    Raises:
        ConfigError: a key is none, or there is no such way.
        MissingKeyError: seal without an archive key.
    """
    check_setting("secrets", secrets)
    way = SecretsWay(
        secrets,
        open_keyring(fernet_key, variable=SOURCE_KEY),
        open_keyring(archive_key, variable=ARCHIVE_KEY),
    )
    way.check_keys()
    return way


def count_plain(reader: Reader, plan: ExportPlan, options: ExportOptions, way: SecretsWay) -> None:
    """Note plain secrets in `way`, and refuse them before a byte is saved unless allowed.

    Raises:
        PlainSecretError: there are some, and nobody allowed them.
    """
    if options.secrets != "keep":
        return  # every other mode treats, and so sees, each value
    for table in plan.tables:
        columns = [c.name for c in table.table.columns]
        if any(encrypts(secret, columns) for secret in table.secrets):
            for batch in reader.batches(table.table, table.where):
                way.treat(batch, table.label, table.secrets)
    if way.plain and not options.allow_plain:
        raise PlainSecretError(way.plain)


def spool_rows(
    reader: Reader, table: TablePlan, where: str | None, way: SecretsWay
) -> Iterator[SpoolFile]:
    """A table's rows as spool files, secrets treated; the caller deletes each when done."""
    if table.secrets and way.mode != "keep":
        return _treated(reader, table, where, way)
    return reader.spool(table.table, where)


def _treated(
    reader: Reader, table: TablePlan, where: str | None, way: SecretsWay
) -> Iterator[SpoolFile]:
    import pyarrow as pa

    required = {c.name for c in table.table.columns if not c.nullable}
    treated = (
        way.treat(batch, table.label, table.secrets, required)
        for batch in reader.batches(table.table, where)
    )
    first = next(treated, None)
    if first is not None:
        rows = pa.RecordBatchReader.from_batches(first.schema, chain([first], treated))
        yield from reader.spool_batches(rows)


def estimate_rows(reader: Reader, plan: ExportPlan) -> int:
    """How many rows the server thinks that the tables have; 0 where it does not think."""
    if reader.lineage is None:
        return 0
    oids = ", ".join(str(t.table.oid) for t in plan.tables) or "0"
    [(rows,)] = reader.query(
        f"SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class "
        f"WHERE oid IN ({oids})"
    )
    return int(rows)


def odd_things(catalog: Catalog, chosen: Collection[str]) -> tuple[str, ...]:
    """What a reader of the snapshot should know: an odd revision, tables that cannot be whole."""
    found = []
    if not airflow_version(catalog.revisions).known:
        shown = ", ".join(catalog.revisions) or "none"
        found.append(f"the alembic revision ({shown}) is not one that an Airflow release ends at")
    missing = missing_tables(catalog, chosen)
    left_out = {label for label in catalog.by_label() if label not in chosen}
    if odd := sorted(missing - left_out):
        found.append(f"not whole, as they are partitioned or inherited from: {', '.join(odd)}")
    if perhaps := sorted(n for n in missing & left_out if not is_airflow_table(n)):
        found.append(f"left out, and perhaps Airflow's own: {', '.join(perhaps)}")
    return tuple(found)
