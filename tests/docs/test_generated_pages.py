"""The generated pages are fresh, and nothing that a user can meet is left out of the pages."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest

import airkeep
from airkeep import errors
from airkeep.cli import main
from airkeep.config import SETTINGS
from airkeep.database.address import AIRFLOW_VARIABLES
from airkeep.tables.secrets import UNHANDLED
from command import commands
from docs.pages import DOCS, PROJECT, page, section

CLI = page("docs/cli.md")
CONFIGURATION = page("docs/configuration.md")


def test_the_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.docs", "--check"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("path", "command"), list(commands()))
def test_a_command_and_its_options_are_described(
    path: tuple[str, ...], command: click.Command
) -> None:
    text = section(CLI, f"## `airkeep {' '.join(path)}`")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.hidden or parameter.opts[-1] in text, parameter.name
            assert parameter.hidden or parameter.help, parameter.name
        else:
            assert (parameter.metavar or parameter.name or "").upper() in text


def test_every_exit_status_is_described() -> None:
    described = {int(s) for s in re.findall(r"^\| (\d+) \|", CLI, re.MULTILINE)}
    statuses = {0, 1, 2, main.HUNG_UP, main.INTERRUPTED, main.UNREAD, main.TERMINATED}
    waiting = [errors.AirkeepError]
    while waiting:
        one = waiting.pop()
        statuses.add(one.exit_status)
        assert one.__module__ != errors.__name__ or f"`{one.__name__}`" in CLI
        waiting += one.__subclasses__()
    assert statuses == described


def test_no_two_errors_have_one_status() -> None:
    tree = errors.__doc__ or ""
    found = re.findall(r"(\w+Error)\s+(\d+)", tree)
    classes = {c.__name__: c.exit_status for c in vars(errors).values() if _is_error(c)}
    assert {name: int(status) for name, status in found} == classes
    assert len(set(classes.values())) == len(classes)


def _is_error(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, errors.AirkeepError)


def test_every_variable_is_described() -> None:
    wanted = {variable for setting in SETTINGS for variable in setting.variables}
    wanted |= {*AIRFLOW_VARIABLES, "DB_SECRETS", "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB"}
    source = "".join(p.read_text() for p in (PROJECT / "src").rglob("*.py"))
    wanted |= set(re.findall(r"""["'](AIRKEEP_[A-Z_]+[A-Z])["']""", source))
    assert sorted(v for v in wanted if f"`{v}`" not in CONFIGURATION) == []


def test_every_public_name_is_described() -> None:
    text = page("docs/library.md")
    assert [n for n in airkeep.__all__ if not re.search(rf"(`|airkeep\.){n}\b", text)] == []


def test_every_column_that_may_hold_unexpected_secrets_is_listed() -> None:
    text = section(page("docs/threats.md"), "## Secrets where nobody expects them")
    rows = [
        f"| `{table}` | {', '.join(f'`{column}`' for column in columns)} | {why} |"
        for table, columns, why in UNHANDLED
    ]
    assert [row for row in rows if row not in text] == []
    assert text.count("\n| `") == len(rows)


def test_every_link_leads_somewhere() -> None:
    links = [
        (path, target)
        for path in (*PROJECT.glob("*.md"), *DOCS.rglob("*.md"))
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text())
        if not re.match(r"[a-z]+:", target)
    ]
    broken = [(path.name, target) for path, target in links if not (path.parent / target).exists()]
    assert broken == []


def test_every_page_is_on_the_map() -> None:
    listed = page("docs/map.md")
    pages = [p.name for p in DOCS.iterdir() if p.is_file() and p.name != "map.md"]
    assert [name for name in pages if f"({name})" not in listed] == []
