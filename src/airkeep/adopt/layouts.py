"""Which tool's layout a source has, and which backups are in it: told by its files alone.

Nothing is converted here. What a layout function gives says for each backup when it was taken and
how that is known, which file holds which table, and what its tool left out.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airkeep.adopt.source import Source
from airkeep.errors import BadBackupError, UnknownLayoutError
from airkeep.snapshot.manifest import Layout


@dataclass(frozen=True)
class TextTable:
    """A table of a backup, as CSV.

    Attributes:
        paths: its files in the source.
        columns: where the files have no header.
        window: which rows the tool took, in words; None for all.
        rows: how many the backup says that it has; None where it does not say.
    """

    label: str
    paths: tuple[str, ...]
    columns: tuple[str, ...] | None = None
    delimiter: str = ","
    window: str | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Backup:
    """One instant.

    Attributes:
        time: how the instant is known, in words.
        root: the folder in the source that the layout begins in.
        paths: files that belong to it and hold no table.
        versions: which Airflow it is of, where the layout says so.
        cutoff: where the tool's window begins.
    """

    at: datetime
    time: str
    root: str
    tables: tuple[TextTable, ...]
    paths: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    cutoff: datetime | None = None


_DATED = re.compile(
    r"(?P<root>(?:.*/)?)(?P<day>\d{4}/\d\d/\d\d)/(?P<name>.+)_(?P<time>\d{6})\."
    r"(?:csv|json)\.gz"
)
_SUMMARY = "export_summary"
_TOC = "toc.dat"
_ORM = re.compile(
    r"(?P<root>(?:.*/)?)(?P<kind>dagrun|taskfail|taskinstance)/dt=(?P<day>\d{4}-\d\d-\d\d)/[^/]+\.csv"
)
_ORM_TABLES = {"dagrun": "dag_run", "taskfail": "task_fail", "taskinstance": "task_instance"}
_ARCHIVE = re.compile(r"(?P<root>(?:.*/)?)_airflow_deleted__(?P<table>.+)__(?P<time>\d{14})\.csv")
PIPE_FILES = re.compile(
    r"(?P<root>(?:.*/)?)(?P<table>variable|connection|slot_pool|log|job|dag_run|trigger|"
    r"task_instance|task_fail|xcom|active_dags?)\.csv"
)

_FORMS = {
    "dated-csv": _DATED,
    "orm-csv": _ORM,
    "archive-csv": _ARCHIVE,
    "pipe-csv": PIPE_FILES,
}


def recognise(source: Source) -> Layout:
    """The layout that a source has.

    Raises:
        UnknownLayoutError: none that is known, or more than one.
    """
    if source.is_file:
        return "pg_dump"
    paths = source.entries
    if folders := sorted(p.removesuffix(_TOC) for p in paths if f"/{p}".endswith(f"/{_TOC}")):
        raise UnknownLayoutError(
            f"{source.shown} holds a dump of pg_dump's directory format ({folders[0] or '.'}), "
            f"which is not read: make one file of it with pg_restore --file=dump.sql FOLDER"
        )
    found: list[Layout] = []
    if any(f"/{_SUMMARY}_" in f"/{p}" and _DATED.match(p) for p in paths):
        found.append("dated-csv")
    if any(_ORM.fullmatch(p) for p in paths):
        found.append("orm-csv")
    if any(_ARCHIVE.fullmatch(p) for p in paths):
        found.append("archive-csv")
    if any(PIPE_FILES.fullmatch(p) for p in paths):
        found.append("pipe-csv")
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownLayoutError(
            f"{source.shown} holds backups of several tools ({', '.join(found)}): name the folder "
            f"of one of them"
        )
    raise UnknownLayoutError(
        f"{source.shown} holds no backup of a layout that is known ({len(paths)} files seen): "
        f"expected YYYY/MM/DD/export_summary_HHMMSS.json.gz, dagrun/dt=YYYY-MM-DD/*.csv, "
        f"dag_run.csv and its like, _airflow_deleted__*.csv, or one pg_dump file. See docs/adopt.md"
    )


def dated_backups(source: Source, skip: Collection[str]) -> list[Backup]:
    """One backup a summary: the newest file of each table since the summary before.

    Args:
        skip: tables whose files need not be there.

    Raises:
        UnknownLayoutError: it holds several environments.
        BadBackupError: a summary cannot be read, or a file that it counts is not there.
    """
    files = [
        (m["day"] + m["time"], m["name"], path)
        for path in source.entries
        if (m := _DATED.fullmatch(path))
    ]
    root = _one_root(source, _DATED)
    found, waiting = [], dict[str, str]()
    lost: list[str] = []
    for _at, name, path in sorted(files, key=lambda f: (f[0], f[1] == _SUMMARY)):
        if name != _SUMMARY:
            if name in waiting:
                lost.append(waiting[name])
            waiting[name] = path
            continue
        found.append(_dated(source, path, waiting, tuple(lost), root=root, skip=skip))
        waiting, lost = {}, []
    if waiting and found:
        last = found[-1]
        more = f"{len(waiting)} newer files have no summary, as of a run that died: left out"
        found[-1] = Backup(**{**last.__dict__, "notes": (*last.notes, more)})
    return found


def _dated(
    source: Source,
    path: str,
    files: Mapping[str, str],
    lost: tuple[str, ...],
    *,
    root: str,
    skip: Collection[str],
) -> Backup:
    summary = _summary(source, path)
    counts: dict[str, int] = summary["tables"]
    notes = []
    if missing := sorted(t for t, n in counts.items() if n and t not in files and t not in skip):
        raise BadBackupError(
            f"{path} counts {counts[missing[0]]} rows of {missing[0]}, and no file of that run "
            f"holds them: bring the whole folder, or leave the table out with --skip"
        )
    if absent := sorted(t for t in counts if t not in files and t not in skip):
        notes.append(
            f"0 rows and no file, so it is not known whether the database had them: "
            f"{', '.join(absent)}"
        )
    if beside := sorted({files[t] for t in files if t not in counts} | set(lost)):
        notes.append(f"left out, as no summary counts them: {', '.join(beside)}")
    at, time = _instant(summary["export_timestamp"], path)
    cutoff = _instant(summary["cutoff_date"], path)[0] if summary.get("cutoff_date") else None
    window = None
    if cutoff is not None or summary.get("max_age_days"):
        since = f"{cutoff:%Y-%m-%dT%H:%M:%SZ}" if cutoff else f"{summary['max_age_days']} days ago"
        window = f"rows since {since} where the tool cut the table, it does not say which"
    tables = tuple(
        TextTable(name, (files[name],) if name in files else (), window=window, rows=counts[name])
        for name in sorted(counts)
        if name in files or name in skip
    )
    return Backup(at, time, root, tables, (path,), tuple(notes), cutoff=cutoff)


def _summary(source: Source, path: str) -> dict[str, Any]:
    try:
        found = json.loads(gzip.decompress(source.fetch(path).read_bytes()))
        found["tables"] = {str(t): int(rows or 0) for t, rows in found["tables"].items()}
        datetime.fromisoformat(found["export_timestamp"])
    except (OSError, EOFError, zlib.error, LookupError, ValueError, TypeError, AttributeError):
        raise BadBackupError(
            f"{path} is not the summary of an export: expected gzip of JSON like "
            f'{{"export_timestamp": "2026-11-01T00:00:00", "tables": {{"dag_run": 78}}}}. '
            f"Bring the file again from where it was kept."
        ) from None
    return dict(found)


def _instant(text: object, path: str) -> tuple[datetime, str]:
    try:
        at = datetime.fromisoformat(str(text))
        if at.tzinfo is None:
            return at.replace(tzinfo=UTC), "the summary's own, without a zone: read as UTC"
        return at.astimezone(UTC), "the summary's own"
    except (ValueError, OverflowError):
        raise BadBackupError(f"{path} has a time that is none: expected ISO 8601") from None


def orm_backups(source: Source) -> list[Backup]:
    """One backup a day; each holds some 30 days, so they overlap."""
    root = _one_root(source, _ORM)
    days: dict[str, dict[str, list[str]]] = {}
    for path in source.entries:
        if found := _ORM.fullmatch(path):
            tables = days.setdefault(found["day"], {})
            tables.setdefault(_ORM_TABLES[found["kind"]], []).append(path)
    window = "the days before the dump that its tool took"
    return [
        Backup(
            at=_day(day, next(iter(tables.values()))[0]),
            time="the day is the folder's, the time of day is not known: 00:00 UTC",
            root=root,
            tables=tuple(
                TextTable(label, tuple(tables[label]), window=window) for label in sorted(tables)
            ),
        )
        for day, tables in sorted(days.items())
    ]


def _day(text: str, path: str, form: str = "%Y-%m-%d") -> datetime:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        raise BadBackupError(f"{path} is named after a time that is none: {text}") from None


def archive_backups(source: Source) -> list[Backup]:
    """One backup a table and `airflow db clean`: each table has a time of its own."""
    root = _one_root(source, _ARCHIVE)
    times: dict[str, list[TextTable]] = {}
    for path in source.entries:
        if found := _ARCHIVE.fullmatch(path):
            window = "the rows that `airflow db clean` deleted at this instant"
            times.setdefault(found["time"], []).append(
                TextTable(found["table"], (path,), window=window)
            )
    return [
        Backup(
            at=_day(time, tables[0].paths[0], "%Y%m%d%H%M%S"),
            time="the archive table's name, UTC to the second",
            root=root,
            tables=tuple(tables),
        )
        for time, tables in sorted(times.items())
    ]


def _one_root(source: Source, form: re.Pattern[str]) -> str:
    roots = sorted({m["root"] for path in source.entries if (m := form.match(path))})
    if len(roots) > 1:
        shown = ", ".join(roots[:5])
        raise UnknownLayoutError(
            f"{source.shown} holds the backups of several environments ({shown}): name the folder "
            f"of one of them"
        )
    return roots[0]


def not_of_layout(source: Source, layout: Layout) -> tuple[str, ...]:
    """What is to be said of files that lie beside those of a layout: they are not read."""
    form = _FORMS[layout]
    beside = [path for path in source.entries if not form.fullmatch(path)]
    if not beside:
        return ()
    more = f" and {len(beside) - 3} more" if len(beside) > 3 else ""
    return (f"left out, as {layout} has no such files: {', '.join(beside[:3])}{more}",)


def skipped(backup: Backup, skip: Collection[str]) -> Backup:
    """The backup without some tables."""
    kept = tuple(t for t in backup.tables if t.label not in skip)
    return Backup(**{**backup.__dict__, "tables": kept})
