"""`airkeep verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from airkeep.cli.context import Context, shared_options, split_names
from airkeep.cli.output import Output, counted, size
from airkeep.errors import (
    DifferenceError,
    NoSuchSnapshotError,
    SnapshotError,
)

if TYPE_CHECKING:
    from airkeep.snapshot.compare import Comparison
    from airkeep.snapshot.results import Problem, VerifyResult

_SHOWN = 20
_TABLES_SHOWN = 5


class Share(click.ParamType):  # type: ignore[type-arg]
    """`5%` or `0.05`."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = 0
        if not 0 < share <= 1:
            self.fail(f"{text!r}: write a share such as 5% or 0.05", param, ctx)
        return share


@dataclass(frozen=True)
class Report:
    """What the command found; the document of --json."""

    verified: list[VerifyResult]
    compared: Comparison | None = None


@click.command()
@click.argument("lake")
@click.argument("snapshot", required=False)
@click.option("--against", metavar="DATABASE", help="Compare the contents with a database, too.")
@click.option("--sample", type=Share(), help="Read only this share of the files: 5%.")
@click.option("--tables", multiple=True, metavar="TABLE", help="Compare only this table.")
@click.option("--skip", multiple=True, metavar="TABLE", help="Do not compare this table.")
@shared_options()
def verify(
    ctx: Context,
    lake: str,
    snapshot: str | None,
    *,
    against: str | None,
    sample: float | None,
    tables: tuple[str, ...],
    skip: tuple[str, ...],
) -> None:
    """Read SNAPSHOT's files again and hold them against its manifest; all of LAKE without one.

    A dated CSV export is named by its summary: csv/prod/2026/11/21/export_summary_143022.json.gz
    """
    import airkeep

    chosen = bool(tables or skip)
    if snapshot is not None and snapshot.startswith("csv/"):
        if against is not None or sample is not None or chosen:
            raise click.UsageError("a CSV export takes no --against, --sample, --tables or --skip")
        _verify_csv(ctx, lake, snapshot)
        return
    _check_against(against, snapshot, chosen=chosen)
    opened = ctx.lake(lake)
    with ctx.output.progress("verify") as progress:
        found = airkeep.verify(
            opened, snapshot, sample=sample, limits=ctx.limits, spool=ctx.spool, progress=progress
        )
        compared = None
        if against is not None and snapshot is not None and all(r.ok for r in found):
            compared = airkeep.compare(
                opened,
                snapshot,
                ctx.address(against),
                tables=split_names(tables),
                skip=split_names(skip),
                fernet_key=ctx.settings.fernet_key,
                archive_key=ctx.settings.archive_key,
                limits=ctx.limits,
                spool=ctx.spool,
                progress=progress,
            )
    ctx.output.result(Report(found, compared), lambda: _show(found, compared, ctx.output))
    _fail(found, compared, opened.url)


def _check_against(against: str | None, snapshot: str | None, *, chosen: bool) -> None:
    if against is not None and snapshot is None:
        raise click.UsageError("--against needs a SNAPSHOT: which one is the database's?")
    if against is None and chosen:
        raise click.UsageError("--tables and --skip choose what is compared: add --against")


def _verify_csv(ctx: Context, lake: str, path: str) -> None:
    import airkeep

    opened = ctx.lake(lake)
    with ctx.output.progress("verify") as progress:
        result = airkeep.verify_csv(opened, path, spool=ctx.spool, progress=progress)

    def text() -> None:
        state = "ok" if result.ok else _count(result.problems)
        ctx.output.line(
            f"{path}  {state}  {result.read:,} of {result.files:,} files read  "
            f"{size(result.bytes)}  {result.rows:,} rows"
        )
        for problem in result.problems:
            ctx.output.line(f"  {problem.kind}: {problem.path}: {problem.what}")

    ctx.output.result(result, text)
    if not result.ok:
        raise _ProblemsError(
            "", result.problems, "Bring the file back from a copy, or export again."
        )


