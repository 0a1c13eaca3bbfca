"""What Athena is told, read by a parser of its SQL; Trino itself is not at hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from airkeep.models.athena import unmade
from airkeep.models.catalog import models
from airkeep.models.dialects import transpile

LISTED = Path(__file__).parents[1] / "trino_functions.txt"
# What looks like a call and is syntax.
SYNTAX = {
    "and", "as", "by", "exists", "from", "in", "join", "not", "on", "or", "over", "select", "then",
    "union", "values", "varchar", "when", "where", "with", "partition", "else", "all", "decimal",
    "timestamp", "char", "like", "between", "case", "distinct", "having", "group", "order",
}  # fmt: skip


def known_functions() -> set[str]:
    lines = LISTED.read_text(encoding="utf-8").splitlines()
    return {name for line in lines if not line.startswith("#") for name in line.split()}


def called_in(statement: str) -> set[str]:
    """Every name before a parenthesis, outside of texts, quoted names and remarks."""
    bare = re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|/\*.*?\*/", " '' ", statement, flags=re.S)
    return {name.lower() for name in re.findall(r"([A-Za-z_]\w*)\s*\(", bare)} - SYNTAX


def check(statement: str) -> None:
    tree = sqlglot.parse_one(statement, dialect="athena")
    assert isinstance(tree, exp.Query)
    aliases = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    aliases |= {one.name.lower() for one in tree.find_all(exp.TableAlias) if one.columns}
    assert called_in(statement) - aliases <= known_functions()


@pytest.mark.parametrize("name", list(models()))
def test_a_model_is_athenas_sql_with_functions_that_trino_has(name: str) -> None:
    statement = transpile(models()[name].sql, "athena")
    check(statement)


def test_the_page_names_every_model_that_athena_is_not_asked() -> None:
    page = (Path(__file__).parents[2] / "docs" / "readers.md").read_text(encoding="utf-8")
    [told] = re.findall(r"are refused there, DuckDB and Spark have them: (.*?)\.\n", page, re.S)
    assert set(re.findall(r"`(\w+)`", told)) == {name for name in models() if unmade(name)}


def test_the_check_finds_what_trino_has_not() -> None:
    assert called_in("SELECT epoch_us (a), 'b(c)', \"d(\" FROM x") == {"epoch_us"}
    with pytest.raises(AssertionError):
        check("SELECT strptime(a, 'b') FROM x")


@pytest.mark.parametrize("name", list(models()))
def test_a_model_groups_by_what_trino_can_see(name: str) -> None:
    """Trino, unlike DuckDB and Spark, knows no name of the same SELECT in WHERE or GROUP BY."""
    tree = sqlglot.parse_one(transpile(models()[name].sql, "athena"), dialect="athena")
    for select in tree.find_all(exp.Select):
        made_here = {
            one.alias
            for one in select.expressions
            if isinstance(one, exp.Alias)
            and one.alias not in {c.name for c in one.find_all(exp.Column)}
        }
        clauses = [select.args.get(part) for part in ("where", "group", "having")]
        named = {
            column.name
            for clause in clauses
            if clause is not None
            for column in clause.find_all(exp.Column)
            if not column.table
        }
        assert not named & made_here
