"""Write the pages that are generated from the code.

    python -m tools.docs            write them
    python -m tools.docs --check    exit with 1 when one of them is stale

docs/cli.md comes from the commands and the error tree, docs/configuration.md from
`config.SETTINGS`, docs/manifest.schema.json from the manifest's classes; in docs/provider.md only
the files that it shows are. A test runs `--check`.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from airkeep import config, errors
from airkeep.cli import main
from airkeep.cli.ending import ending
from airkeep.database import address
from airkeep.snapshot import manifest

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "docs"
WIDTH = 88
_SHOWN_FILE = re.compile(r"(<!-- file: (\S+) -->\n```\w+\n)(.*?)(```\n)", re.DOTALL)
NOTE = "<!-- Made by tools/docs.py from the code: change it there, then run `make docs`. -->"

POSITIONAL = {"lake": "`LAKE`", "database": "`DATABASE`"}

OTHER_STATUSES = (
    (0, "", "Done."),
    (1, "", "A bug in airkeep; `-vv` shows where."),
    (2, "", "The command line is not understood."),
    (main.HUNG_UP, "", "SIGHUP: the terminal is gone. As Ctrl-C."),
    (
        main.INTERRUPTED,
        "",
        "Ctrl-C. Nothing is half-done (a commit under way may have ended). What does not answer is "
        f"waited for {ending().give_up_s} s at most; then temporary files are left. What `down` "
        "has paused is unpaused within six minutes at most. Before its own code runs, some 0.2 s, "
        "Python answers, with a traceback.",
    ),
    (main.UNREAD, "", "Done, but standard output was closed before all was printed."),
    (main.TERMINATED, "", "SIGTERM. As Ctrl-C."),
)

CLI_HEAD = """
What every command takes is what its own `--help` prints. Results go to standard output, progress
and notes to standard error.

- `DATABASE` is `postgresql://user:password@host:port/name`, `sqlite:////path/airflow.db`, a file,
  `env:`, the database that this process's Airflow uses ([configuration.md](configuration.md)), or
  `-`, the one of `AIRKEEP_DATABASE` or `airkeep.toml`. A password on a command line is seen by
  everybody who may list processes: `env:` and `-` keep it out of there.
- `LAKE` is a folder, `s3://bucket/prefix`, `gs://...` or `az://...`; `-` is the one of
  `AIRKEEP_LAKE` or `airkeep.toml`.
- `SNAPSHOT` is an id, the unique beginning of one, `latest`, any of them after `ENVIRONMENT/`, or
  `ENVIRONMENT@time`, the newest at or before a time. Times are UTC unless they say otherwise
  (`prod@2026-11-21T18:00`, `prod@2026-11-21T18:00+01:00`); a date alone is the first instant of
  that day, so that `prod@2026-11-21` was made before it. A name that fits several is an error that
  lists them. For `restore`, `latest` and `@time` pass over snapshots that are not complete.
"""

STATUS_HEAD = """
Every error is one line on standard error: what was expected, what was found, what to do next. Its
status says which kind it is. A status that ends in 0 (10, 20, ...) is a family's own, for what has
no better name. "May be tried again" is for programs: nothing was left half done, and the cause may
pass by itself.
"""

CONFIGURATION_HEAD = """
A flag wins over the environment, the environment over `airkeep.toml` in the working folder, the
file over the default. An empty variable counts as not set. Of several variables, the first that is
set wins. A name in the file that is not known is an error.

The library reads none of this: its functions take what they need as arguments (docs/library.md).
"""

CONFIGURATION_TAIL = """
## The file

```toml
# airkeep.toml
environment = "prod"
lake = "s3://my-bucket/airflow"
secrets = "seal"
memory = "400MB"

[store]
aws_region = "eu-central-1"
aws_server_side_encryption = "aws:kms"
```

Keys, and URLs with a password in them, are refused in the file: a file is copied, committed and
backed up.

## The store's own options

Whatever the cloud's client takes, by obstore's names in lower case: in the file's `[store]` table,
or as `AIRKEEP_STORE_<NAME>` (`AIRKEEP_STORE_AWS_ENDPOINT_URL`). A name that the client does not
know is an error; for a lake in a folder, which takes none, all of them are left unread. They stand
over the cloud's own variables, which are read too:
"""

CACHE = """
## The cache

Of a lake in a bucket, the summaries in `index/` are remembered in `airkeep` below
`XDG_CACHE_HOME`, or else `~/.cache`, and believed only while the bucket lists them unchanged.
The cache holds no row and no secret, and may be deleted at any time.
"""

DATABASE_HEAD = """
## `env:`, the database of this process's Airflow