def _show(found: list[VerifyResult], compared: Comparison | None, out: Output) -> None:
    for result in found:
        drawn = "" if result.share is None else f" ({result.share:.0%}, seed {result.seed})"
        state = "ok" if result.ok else _count(result.problems)
        out.line(
            f"{result.environment}/{result.id}  {state}  {result.read:,} of {result.files:,} files "
            f"read{drawn}  {size(result.bytes)}  {result.rows:,} rows"
        )
        if below := result.chain[1:]:
            out.line(f"  with {counted(len(below), 'snapshot')} that it stands on: {_ends(below)}")
        for problem in result.problems[:_SHOWN]:
            out.line(f"  {problem.kind}: {problem.path}: {problem.what}")
        if len(result.problems) > _SHOWN:
            out.line(f"  and {len(result.problems) - _SHOWN} more: --json shows them")
        if result.note:
            out.note(f"note: {result.note}")
    if compared is not None:
        show_comparison(compared, out)


def _ends(ids: Sequence[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{ids[0]} to {ids[-1]}"


def show_comparison(compared: Comparison, out: Output) -> None:
    """For people: what differs, or that nothing does."""
    changed = [t for t in compared.tables if not t.equal]
    out.table(
        ["table", "only in the snapshot", "only in the database", "changed", "equal"],
        [
            [t.label, *(f"{n:,}" for n in
             (t.rows.only_here, t.rows.only_there, t.rows.changed, t.rows.equal))]
            for t in changed
        ],
    )  # fmt: skip
    for table in changed:
        for c in table.columns:
            out.line(f"column {table.label}.{c.name}: {c.here or 'none'}, {c.there or 'none'}")
    _only("the snapshot", compared.only_here, out)
    _only("the database", compared.only_there, out)
    for s in compared.sequences:
        out.line(f"sequence {s.label}: {s.here or 'none'}, {s.there or 'none'}")
    if compared.not_compared:
        out.note(
            f"secret values that were not compared: {compared.not_compared}; "
            f"a key is missing, or they were dropped"
        )
    if compared.equal:
        rows = sum(t.rows.equal for t in compared.tables)
        out.line(f"equal: {rows:,} rows of {len(compared.tables)} tables")


def _only(where: str, labels: Sequence[str], out: Output) -> None:
    if labels:
        shown = labels if out.verbosity else labels[:_TABLES_SHOWN]
        more = ", ... (-v lists all)" if len(shown) < len(labels) else ""
        are = "table is" if len(labels) == 1 else "tables are"
        out.line(f"{len(labels)} {are} only in {where}: {', '.join(shown)}{more}")


def _fail(found: list[VerifyResult], compared: Comparison | None, url: str) -> None:
    if not found:
        raise NoSuchSnapshotError(f"{url} holds no snapshot")
    bad = [r for r in found if not r.ok]
    if bad:
        raise _ProblemsError(
            f" in {len(bad)} of {len(found)} snapshots",
            [p for r in bad for p in r.problems],
            "Bring the file back from a copy, or make a full export.",
        )
    if compared is not None and not compared.equal:
        counts = (
            (sum(not t.equal for t in compared.tables), "table", " with other contents"),
            (len(compared.only_here), "table", " only in the snapshot"),
            (len(compared.only_there), "table", " only in the database"),
            (len(compared.sequences), "sequence", ""),
        )
        found_out = ", ".join(f"{counted(n, what)}{how}" for n, what, how in counts if n)
        raise DifferenceError(
            f"{compared.snapshot} and the database differ: {found_out}, see above"
        )


def _count(problems: Sequence[Problem]) -> str:
    return counted(len(problems), "problem")


class _ProblemsError(SnapshotError):
    """The gravest problem, its status, and what to do where a file is not what it was.

    A manifest that cannot be read, or only by a newer airkeep, says itself what to do.
    """

    def __init__(self, where: str, problems: Sequence[Problem], advice: str) -> None:
        from airkeep.snapshot.results import gravest, status_of

        worst = gravest(problems)
        first = "" if len(problems) == 1 else ", the gravest"
        then = f". {advice}" if worst.kind in ("damaged", "missing") else ""
        super().__init__(f"{_count(problems)}{where}{first}: {worst.path}: {worst.what}{then}")
        self.exit_status = status_of(problems)
