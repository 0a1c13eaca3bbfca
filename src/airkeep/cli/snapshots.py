"""`airkeep snapshots`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.output import seconds, size
from airkeep.errors import MissingFileError, NewerFormatError, SnapshotError
from airkeep.snapshot.manifest import Summary

if TYPE_CHECKING:
    from airkeep.snapshot.lake import Lake
    from airkeep.snapshot.names import SnapshotName

NEWEST = 50


@dataclass(frozen=True)
class Listed:
    """One line of the list; the document of --json is a list of these.

    Attributes:
        summary: None where there is neither an index entry nor a manifest that can be read.
    """

    name: str
    summary: Summary | None
    state: str


@click.command()
@click.argument("lake")
@click.option("--environment", "-e", help="Only this environment's.")
@click.option("--all", "show_all", is_flag=True, help=f"All, not only the newest {NEWEST}.")
@shared_options(tuning=False)
def snapshots(ctx: Context, lake: str, *, environment: str | None, show_all: bool) -> None:
    """List the snapshots of LAKE, newest first."""
    from airkeep.snapshot.results import newest_verified_of, states

    opened = ctx.lake(lake, remember=show_all)
    if environment is not None:
        opened.check_environment(environment)
    names = opened.names(environment)
    wanted = names if show_all else names[:NEWEST]
    found = opened.summaries(wanted)
    verified = newest_verified_of(opened.store, wanted)

    def text() -> None:
        out = ctx.output
        out.table(
            ["snapshot", "airflow", "mode", "tables", "rows", "size", "took", "holds", "state"],
            [
                [one.name, *_cells(one.summary), _holds(opened, name, one.summary), one.state]
                for name, one in zip(wanted, listed, strict=True)
            ],
        )
        if not names:
            out.note(f"{opened.url} holds no snapshot")
        elif len(found) < len(names):
            out.note(f"{len(names) - len(found):,} older ones: --all shows them")

    listed = list(map(_listed, wanted, found, states(wanted, verified)))
    ctx.output.result(listed, text)
    for error in found:
        if isinstance(error, SnapshotError):
            ctx.output.warn(str(error))


def _listed(name: SnapshotName, found: Summary | SnapshotError, state: str) -> Listed:
    match found:
        case NewerFormatError():
            return Listed(str(name), None, "newer")
        case MissingFileError():
            return Listed(str(name), None, "removed")
        case SnapshotError():
            return Listed(str(name), None, "unreadable")
    return Listed(str(name), found, state)


def _cells(s: Summary | None) -> list[str]:
    if s is None:
        return ["-"] * 6
    return [
        s.airflow_version,
        s.mode,
        str(s.tables),
        f"{s.rows:,}",
        size(s.bytes),
        seconds(s.took_s),
    ]


def _holds(lake: Lake, name: SnapshotName, s: Summary | None) -> str:
    if s is None:
        return "-"
    if not s.complete:
        return "window" if s.window else "part"
    if not s.window:
        return "all"
    try:  # rare, so only here the manifest is read: a listing shows no cutoff
        window = lake.manifest(name).window
    except SnapshotError:
        window = None
    return f"all, since {window.cutoff.astimezone(UTC):%Y-%m-%d}" if window else "all, of a window"
