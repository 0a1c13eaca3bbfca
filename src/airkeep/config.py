"""Every setting, described once, and how a command's settings come about.

A flag wins over the environment, the environment over `airkeep.toml`, the file over the default.
`load_settings` is pure: flags, environment and the file's text are handed in, and nothing here
reads them. Each field of `Settings` carries its own description, from which the page that lists
every variable is generated (`SETTINGS`).

Secrets come from the environment only: a file is copied, committed and backed up. None is shown by
`repr` or in an error.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from airkeep.errors import ConfigError, did_you_mean, shown

FILE = "airkeep.toml"
STORE_PREFIX = "AIRKEEP_STORE_"
SECRETS_MODES = ("keep", "seal", "drop", "plain")
# An export with --memory 200MB takes 163 MB in all (docs/benchmarks.md): a much smaller promise
# could not be kept.
MIN_MEMORY_BYTES = 150_000_000
DEFAULT_MEMORY_BYTES = 400_000_000

_UNITS = {"": 1, "b": 1} | {
    f"{prefix}{unit}": base**power
    for power, prefix in enumerate("kmgt", start=1)
    for unit, base in (("b", 1000), ("ib", 1024))
}
_SECRET_OPTION = re.compile(
    r"secret|password|token|credential|sas|(access|account|master|service_account|private|"
    r"customer)_key(_base64)?$"
)
_LOGIN_IN_URL = re.compile(r"://[^@]*:[^@]+@|[?&]password=")


@dataclass(frozen=True)
class Setting:
    """One setting's description.

    Attributes:
        name: as `airkeep.toml` spells it; its flag is `--name` with dashes, without its unit.
        variables: the environment variables that hold it, the first that is set wins.
        expected: what a value must look like, in the words of the error.
        default: the value where nothing is given, in words.
        read: turns a flag, a text or a TOML value into the field's value, or raises ValueError.
    """

    name: str
    field: str
    variables: tuple[str, ...]
    expected: str
    default: str
    help: str
    is_secret: bool
    read: Callable[[object], object]

    @property
    def flag(self) -> str:
        return f"--{self.name.removesuffix('_s').replace('_', '-')}"


def _described(
    default: object,
    *variables: str,
    expected: str,
    help: str,  # noqa: A002 - as in click
    read: Callable[[object], object],
    name: str = "",
    shown: str = "",
    is_secret: bool = False,
    is_hidden: bool = False,
) -> Any:
    given = {
        "name": name, "variables": variables, "expected": expected, "help": help, "read": read,
        "default": shown or ("none" if default is None else str(default)), "is_secret": is_secret,
    }  # fmt: skip
    return field(default=default, repr=not (is_secret or is_hidden), metadata=given)


def _read_text(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError
    return value


def _matching(pattern: str) -> Callable[[object], str]:
    """A reader of text that fits a pattern as a whole."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError
        return value

    return read


def _read_output(value: object) -> str:
    return _matching(r"s3://[a-z0-9.-]+/.*")(value).removesuffix("/") + "/"


def _read_secrets_mode(value: object) -> str:
    if value not in SECRETS_MODES:
        raise ValueError
    return str(value)


def _read_memory(value: object) -> int:
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) *([a-z]*)", str(value).strip().lower())
    if not found or isinstance(value, bool) or found[2] not in _UNITS:
        raise ValueError
    size = int(float(found[1]) * _UNITS[found[2]])
    if size < MIN_MEMORY_BYTES:
        raise ValueError
    return size


def _read_whole(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value)):
            raise ValueError
        number = int(str(value))
        if not least <= number <= most:
            raise ValueError
        return number

    return read


