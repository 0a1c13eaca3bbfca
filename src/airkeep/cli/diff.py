"""`airkeep diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from airkeep.cli.context import Context, shared_options
from airkeep.cli.output import Output

if TYPE_CHECKING:
    from airkeep.snapshot.diff import Diff
    from airkeep.snapshot.match import Examples


@click.command()
@click.argument("lake")
@click.argument("first")
@click.argument("second")
@click.option("--table", help="Only this table, with examples.")
@shared_options()
def diff(ctx: Context, lake: str, first: str, second: str, *, table: str | None) -> None:
    """Say what changed from FIRST to SECOND: rows added, removed, changed, and which columns."""
    import airkeep

    with ctx.output.progress("diff") as progress:
        found = airkeep.diff(
            ctx.lake(lake),
            first,
            second,
            table=table,
            fernet_key=ctx.settings.fernet_key,
            archive_key=ctx.settings.archive_key,
            limits=ctx.limits,
            spool=ctx.spool,
            progress=progress,
        )
    ctx.output.result(found, lambda: _show(found, ctx.output))


def _show(found: Diff, out: Output) -> None:
    changed = [t for t in found.tables if not t.equal]
    out.table(
        ["table", "added", "removed", "changed", "columns that changed"],
        [
            [
                t.label,
                f"{t.added:,}",
                f"{t.removed:,}",
                f"{t.changed:,}",
                ", ".join(f"{name} {n:,}" for name, n in sorted(t.rows.columns.items())),
            ]
            for t in changed
        ],
    )
    for t in changed:
        for c in t.columns:
            out.line(f"column {t.label}.{c.name}: {c.here or 'none'} -> {c.there or 'none'}")
        if t.rows.examples:
            _examples(t.rows.examples, out)
    for label in found.tables_added:
        out.line(f"table added: {label}")
    for label in found.tables_removed:
        out.line(f"table removed: {label}")
    if found.not_compared:
        out.note(
            f"secret values that were not compared: {found.not_compared}; "
            f"a key is missing, or they were dropped"
        )
    if found.equal:
        out.line(f"no difference between {found.first} and {found.second}")


def _examples(examples: Examples, out: Output) -> None:
    kinds = (
        ("added", examples.only_there),
        ("removed", examples.only_here),
        ("changed", examples.changed),
    )
    for kind, keys in kinds:
        for key in keys:
            pairs = zip(examples.key, key, strict=True)
            out.line(f"  {kind}: " + ", ".join(f"{name}={value}" for name, value in pairs))
