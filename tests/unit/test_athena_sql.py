"""What Athena is told, read by a parser of its SQL; Trino itself is not at hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from airkeep.errors import ConfigError
from airkeep.models.athena import MAX_STATEMENT_BYTES, athena_lake, ddl, question, unmade
from airkeep.models.catalog import models
from airkeep.models.dialects import transpile
from airkeep.snapshot.lake import Lake
from fake_lake import commit, make_manifest, snapshot_name

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


def test_a_view_that_is_too_long_is_named_and_left_out_and_the_others_are_made(
    tmp_path: Path,
) -> None:
    lake = Lake(str(tmp_path / "lake"))
    for number in range(50):
        manifest = make_manifest(snapshot_name(number))
        [table] = manifest.tables
        many = (replace(table, label=f"t{n}", name=f"t{n}", files=()) for n in range(80))
        commit(lake.store, replace(manifest, tables=(table, *many)))
    said: list[str] = []
    asked = athena_lake(lake, warn=pytest.fail)

    statements = list(ddl(asked, warn=said.append))

    names = [re.fullmatch(r"the view (\w+) is left out: (.*)", one) for one in said]
    told = {found[1]: found[2] for found in names if found}
    assert len(told) == len(said)
    assert all(why.removeprefix("it reads ") in told for why in list(told.values())[1:])
    assert re.match(
        r"it is \d{3},\d{3} bytes .* 262,144: .*`airkeep compact", told["made_table_sizes"]
    )
    assert told["table_sizes"] == "it reads made_table_sizes"
    assert told["table_growth"] == "it reads table_sizes"
    views = {
        name: sql for sql in statements for name in re.findall(r'VIEW (?:IF EXISTS )?"(\w+)"', sql)
    }
    assert views.keys() >= {"runs", "dag", "snapshots", *told}
    assert not {"runs", "dag", "snapshots"} & told.keys()
    for name, sql in views.items():
        assert len(sql.encode()) <= MAX_STATEMENT_BYTES
        assert sql.startswith("DROP VIEW IF EXISTS" if name in told else "CREATE OR REPLACE VIEW")
    with pytest.raises(ConfigError, match=r"the question is too long: .* --environment"):
        question(asked, "SELECT * FROM table_growth", ["table_growth"])