@dataclass(frozen=True)
class Settings:
    """What a command works with; made by `load_settings`, passed on, never changed."""

    environment: str | None = _described(
        None,
        "AIRKEEP_ENVIRONMENT", "AIRFLOW_ENV_NAME",
        expected="1 to 80 letters, digits, '.', '_' or '-'",
        help="The name of the Airflow environment that snapshots belong to.",
        read=_matching(r"[A-Za-z0-9._-]{1,80}"),
    )  # fmt: skip
    lake: str | None = _described(
        None,
        "AIRKEEP_LAKE",
        expected="a folder or a URL such as s3://bucket/prefix",
        help="Where snapshots are kept.",
        read=_read_text,
    )
    database: str | None = _described(
        None,
        "AIRKEEP_DATABASE",
        expected="postgresql://..., sqlite:///..., a file, or env:",
        help="The metadata database; env: is the one that this process's Airflow uses.",
        read=_read_text,
        is_hidden=True,
    )
    fernet_key: str | None = _described(
        None,
        "AIRKEEP_FERNET_KEY", "AIRFLOW__CORE__FERNET_KEY",
        expected="a Fernet key, or several with commas between",
        help="The Fernet keys of the Airflow environment, the newest first.",
        read=_read_text,
        is_secret=True,
    )  # fmt: skip
    source_fernet_key: str | None = _described(
        None,
        "AIRKEEP_SOURCE_FERNET_KEY",
        expected="a Fernet key, or several with commas between",
        help="The Fernet keys that values of a snapshot, or of a database, are still encrypted "
        "with, for restore and rekey.",
        read=_read_text,
        is_secret=True,
    )
    archive_key: str | None = _described(
        None,
        "AIRKEEP_ARCHIVE_KEY",
        expected="a Fernet key, or several with commas between",
        help="The key that sealed secrets are encrypted with in the lake.",
        read=_read_text,
        is_secret=True,
    )
    secrets: Literal["keep", "seal", "drop", "plain"] | None = _described(
        None,
        "AIRKEEP_SECRETS",
        expected=f"one of {', '.join(SECRETS_MODES)}",
        shown="keep; seal where an environment of MWAA is put to sleep",
        help="What an export does with secrets: as they are, sealed with the archive key, left "
        "out, or decrypted.",
        read=_read_secrets_mode,
    )
    memory_bytes: int | None = _described(
        None,
        "AIRKEEP_MEMORY",
        name="memory",
        expected="a size such as 400MB or 1GiB, at least 150MB",
        shown="400MB; for questions half of the machine's, from 400MB to 2GB",
        help="How much memory reading and writing tables, or answering questions, may take.",
        read=_read_memory,
    )
    threads: int = _described(
        min(2, os.cpu_count() or 1),
        "AIRKEEP_THREADS",
        expected="a whole number from 1 to 256",
        shown="2, or 1 where there is one core",
        help="How many threads read tables; more than cores costs time.",
        read=_read_whole(1, 256),
    )
    spool: str | None = _described(
        None,
        "AIRKEEP_SPOOL",
        expected="a folder",
        shown="the system's temporary folder",
        help="Where files wait to be saved to the lake.",
        read=_read_text,
    )
    lock_timeout_s: int = _described(
        30,
        "AIRKEEP_LOCK_TIMEOUT_S",
        expected="a whole number of seconds, 0 for no limit",
        help="How long to wait for a lock in the database.",
        read=_read_whole(0, 2_000_000),
    )
    statement_timeout_s: int = _described(
        3600,
        "AIRKEEP_STATEMENT_TIMEOUT_S",
        expected="a whole number of seconds, 0 for no limit",
        help="How long one statement may take in the database.",
        read=_read_whole(0, 2_000_000),
    )
    athena_database: str | None = _described(
        None,
        "AIRKEEP_ATHENA_DATABASE",
        expected="a database of the Glue catalog: lower-case letters, digits and '_'",
        help="Where the lake is registered for Athena (airkeep register LAKE --glue).",
        read=_matching(r"[a-z0-9_]{1,255}"),
    )
    athena_workgroup: str | None = _described(
        None,
        "AIRKEEP_ATHENA_WORKGROUP",
        expected="1 to 128 letters, digits, '.', '_' or '-'",
        shown="primary",
        help="The workgroup that questions run in; it may have an output place of its own.",
        read=_matching(r"[A-Za-z0-9._-]{1,128}"),
    )
    athena_output: str | None = _described(
        None,
        "AIRKEEP_ATHENA_OUTPUT",
        expected="s3://bucket/prefix/",
        shown="the workgroup's",
        help="Where Athena puts results.",
        read=_read_output,
    )
    glue_role: str | None = _described(
        None,
        "AIRKEEP_GLUE_ROLE",
        expected="a role's name or ARN",
        help="The role of jobs on Glue (airkeep iam --for glue --role glue).",
        read=_read_text,
    )
    glue_job: str | None = _described(
        None,
        "AIRKEEP_GLUE_JOB",
        expected="the name of a job of Glue",
        shown="<environment>_airkeep",
        help="The job that airkeep job run --on glue makes and runs.",
        read=_read_text,
    )
    glue_connection: str | None = _described(
        None,
        "AIRKEEP_GLUE_CONNECTION",
        expected="the name of a connection of Glue",
        shown="<environment>_conn",
        help="The connection that tells that job where the database is.",
        read=_read_text,
    )
    job_minutes: int = _described(
        60,
        "AIRKEEP_JOB_MINUTES",
        expected="a whole number of minutes from 1",
        help="How long an environment of MWAA may take to export or restore itself.",
        read=_read_whole(1, 100_000),
    )
    notify: str | None = _described(
        None,
        "AIRKEEP_NOTIFY",
        expected="sns:arn:aws:sns:REGION:ACCOUNT:TOPIC or https://...",
        help="Who is told of what a schedule did. A webhook's address is a secret; a command line "
        "is seen by everybody who may list processes.",
        read=_read_text,
        is_secret=True,
    )
    store: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def need(self, name: str) -> str:
        """Give a setting that this command cannot do without.

        Raises:
            ConfigError: it is not set; the message names every place where it can be.
        """
        setting = BY_NAME[name]
        value: str | None = getattr(self, setting.field)
        if value is None:
            is_argument = name in ("lake", "database")
            flag = "" if setting.is_secret or is_argument else f"{setting.flag}, "
            in_file = "" if setting.is_secret else f", or {name} in {FILE}"
            raise ConfigError(f"no {name} is set: give {flag}{setting.variables[0]}{in_file}")
        return value


