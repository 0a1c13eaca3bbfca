"""docs/provider.md names every operator and its arguments, and the variables of the ready DAGs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from docs.pages import PROJECT, page

PROVIDER = PROJECT / "src" / "airkeep" / "provider"
PAGE = page("docs/provider.md")


def operators() -> Iterator[tuple[str, set[str]]]:
    """Each operator that a DAG may have, and its own arguments."""
    for file in sorted((PROVIDER / "operators").glob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and re.fullmatch(r"Airkeep\w+Operator", node.name):
                [made] = [f for f in node.body if getattr(f, "name", "") == "__init__"]
                assert isinstance(made, ast.FunctionDef)
                yield node.name, {argument.arg for argument in made.args.kwonlyargs}


@pytest.mark.parametrize(("name", "arguments"), list(operators()))
def test_an_operator_is_there_with_its_arguments(name: str, arguments: set[str]) -> None:
    [row] = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    assert arguments <= set(re.findall(r"`(\w+)`", row))


def test_the_variables_of_the_dags_are_there() -> None:
    text = "".join(file.read_text() for file in (PROVIDER / "dags").glob("*.py"))
    read = set(re.findall(r"var\.value\.get\('(\w+)'", text))
    assert read
    assert all(f"| `{variable}` |" in PAGE for variable in read)
