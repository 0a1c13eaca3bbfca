"""`airkeep show`."""

from __future__ import annotations

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.output import Output, size
from airkeep.errors import no_such_table
from airkeep.snapshot.manifest import Manifest, TableEntry


@click.command()
@click.argument("lake")
@click.argument("snapshot")
@click.option("--table", help="The columns and files of one table.")
@shared_options(tuning=False)
def show(ctx: Context, lake: str, snapshot: str, *, table: str | None) -> None:
    """Show what is in SNAPSHOT, before anything is restored."""
    found = ctx.lake(lake).find(snapshot)
    manifest = found.manifest
    if table is None:
        ctx.output.result(manifest, lambda: _manifest(manifest, ctx.output))
        return
    entry = manifest.table(table)
    if entry is None:
        labels = [t.label for t in manifest.tables]
        raise no_such_table("--table", table, "the snapshot", labels)
    ctx.output.result(entry, lambda: _table(entry, ctx.output))


def _manifest(manifest: Manifest, out: Output) -> None:
    for name, value in _facts(manifest):
        if value:
            out.line(f"{name:<12} {value}")
    out.line("")
    out.table(
        ["table", "role", "rows", "size", "files", "holds"],
        [
            [t.label, t.role, f"{t.rows:,}", size(t.bytes), str(len(t.files)), _holds(t)]
            for t in manifest.tables
            if t.rows or t.files
        ],
    )
    empty = sum(1 for t in manifest.tables if not t.rows and not t.files)
    if empty:
        out.line(f"and {empty} empty tables")


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    parent = manifest.parent.id if manifest.parent else ""
    adopted = manifest.adopted
    return [
        ("snapshot", f"{manifest.environment}/{manifest.id}"),
        ("airflow", f"{manifest.airflow_version} ({', '.join(manifest.revisions) or 'none'})"),
        ("server", f"{manifest.server.engine} {manifest.server.version}"),
        ("mode", f"{manifest.mode}{f' of {parent}' if parent else ''}"),
        ("complete", "yes" if manifest.complete else "no"),
        ("adopted", f"{adopted.layout} {adopted.source}" if adopted else ""),
        ("told", "; ".join(adopted.notes) if adopted else ""),
        ("window", f"since {manifest.window.cutoff.isoformat()}" if manifest.window else ""),
        ("secrets", " ".join([manifest.secrets.mode, *manifest.secrets.archive_keys])),
        ("rekeyed", f"from {manifest.rekeyed.id}" if manifest.rekeyed else ""),
        ("rows", f"{manifest.rows:,}"),
        ("size", size(manifest.bytes)),
        ("took", f"{(manifest.finished - manifest.started).total_seconds():.1f} s"),
        ("airkeep", manifest.airkeep),
        ("left out", ", ".join(manifest.left_out)),
        ("warnings", "; ".join(manifest.warnings)),
    ]


def _holds(entry: TableEntry) -> str:
    if entry.window:
        return entry.window
    if entry.whole:
        return "all rows"
    changed = sum(f.rows for f in entry.files)
    return f"{changed:,} changed, {entry.deleted_rows:,} deleted"


def _table(entry: TableEntry, out: Output) -> None:
    out.table(
        ["column", "type", "null", "key", "parquet", "secret"],
        [
            [
                c.name,
                c.type,
                "yes" if c.nullable else "no",
                "yes" if c.name in entry.key else "",
                c.parquet if c.encoding == "same" else f"{c.parquet} ({c.encoding})",
                c.secret or "",
            ]
            for c in entry.columns
        ],
    )
    out.line("")
    out.table(
        ["file", "rows", "size", "sha256"],
        [
            [f.path, f"{f.rows:,}", size(f.bytes), f.sha256[:12]]
            for f in (*entry.files, *entry.deleted)
        ],
    )