SETTINGS: tuple[Setting, ...] = tuple(
    Setting(field=one.name, **{**one.metadata, "name": one.metadata["name"] or one.name})
    for one in fields(Settings)
    if one.metadata
)
BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}
_BY_FIELD: Mapping[str, Setting] = {setting.field: setting for setting in SETTINGS}


def load_settings(
    flags: Mapping[str, object], environ: Mapping[str, str], file_text: str | None
) -> Settings:
    """Join flags, environment and file into one frozen object.

    Args:
        flags: by a setting's name; None is a flag that was not given. `store` may be a mapping.
        environ: the process's environment; an empty variable counts as not set.
        file_text: the content of `airkeep.toml`, None where there is none.

    Raises:
        ConfigError: a value, or a name in the file, that is not understood, or a secret in the
            file. The message names the flag, variable or key.
    """
    unknown = flags.keys() - BY_NAME.keys() - {"store"}
    if unknown:
        raise ValueError(f"no setting is called {', '.join(sorted(unknown))}")
    file = _read_file(file_text or "")
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        for source, value in _candidates(setting, flags, environ, file):
            values[setting.field] = _read(setting, source, value)
            break
    return Settings(**values, store=_store_options(flags, environ, file))


def _candidates(
    setting: Setting,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    file: Mapping[str, object],
) -> Iterator[tuple[str, object]]:
    """Give what was set, with the name of its place, the strongest first."""
    if flags.get(setting.name) is not None:
        yield setting.flag, flags[setting.name]
    for variable in setting.variables:
        if environ.get(variable):
            yield variable, environ[variable]
    if setting.name in file:
        yield f"{setting.name} in {FILE}", file[setting.name]


def _read(setting: Setting, source: str, value: object) -> object:
    try:
        return setting.read(value)
    except ValueError:
        hidden = setting.is_secret or setting.name == "database"
        found = "" if hidden else f", found {shown(value)}"
        message = f"{source}: expected {setting.expected}{found}"
    raise ConfigError(message)


def check_setting(name: str, value: object) -> None:
    """Refuse a value that a setting may not have, where Python hands it over.

    Args:
        name: the field's, as the library's functions call it.

    Raises:
        ConfigError: it may not; says what may.
    """
    _read(_BY_FIELD[name], name, value)


def _read_file(text: str) -> Mapping[str, object]:
    try:
        file = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"at (line \d+, column \d+|end of document)", str(error))
        at = where[1] if where else "a place unknown"
    else:
        _check_names(file)
        return file
    raise ConfigError(f"{FILE} is no TOML: {at} cannot be understood")


def _check_names(file: Mapping[str, object]) -> None:
    for name, value in file.items():
        if name == "store":
            _check_store(value)
        elif name not in BY_NAME:
            known = [*BY_NAME, "store"]
            raise ConfigError(
                f"{FILE} has {name!r}, which is no setting{did_you_mean(name, known)}: known are "
                f"{', '.join(known)}"
            )
        elif BY_NAME[name].is_secret:
            raise ConfigError(
                f"{FILE} holds the secret {name}: take it out and set {BY_NAME[name].variables[0]}"
            )
        elif isinstance(value, str) and _LOGIN_IN_URL.search(value):
            raise ConfigError(
                f"{FILE} holds a password in {name}: take it out and set "
                f"{BY_NAME[name].variables[0]}"
            )


def _check_store(table: object) -> None:
    if not isinstance(table, dict):
        raise ConfigError(f"{FILE}: store must be a table: [store]")
    for name, value in table.items():
        if _SECRET_OPTION.search(name.lower()):
            raise ConfigError(
                f"{FILE} holds the secret store.{name}: take it out and set "
                f"{STORE_PREFIX}{name.upper()}"
            )
        if not isinstance(value, str | int | bool):
            raise ConfigError(f"{FILE}: store.{name} must be a text, a number, true or false")


def _store_options(
    flags: Mapping[str, object], environ: Mapping[str, str], file: Mapping[str, object]
) -> tuple[tuple[str, str], ...]:
    """Join the store's own options, whose names only the store knows, in lower case."""
    variables = {
        name.removeprefix(STORE_PREFIX): value
        for name, value in environ.items()
        if name.startswith(STORE_PREFIX) and name != STORE_PREFIX and value
    }
    options: dict[str, str] = {}
    for table in (file.get("store"), variables, flags.get("store")):
        options |= _option_texts(table)
    return tuple(sorted(options.items()))


def _option_texts(table: object) -> dict[str, str]:
    if not isinstance(table, Mapping):
        return {}
    return {
        str(name).lower(): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in table.items()
    }
