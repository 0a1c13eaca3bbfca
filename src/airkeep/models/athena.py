"""Questions in Athena's SQL, over the tables that a lake is registered as (`lake/register.py`).

A statement stands for itself: the newest state of a table, or the rows that a model reads, are
folded from the registered files by the same statements that DuckDB gets, transpiled. They name the
snapshots that the lake has now, so a statement is made anew when there are others.

Times of the files have milliseconds in Athena: its Hive tables know no more.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from airkeep.aws.hive import HivePartition, HiveTable
from airkeep.database.sql import ident, literal
from airkeep.errors import ConfigError, did_you_mean
from airkeep.lake.columns import SQL_TYPE, Kind
from airkeep.lake.histories import histories
from airkeep.lake.manifests import Manifests, Warn
from airkeep.lake.pieces import Piece
from airkeep.lake.register import Registered, catalog_names, registered
from airkeep.lake.statement import named_in, query_of
from airkeep.lake.views import (
    Digest,
    history_view,
    last_view,
    newest_view,
    shape_of,
    state_view,
    versions_view,
)
from airkeep.models.catalog import MANIFESTS, Input, Made, models, needed_for, raw_inputs
from airkeep.models.dialects import transpile
from airkeep.models.made import maker_of
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.outline import Outline

MAX_STATEMENT_BYTES = 262_144  # what Athena takes
_PARTITIONS_AT_ONCE = 100


Pieces = Mapping[str, list[Piece]]


@dataclass(frozen=True)
class AthenaLake:
    """A lake as Athena can be asked of it.

    Attributes:
        registered: of the whole lake, whatever is asked for.
        newest: by table, what its newest states are made of; those that have one.
        known: by table, what every snapshot that is asked about says of it.
        manifests: of these snapshots.
    """

    url: str
    registered: Registered
    newest: Pieces
    known: Pieces
    manifests: tuple[Outline, ...]


def athena_lake(
    lake: Lake,
    *,
    environments: Sequence[str] = (),
    at: datetime | None = None,
    warn: Warn = warnings.warn,
) -> AthenaLake:
    """Read what a lake's manifests say.

    Args:
        environments: only these are asked about; all of them when empty.
        at: as the lake was known at this time; now, when None.
        warn: told of a snapshot that cannot be read and was passed over.

    Raises:
        SnapshotError: no snapshot can be read.
    """
    once = _once(warn)
    whole = Manifests(lake, (), None, once)
    asked = Manifests(lake, environments, at, once) if environments or at else whole
    manifests = tuple(asked.all())
    asked.check_readable("", ())
    state = {label: asked.state(label) for label in _labels(manifests)}
    return AthenaLake(
        url=lake.url,
        registered=registered(_histories(whole), lake.url),
        newest={label: pieces for label, pieces in state.items() if pieces},
        known=_histories(asked),
        manifests=manifests,
    )


def _histories(manifests: Manifests[Outline]) -> Pieces:
    return {label: manifests.history(label) for label in _labels(manifests.all())}


def _labels(manifests: Iterable[Outline]) -> list[str]:
    return sorted({label for one in manifests for label in one.labels})


def _once(warn: Warn) -> Warn:
    """Say nothing twice: the whole lake is read, and what is asked about."""
    said: set[str] = set()

    def tell(text: str) -> None:
        if text not in said:
            said.add(text)
            warn(text)

    return tell


def question(lake: AthenaLake, statement: str, wanted: Sequence[str] = ()) -> str:
    """One statement of DuckDB's SQL as one that Athena takes.

    Args:
        wanted: the models that it may name, beside the lake's tables.

    Raises:
        ConfigError: it is no SELECT, names what is not there or what only Python can make, or is
            too long for Athena.
    """
    tree = query_of(statement, "Athena")
    made_of = needed_for(wanted)
    if left_out := [(asked, name) for asked in wanted for name in unmade(asked)]:
        asked, name = left_out[0]
        which = name if asked == name else f"{asked} reads {name}, which"
        raise ConfigError(
            f"{which} is made in Python from rows, which Athena cannot: leave --engine "
            f"out, or use --engine spark"
        )
    own = {model.name for model in made_of}
    parts = {name: _table(lake, name) for name in named_in(statement) if name not in own}
    for one, columns in raw_inputs(made_of).items():
        parts[one.name] = _raw(lake, one, columns)
    for model in made_of:
        parts |= {made.name: _made(lake, made) for made in model.made}
        parts[model.name] = model.sql

    theirs = list(tree.ctes)
    for cte in theirs:
        if cte.alias.lower() in parts:
            raise ConfigError(f"{cte.alias} is a table here: give that WITH another name")
    if tree.args.get("with_"):
        tree.set("with_", None)
    for name, sql in parts.items():
        tree = tree.with_(ident(name), as_=sql, dialect="duckdb", copy=False)
    for cte in theirs:
        tree.args["with_"].append("expressions", cte)
    return _short_enough(transpile(tree.sql(dialect="duckdb"), "athena"), "the question")


def tables_of(lake: AthenaLake, statement: str) -> list[HiveTable]:
    """The registered tables that a statement of `question` reads."""
    import sqlglot

    tree = sqlglot.parse_one(statement, dialect="athena")
    named = {table.name for table in tree.find_all(sqlglot.exp.Table)}
    return [table for table in lake.registered.tables if table.name in named]


def view_statements(lake: AthenaLake) -> Iterator[tuple[str, str]]:
    """Views, each with its name: newest states, what models read, the models.

    They come in an order in which they can be made.
    """
    for label, name in catalog_names(lake.newest).items():
        yield name, state_view(lake.newest[label], lake.registered.source)
    wanted = [model for model in models().values() if not unmade(model.name)]
    for one, columns in raw_inputs(wanted).items():
        yield one.name, _raw(lake, one, columns)
    for model in wanted:
        for made in model.made:
            yield made.name, _made(lake, made)
        yield model.name, model.sql


def ddl(lake: AthenaLake, *, warn: Warn = warnings.warn) -> Iterator[str]:
    """Statements, without `;`, that make every table and view; they can be run again.

    Dropping an external table drops no file. A view that is too long for Athena is dropped instead,
    and those that read it are, too: an older one would go on telling of older snapshots.

    Args:
        warn: told of each view that is left out.
    """
    for table in lake.registered.tables:
        yield f"DROP TABLE IF EXISTS `{table.name}`"
        yield _create(table)
        for start in range(0, len(table.partitions), _PARTITIONS_AT_ONCE):
            yield _add(table, table.partitions[start : start + _PARTITIONS_AT_ONCE])
    left_out: set[str] = set()
    for name, sql in view_statements(lake):
        statement = f"CREATE OR REPLACE VIEW {ident(name)} AS\n{transpile(sql, 'athena')}"
        if why := _too_long(statement) or _reads(sql, left_out):
            left_out.add(name)
            warn(f"the view {name} is left out: {why}")
            yield f"DROP VIEW IF EXISTS {ident(name)}"
        else:
            yield statement


def _reads(sql: str, left_out: Collection[str]) -> str | None:
    read = sorted(set(named_in(sql)).intersection(left_out)) if left_out else []
    return f"it reads {read[0]}" if read else None


def unmade(name: str) -> list[str]:
    """The models, of those that this one is made of, that need Python over rows: not for Athena."""
    return [
        model.name
        for model in needed_for([name])
        if any(made.sources != (MANIFESTS,) for made in model.made)
    ]


def _made(lake: AthenaLake, made: Made) -> str:
    """What Python makes of the manifests, written out."""
    casts = ", ".join(
        f"CAST({ident(n)} AS {SQL_TYPE[k]}) AS {ident(n)}" for n, k in made.columns.items()
    )
    rows = [f"({', '.join(map(_value, row))})" for row in maker_of(made.name)(lake.manifests)]
    there = "" if rows else " WHERE 1 = 0"
    rows = rows or [f"({', '.join(['NULL'] * len(made.columns))})"]
    names = ", ".join(map(ident, made.columns))
    return f"SELECT {casts} FROM (VALUES {', '.join(rows)}) v({names}){there}"


def _value(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "NULL" if value is None else str(value).upper()
    return str(value) if isinstance(value, (int, float)) else literal(str(value))


def _raw(lake: AthenaLake, one: Input, columns: Mapping[str, Kind]) -> str:
    pieces = lake.known.get(one.table, [])
    if one.form == "versions":
        source = lake.registered.source
        return versions_view(pieces, columns, source, digest=_digest(pieces))
    if one.form == "newest":
        return newest_view(lake.newest.get(one.table, []), columns, lake.registered.source)
    return last_view(pieces, columns, lake.registered.source, key=one.key)


def _table(lake: AthenaLake, name: str) -> str:
    if pieces := lake.newest.get(name):
        return state_view(pieces, lake.registered.source)
    labels = histories(name)
    for label in labels:
        if pieces := lake.known.get(label):
            return history_view(pieces, lake.registered.source, digest=_digest(pieces))
    raise ConfigError(
        f"{lake.url} has no table {name!r}{did_you_mean([name, *labels][-1], lake.newest)}: "
        f"`airkeep query LAKE --tables` lists them"
    )


def _digest(pieces: Sequence[Piece]) -> Digest:
    """A hash of JSON, which has no bytes."""
    kinds = shape_of(pieces).kinds

    def digest(columns: Sequence[str]) -> str:
        told = (f"hex({ident(n)})" if kinds[n] == "bytes" else ident(n) for n in columns)
        return f"hash({', '.join(told)})"

    return digest


def _short_enough(statement: str, what: str) -> str:
    if why := _too_long(statement):
        raise ConfigError(f"{what} is too long: {why}, --environment asks about fewer")
    return statement


def _too_long(statement: str) -> str | None:
    if (size := len(statement.encode())) <= MAX_STATEMENT_BYTES:
        return None
    return (
        f"it is {size:,} bytes of SQL for Athena, which takes {MAX_STATEMENT_BYTES:,}: there are "
        f"too many snapshots. `airkeep compact LAKE` makes fewer, `airkeep clean` takes old ones"
    )


def _create(table: HiveTable) -> str:
    columns = ",\n".join(f"  `{name}` {kind}" for name, kind in table.columns)
    keys = ", ".join(f"`{key}` string" for key in table.keys)
    return (
        f"CREATE EXTERNAL TABLE `{table.name}` (\n{columns}\n)\n"
        f"COMMENT {_text(table.comment)}\nPARTITIONED BY ({keys})\nSTORED AS PARQUET\n"
        f"LOCATION {_text(table.location)}\nTBLPROPERTIES ('classification' = 'parquet')"
    )


def _add(table: HiveTable, partitions: Iterable[HivePartition]) -> str:
    added = "\n".join(
        "PARTITION ("
        + ", ".join(f"`{k}` = {_text(v)}" for k, v in zip(table.keys, p.values, strict=True))
        + f") LOCATION {_text(p.location)}"
        for p in partitions
    )
    return f"ALTER TABLE `{table.name}` ADD IF NOT EXISTS\n{added}"


def _text(text: str) -> str:
    """A literal of Hive's, which knows backslashes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
