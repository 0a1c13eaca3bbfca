"""What a statement may do, and which tables it names that somebody else must make: pure.

A question is one statement that reads, or that makes tables in DuckDB's memory. What writes a
file, loads an extension, opens another database or changes settings is refused by its first word,
because those are the same statements whatever stands before them (EXPLAIN ANALYZE runs what it
explains), and by its name where a function does it. Other engines have tables that last: they are
only asked (`query_of`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airkeep.database.sql import ident
from airkeep.errors import ConfigError
from airkeep.lake.histories import PREFIX, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlglot import exp

_READS = {
    "SELECT", "FROM", "WITH", "(", "VALUES", "TABLE", "PIVOT", "UNPIVOT", "DESCRIBE", "DESC",
    "SUMMARIZE",
}  # fmt: skip
_MAKES = {"CREATE", "DROP", "ALTER", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "MERGE"}
_ZONED = "TIMESTAMP WITH TIME ZONE"
_FILES = {"COPY", "EXPORT", "ATTACH"}
_DOES_MORE = re.compile(
    r"enable_\w+|disable_\w+|(force_)?checkpoint|truncate_duckdb_logs|write_log"
    r"|query|query_table|json_execute_serialized_sql"  # run a text that nobody looked at
    r"|arrow_scan(_dumb)?|pandas_scan|python_map_function|seq_scan"  # take addresses of memory
    r"|\w+_attach|\w+_execute|(postgres|mysql|sqlite|odbc)_query|load_aws_credentials"
    r"|reflect|try_reflect|java_method",  # Spark's, which call any Java there is
    re.IGNORECASE,
)


def named_in(statement: str) -> list[str]:
    """The tables that a statement names and does not make itself, each once, as it writes them.

    Raises:
        ConfigError: as `readings_in`.
    """
    return list(dict.fromkeys(readings_in(statement)))


def readings_in(statement: str) -> list[str]:
    """The tables that a statement names and does not make itself, each as often as it does.

    A WITH's name counts where SQL lets it: `WITH dag_run AS (SELECT * FROM dag_run)` reads the
    table. `history.<table>` is one name, in small letters up to the point.

    Raises:
        ConfigError: it is no SQL, several statements, or one that no question may be.
    """
    from sqlglot import exp

    tree = _parsed(statement)
    for function in tree.find_all(exp.Anonymous):
        if _DOES_MORE.fullmatch(function.name):
            raise ConfigError(
                f"no question calls {function.name.lower()}(): it does more than read"
            )
    target = tree.find(exp.Table) if isinstance(tree, exp.Create | exp.Drop) else None
    return [
        PREFIX + table.name if table.db else table.name
        for table in tree.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier) and table is not target
        if _is_of_histories(table) or not (table.db or _is_of_a_with(table))
    ]


def changed_in(statement: str) -> str | None:
    """The table that a statement drops, or whose columns or rows it changes.

    Raises:
        ConfigError: as `readings_in`.
    """
    from sqlglot import exp

    tree = _parsed(statement)
    if not isinstance(tree, exp.DML | exp.Drop | exp.Alter | exp.TruncateTable | exp.Merge):
        return None
    # A WITH may stand before it, with tables of its own.
    target = (tree.this or tree).find(exp.Table)
    return None if target is None else target.name


def query_of(statement: str, engine: str) -> exp.Query:
    """The one SELECT that an engine beside DuckDB may be asked.

    There is no schema of histories there: `history.dag` is read as `"history.dag" AS dag`.

    Args:
        engine: its name, as people write it.

    Raises:
        ConfigError: as `readings_in`, or it makes or changes a table, which would last there.
    """
    import sqlglot
    from sqlglot import exp

    readings_in(statement)
    tree = sqlglot.parse_one(statement, dialect="duckdb")
    # SELECT ... INTO would become CREATE TABLE; a WITH may hold a DELETE.
    if not isinstance(tree, exp.Query) or tree.find(exp.Into, exp.DML, exp.DDL):
        raise ConfigError(f"{engine} is only asked: write one SELECT that changes nothing")
    asked = [t for t in tree.find_all(exp.Table) if t.name and _is_of_histories(t)]
    names = {table.name.lower() for table in asked}
    for column in tree.find_all(exp.Column):  # any other may be a field of a table named history
        if _is_of_histories(column) and column.table.lower() in names:
            column.set("db", None)
    for table in asked:
        if not table.alias:
            table.set("alias", exp.TableAlias(this=table.this.copy()))
        table.set("this", exp.to_identifier(PREFIX + table.name, quoted=True))
        table.set("db", None)
    return tree


def without_zones(statement: str, columns: Sequence[tuple[str, str]]) -> str | None:
    """A statement whose times have no zone any more; None where they have none.

    They are those of the session's zone, UTC; so are those in lists, structs and maps.

    Args:
        columns: name and DuckDB's type of each column of the answer.

    Raises:
        ConfigError: it changes a table and gives times with a zone.
    """
    import sqlglot

    if not any(_ZONED in kind for _, kind in columns):
        return None
    tokens = [t for t in sqlglot.tokenize(statement, dialect="duckdb") if t.text != ";"]
    if tokens[0].text.upper() in _MAKES:
        raise ConfigError("RETURNING gives times with a zone: cast them, CAST(now() AS TIMESTAMP)")
    casts = ", ".join(
        (f"CAST(c{at} AS {kind.replace(_ZONED, 'TIMESTAMP')})" if _ZONED in kind else f"c{at}")
        + f" AS {ident(name)}"
        for at, (name, kind) in enumerate(columns)
    )
    names = ", ".join(f"c{at}" for at in range(len(columns)))
    asked = statement[tokens[0].start : tokens[-1].end + 1]
    return f"SELECT {casts} FROM ({asked}) AS t({names})"


def _parsed(statement: str) -> exp.Expr:
    import sqlglot
    from sqlglot import exp

    try:
        text = _checked(statement)
        # A comment behind a semicolon is a tree of its own.
        parsed = [
            tree
            for tree in sqlglot.parse(text, dialect="duckdb")
            if tree is not None and not isinstance(tree, exp.Semicolon)
        ]
    except sqlglot.errors.SqlglotError as error:
        said = str(error).splitlines()[0].removesuffix(".")
        raise ConfigError(f"this is no SQL that can be read: {said}") from None
    if not parsed:
        raise _nothing()
    if len(parsed) > 1:
        raise ConfigError(f"one question at a time: found {len(parsed)} statements")
    if isinstance(parsed[0], exp.Command):
        raise ConfigError(f"no question is a {parsed[0].name.upper()} of that kind: write a SELECT")
    return parsed[0]


def _checked(statement: str) -> str:
    """The statement, without an EXPLAIN before it.

    Raises:
        ConfigError: it begins with a word that no question begins with.
    """
    import sqlglot

    tokens = sqlglot.tokenize(statement, dialect="duckdb")
    words = [token.text.upper() for token in tokens if token.text != ";"]
    if not words:
        raise _nothing()
    if words[0] == "EXPLAIN":
        return _checked(_explained(statement[tokens[0].end + 1 :]))
    if words[0] in _FILES:
        raise ConfigError("a question writes no files: --output FILE saves its rows")
    if words[0] == "SHOW":
        raise ConfigError(
            "no question begins with SHOW: `airkeep query LAKE --tables` lists the tables, in the "
            "shell .tables does; DESCRIBE TABLE_NAME gives a table's columns"
        )
    if words[0] not in _READS | _MAKES and words[:2] != ["SET", "VARIABLE"]:
        raise ConfigError(f"no SQL of a question begins with {words[0]}: write a SELECT")
    return statement


def _explained(text: str) -> str:
    """What stands behind EXPLAIN, without ANALYZE or options in parentheses."""
    import sqlglot

    tokens = sqlglot.tokenize(text, dialect="duckdb")
    words = [token.text.upper() for token in tokens]
    if words[:1] == ["ANALYZE"]:
        return text[tokens[0].end + 1 :]
    if words[:1] == ["("] and words[1:2] not in ([one] for one in _READS) and ")" in words:
        return text[tokens[words.index(")")].end + 1 :]
    return text


def _is_of_histories(name: exp.Table | exp.Column) -> bool:
    """Whether a name is of the schema in which every table's history is."""
    return name.db.lower() == SCHEMA and not name.catalog


def _is_of_a_with(table: exp.Table) -> bool:
    """Whether a WITH around the name, and not the lake, gives it its meaning there."""
    from sqlglot import exp

    inner: exp.Expr = table
    visible: list[exp.Expr] = []
    while (outer := inner.parent) is not None:
        if isinstance(outer, exp.With):  # from within a CTE: those before it
            before = outer.expressions[: inner.index]
            visible += [*before, inner] if outer.args.get("recursive") else before
        elif not isinstance(inner, exp.With) and (its := outer.args.get("with_")) is not None:
            visible += its.expressions
        inner = outer
    return table.name.lower() in {one.alias.lower() for one in visible}


def _nothing() -> ConfigError:
    return ConfigError("there is no question in it: write a SELECT")
