r"""Load what pg_dump wrote, in one file, into a database of our own, as a role that may nothing.

A dump is a program of somebody else's. It runs as a role that owns one scratch database and has no
other right, and under psql's `\restrict`, which refuses every command that psql itself would do.
Statements that such a role may not run, or that name roles which are not here, change no row:
they are counted. Whatever else fails is an error: a row may be missing.
"""

from __future__ import annotations

import codecs
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from airkeep.database.programs import complaints, embedded_programs, run_program
from airkeep.database.script import COPY, NAME, Kind, told
from airkeep.database.server import Cluster
from airkeep.errors import BadBackupError

LOAD_TIMEOUT_S = 24 * 3600
_HEAD_LINES = 100
_END = b"-- PostgreSQL database dump complete"
_INSERT = re.compile(rb"INSERT INTO " + NAME + rb" ")
_CREATE = re.compile(rb"CREATE (?:UNLOGGED |FOREIGN )?TABLE (?:IF NOT EXISTS )?" + NAME + rb" ")
_LIKE_A_DUMP = re.compile(rb"--|(?:SET|SELECT|CREATE|COPY|INSERT INTO|BEGIN|\\restrict)\b")
_PSQL = re.compile(rb"\\(?:un)?restrict \w+\s*$|\\connect \S+\s*$")
_RIGHTS = re.compile(rb"ALTER .* OWNER TO \S+;|GRANT |REVOKE ")
_ERROR = re.compile(r"^psql:.*?:(\d+): (?:ERROR|FATAL|error):\s+(.*)$")
_HARMLESS = (
    (re.compile(r'role ".*" does not exist'), "owners and rights of roles that are not here"),
    (
        re.compile(r"must be (owner|member|superuser|able)|permission denied"),
        "what only another role may",
    ),
    (re.compile(r"unrecognized configuration parameter"), "settings of another PostgreSQL"),
    (re.compile(r'schema ".*" already exists'), "a schema that is here already"),
    (
        re.compile(r"extension .* is not available|could not open extension control file"),
        "an extension that is not here",
    ),
    (
        re.compile(r"violates foreign key constraint|could not create unique index"),
        "keys that the rows do not keep",
    ),
    (re.compile(r'relation ".*" does not exist'), "keys and indexes of tables that are not in it"),
)
_FROM = re.compile(rb"^-- Dumped from database version (\S+)", re.MULTILINE)
_STARTED = re.compile(rb"^-- Started on (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.MULTILINE)
_CREATED = re.compile(r"Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_NAME = "adopted"
_CUSTOM, _TAR = b"PGDMP", b"toc.dat\x00"  # the first member's name


@dataclass(frozen=True)
class LoadedDump:
    """A dump that became a database.

    Attributes:
        url: of the database, with its password.
        notes: what was not done, in words.
    """

    url: str
    notes: tuple[str, ...]


def is_archive(file: Path) -> bool:
    """Whether it is of pg_dump's custom or tar format."""
    with file.open("rb") as opened:
        return opened.read(len(_TAR)).startswith((_CUSTOM, _TAR))


def unpack_archive(file: Path, script: Path) -> datetime | None:
    """Write an archive as SQL, and say when it was made, by its server's clock without a zone.

    Raises:
        BadBackupError: it cannot be read.
        MissingExtraError: no pg_restore is installed.
    """
    listed = _pg_restore("--list", str(file))
    _pg_restore("--no-owner", "--no-privileges", f"--file={script}", str(file))
    found = _CREATED.search(listed)
    return None if found is None else _time(found[1])


def _pg_restore(*words: str) -> str:
    command = [str(embedded_programs() / "pg_restore"), *words]
    done = run_program(command, timeout_s=LOAD_TIMEOUT_S)
    if done.returncode != 0:
        said = (complaints(done.stderr) or ["no reason given"])[0]
        raise BadBackupError(
            f"the dump is cut off or damaged, pg_restore says: {said}. Bring the file again from "
            f"where it was kept."
        )
    return done.stdout


def looks_like_script(file: Path, shown: str) -> bool:
    """Whether one of its first lines is as a dump's."""
    return any(_LIKE_A_DUMP.match(line) for line in islice(script_lines(file, shown), _HEAD_LINES))


def about_script(file: Path, shown: str) -> tuple[str, datetime | None]:
    """The version of the server that was dumped (or `unknown`), and when, where it says so."""
    head = b"".join(islice(script_lines(file, shown), _HEAD_LINES))
    version, started = _FROM.search(head), _STARTED.search(head)
    return (
        version[1].decode() if version else "unknown",
        _time(started[1].decode()) if started else None,
    )


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def load_script(cluster: Cluster, file: Path, shown: str, folder: Path) -> LoadedDump:
    """Run a plain dump in a database of its own.

    Args:
        file: as pg_dump wrote it, or as Windows kept it: UTF-16, CRLF.
        shown: its name in messages.
        folder: private, for the cleaned script.

    Raises:
        BadBackupError: it is cut off, no dump, or a statement failed that may carry rows.
    """
    key = secrets.token_hex(16).encode()
    script = folder / "adopted.sql"
    with script.open("wb") as cleaned:
        cleaned.write(b"\\restrict " + key + b"\n")
        cleaned.writelines(clean(script_lines(file, shown), shown))
        cleaned.write(b"\n\\unrestrict " + key + b"\n")
    cluster.create(_NAME)
    guest = cluster.guest(_NAME, owns=_NAME)
    said = guest.try_script(_NAME, script, timeout_s=LOAD_TIMEOUT_S)
    notes = judge(_without_rights(said, script), shown)
    script.unlink()
    return LoadedDump(guest.address(_NAME), notes)


def _without_rights(said: Sequence[str], script: Path) -> list[str]:
    """The complaints but for those of a statement that gives a table to somebody.

    Whatever they are: a role may be called `user`, which is no name without quotes.
    """
    lines = {int(found[1]): line for line in said if (found := _ERROR.match(line))}
    if not lines:
        return []
    with script.open("rb") as opened:
        for number, (kind, text) in enumerate(told(opened), 1):
            if number in lines and kind is Kind.STATEMENT and _RIGHTS.match(text):
                lines[number] = f'psql:{script}:{number}: ERROR:  role "" does not exist'
    return list(lines.values())


def script_lines(file: Path, shown: str) -> Iterator[bytes]:
    """The lines of a script, in the encoding that it names itself, ended by LF alone.

    Raises:
        BadBackupError: its first bytes say UTF-16, and it is not.
    """
    with file.open("rb") as opened:
        mark = opened.read(3)
        if mark[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            try:
                with file.open(encoding="utf-16", newline="\n") as text:
                    yield from _without_returns(line.encode() for line in text)
            except UnicodeDecodeError:
                raise BadBackupError(
                    f"{shown} begins as UTF-16 and does not go on so: it is cut off or damaged. "
                    f"Bring the file again from where it was kept."
                ) from None
            return
        opened.seek(3 if mark == codecs.BOM_UTF8 else 0)
        yield from _without_returns(opened)


def _without_returns(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Where the first line ends in CRLF somebody made all of them do so: a dump never does."""
    ending = b""
    for number, line in enumerate(lines):
        if number == 0 and line.endswith(b"\r\n"):
            ending = b"\r\n"
        yield line[:-2] + b"\n" if ending and line.endswith(ending) else line


def clean(lines: Iterable[bytes], shown: str) -> Iterator[bytes]:
    """The script without psql's own commands.

    Raises:
        BadBackupError: it is no whole dump: rows may be missing, by line.
    """
    for kind, line in _checked(lines, shown):
        if kind is not Kind.STATEMENT or not _PSQL.match(line):
            yield line


def _checked(lines: Iterable[bytes], shown: str) -> Iterator[tuple[Kind, bytes]]:
    """The script's lines, and that it makes every table that it fills, and comes to its end."""
    made: set[bytes] = set()
    copying, ended, number = b"", False, 0
    for number, (kind, line) in enumerate(told(lines), 1):
        yield kind, line
        if kind is Kind.END_OF_ROWS:
            copying = b""
        if kind is not Kind.STATEMENT:
            continue
        if created := _CREATE.match(line):
            made.add(created[1])
        copied = COPY.match(line)
        filled = copied or _INSERT.match(line)
        if filled and filled[1] not in made:
            table = filled[1].decode(errors="replace")
            raise BadBackupError(
                f"{shown}, line {number}: rows of {table}, which the dump does not make. Dump "
                f"the schema and the data together."
            )
        copying = copied[1] if copied else b""
        ended = ended or line.startswith(_END)
    if copying or not ended:
        where = (
            f"in the rows of {copying.decode(errors='replace')}" if copying else "before its end"
        )
        raise BadBackupError(
            f"{shown} ends at line {number} {where}: expected pg_dump's last line, "
            f"'PostgreSQL database dump complete'. Bring the file again from where it was kept."
        )


def count_rows(file: Path, shown: str) -> dict[str, int | None]:
    """The tables that a script makes with their rows; None where it inserts them.

    Raises:
        BadBackupError: it is cut off, or no dump.
    """
    found: dict[str, int | None] = {}
    copying, rows = "", 0
    for kind, line in _checked(script_lines(file, shown), shown):
        if kind is Kind.ROW:
            rows += 1
        elif kind is Kind.END_OF_ROWS:
            found[copying] = rows
        elif kind is Kind.INSIDE:
            continue
        elif copied := COPY.match(line):
            copying, rows = _label(copied[1]), 0
        elif inserted := _INSERT.match(line):
            found[_label(inserted[1])] = None
        elif created := _CREATE.match(line):
            found[_label(created[1])] = 0
    return found


def _label(name: bytes) -> str:
    return name.decode(errors="replace").removeprefix("public.").replace('"', "")


def judge(said: Iterable[str], shown: str) -> tuple[str, ...]:
    """What psql's complaints mean, counted by kind.

    Raises:
        BadBackupError: one of them may have cost rows.
    """
    kinds: Counter[str] = Counter()
    for line in said:
        found = _ERROR.match(line)
        if found is None:
            continue
        kind = next((words for form, words in _HARMLESS if form.search(found[2])), None)
        if kind is None:
            [told] = complaints(f"ERROR: {found[2]}")
            raise BadBackupError(
                f"{shown}, about line {int(found[1]) - 1}: PostgreSQL refuses it ({told}), so "
                f"rows may be missing. Bring the file again from where it was kept."
            )
        kinds[kind] += 1
    return tuple(f"statements that were not run: {n}, {kind}" for kind, n in sorted(kinds.items()))