Looked at in this order. A value that begins with `airflow-db-not-allowed:`, which Airflow 3 gives
to its workers, is passed over. `..._CMD` and `..._SECRET` are not supported and said so.
"""


def pages() -> dict[Path, str]:
    """Every generated page, as it should be."""
    return {
        DOCS / "cli.md": cli_page(),
        DOCS / "configuration.md": configuration_page(),
        DOCS / "manifest.schema.json": schema_page(),
        DOCS / "provider.md": with_files((DOCS / "provider.md").read_text()),
    }


def with_files(text: str) -> str:
    """A page in which every block below `<!-- file: PATH -->` is that file."""
    return _SHOWN_FILE.sub(lambda m: m[1] + (PROJECT / m[2]).read_text() + m[4], text)


def cli_page() -> str:
    parts = ["# The command line", NOTE, CLI_HEAD.strip()]
    for path, command in commands():
        parts += [f"## `{' '.join(path)}`", f"```\n{help_text(path, command)}\n```"]
    parts += ["## Exit statuses", STATUS_HEAD.strip(), status_table()]
    return "\n\n".join(parts) + "\n"


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """The group, then each command in the order of its help, a group's own after it."""
    yield from _commands(("airkeep",), main.cli)


def _commands(
    path: tuple[str, ...], command: click.Command
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _commands((*path, name), inner)


def help_text(path: tuple[str, ...], command: click.Command) -> str:
    above = click.Context(main.cli, info_name=" ".join(path[:-1]), **main.cli.context_settings)
    parent = above if len(path) > 1 else None
    settings = {**main.cli.context_settings, "terminal_width": WIDTH}
    own = click.Context(command, info_name=path[-1], parent=parent, **settings)
    return command.get_help(own).rstrip()


def status_table() -> str:
    rows = [*OTHER_STATUSES, *((c.exit_status, c.__name__, about(c)) for c in error_classes())]
    lines = [
        f"| {status} | {f'`{name}`' if name else ''} | {text} |"
        for status, name, text in sorted(rows)
    ]
    return "\n".join(["| status | error | meaning |", "|---|---|---|", *lines])


def error_classes() -> list[type[errors.AirkeepError]]:
    """All classes of the tree, the root's children first."""
    found: list[type[errors.AirkeepError]] = []
    waiting = [errors.AirkeepError]
    while waiting:
        one = waiting.pop(0)
        found.append(one)
        waiting += one.__subclasses__()
    return [c for c in found if c.__module__ == errors.__name__]


def about(error: type[errors.AirkeepError]) -> str:
    text = (inspect.getdoc(error) or "").partition("\n\n")[0].replace("\n", " ")
    return f"{text} May be tried again." if error.retryable else text


def configuration_page() -> str:
    rows = [
        f"| `{s.name}` | {variables(s.variables)} | {flag(s)} | {cell(s.expected)} "
        f"| {cell(s.default)} | {cell(s.help)} |"
        for s in config.SETTINGS
    ]
    table = "\n".join(
        [
            "| name | variables | flag | expected | default | what |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )
    store = "\n\n".join(store_notes())
    places = "\n".join(
        [
            *(f"1. `{name}`" for name in address.AIRFLOW_VARIABLES),
            "1. Amazon MWAA's `DB_SECRETS` (JSON with `username` and `password`) with "
            "`POSTGRES_HOST`, `POSTGRES_DB` and `POSTGRES_PORT` (5432 when unset)",
        ]
    )
    parts = ["# Settings", NOTE, CONFIGURATION_HEAD.strip(), table, CONFIGURATION_TAIL.strip()]
    return "\n\n".join([*parts, store, CACHE.strip(), DATABASE_HEAD.strip(), places]) + "\n"


def store_notes() -> list[str]:
    """What the store's own module says about credentials and regions."""
    from airkeep.store import open as opening

    text = inspect.getdoc(opening) or ""
    return [part for part in text.split("\n\n") if part.startswith("**")]


def variables(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def flag(setting: config.Setting) -> str:
    """The flag as the commands spell it, where one has it."""
    for _, command in commands():
        for option in command.params:
            if option.name == f"set_{setting.name}":
                return f"`{max(option.opts, key=len)}`"
    return "not on the command line" if setting.is_secret else POSITIONAL.get(setting.name, "")


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def schema_page() -> str:
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"manifest.json of a snapshot, format {manifest.FORMAT}",
    }
    return json.dumps({**head, **manifest.json_schema()}, indent=1) + "\n"


def stale() -> list[Path]:
    return [p for p, text in pages().items() if not p.is_file() or p.read_text() != text]


def run(arguments: list[str]) -> int:
    old = stale()
    if "--check" in arguments:
        for path in old:
            print(f"docs/{path.name} is stale: run `make docs`", file=sys.stderr)
        return 1 if old else 0
    for path in old:
        path.write_text(pages()[path])
        print(f"docs/{path.name} written")
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
