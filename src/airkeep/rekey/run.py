"""Bring the secrets of a live database to another Fernet key, as `airflow rotate-fernet-key` does.

Looked at first, at one instant and without a lock: a value that no key opens ends it there, by
name, and a dry run too. Then the few tables are locked against writers, so that nothing that
Airflow writes is lost; all is read again, what is under an old key is encrypted with the new one,
everything is read back and must open with the new key alone and hold what it held; then the
commit. Ended at any moment, the database is as it was or done; run again, there is nothing to do.

The running Airflow must have both keys before (`new,old`), and may lose the old one after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from airkeep.database.address import DatabasePlace, open_address
from airkeep.database.catalog import Table
from airkeep.database.limits import ReadLimits
from airkeep.database.rewrite import Rewriter, Row, open_rewriter
from airkeep.errors import RekeyError
from airkeep.rekey.plan import RekeyPlan, fernet_ring
from airkeep.snapshot.folder import private_folder
from airkeep.snapshot.progress import Progress, Step, silent
from airkeep.snapshot.rotate import Known, Rotation
from airkeep.snapshot.seal import Keyring
from airkeep.tables.secrets import Secret


@dataclass(frozen=True)
class RekeyResult:
    """What was done; `changed` and `took_s` are 0 for a dry run."""

    plan: RekeyPlan
    changed: int = 0
    took_s: float = 0.0
    dry_run: bool = False


def rekey(
    database: DatabasePlace,
    *,
    fernet_key: str | None = None,
    source_fernet_key: str | None = None,
    dry_run: bool = False,
    limits: ReadLimits | None = None,
    spool: Path | None = None,
    progress: Progress = silent,
) -> RekeyResult:
    """Encrypt every secret of a database with the first of `fernet_key`, in one transaction.

    Args:
        fernet_key: the new key; those behind a comma open, as in Airflow's own setting.
        source_fernet_key: more keys that open.
        dry_run: only look; what no key opens is in the plan, and nothing is raised for it.

    Raises:
        DecryptError: values that no given key opens, all by name; nothing was changed.
        MissingKeyError: no new key.
        AirkeepError: see `airkeep.errors`; the database is as it was.
    """
    began, address, limits = monotonic(), open_address(database), limits or ReadLimits()
    known: Known = {}
    ring = fernet_ring(fernet_key, source_fernet_key)
    with private_folder(spool) as folder:
        with open_rewriter(address, folder, limits) as look:
            look.look()
            plan = _Rekey(look, ring, known, progress).plan(str(address))
        if dry_run:
            return RekeyResult(plan, dry_run=True)
        plan.check()
        if not plan.old:
            return RekeyResult(plan, took_s=round(monotonic() - began, 3))
        with open_rewriter(address, folder, limits) as target:
            run = _Rekey(target, ring, known, progress)
            plan, changed = run.change(str(address))
    return RekeyResult(plan, changed, round(monotonic() - began, 3))


@dataclass(frozen=True)
class _Held:
    """One table and its columns that hold secrets."""

    table: Table
    secrets: tuple[Secret, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(s.column for s in self.secrets)


class _Rekey:
    """One look, or one transaction.

    What the look opened is known under the lock, where others wait for us: opening is what costs.
    """

    def __init__(self, target: Rewriter, ring: Keyring, known: Known, progress: Progress) -> None:
        self.target, self.ring, self.known, self.progress = target, ring, known, progress

    def plan(self, shown: str) -> RekeyPlan:
        rotation = Rotation(self.ring, known=self.known)
        for held in self.held():
            self.progress(Step(f"reading {held.table.name}", 0, 0))
            for _ in self.turned(held, rotation):
                pass
        return self.told(shown, rotation)

    def told(self, shown: str, rotation: Rotation) -> RekeyPlan:
        return RekeyPlan(shown, self.ring.fingerprints[0], self.ring.variable, rotation.columns())

    def change(self, shown: str) -> tuple[RekeyPlan, int]:
        held = self.held()
        self.progress(Step("locking tables", 0, 0))
        self.target.begin([one.table for one in held])
        rotation = Rotation(self.ring, known=self.known)
        changed = [(one, list(self.turned(one, rotation))) for one in held]
        plan = self.told(shown, rotation)
        plan.check()  # a row may have come since the look
        for one, rows in changed:
            self.progress(Step(f"writing {one.table.name}", 0, 0))
            if rows:
                self.target.rewrite(one.table, one.columns, rows)
        self.prove(held, rotation)
        self.target.commit()
        return plan, plan.old

    def held(self) -> list[_Held]:
        catalog = self.target.catalog()
        found = []
        for table in catalog.tables:
            if table.schema == catalog.main_schema:
                secrets = Rotation(self.ring).secrets(table.name, [c.name for c in table.columns])
                found += [_Held(table, secrets)] if secrets else []
        return found

    def turned(self, held: _Held, rotation: Rotation) -> Iterator[Row]:
        """The rows that change: place, and the new value of each column."""
        names = {c.name for c in held.table.columns}
        wanted = [
            *held.columns,
            *(s.flag for s in held.secrets if s.flag in names),
            *(s.named_by for s in held.secrets),
        ]
        columns = list(dict.fromkeys(wanted))
        for place, *values in self.target.rows(held.table, columns, held.columns):
            row = dict(zip(columns, values, strict=True))
            new = [
                rotation.turn(
                    row[s.column], s, row.get(s.flag), label=held.table.name, name=row[s.named_by]
                )
                for s in held.secrets
            ]
            if new != [row[c] for c in held.columns]:
                yield (place, *new)

    def prove(self, held: Sequence[_Held], before: Rotation) -> None:
        """Read everything back: the new key alone opens it, and it hides what it hid."""
        self.progress(Step("reading it back", 0, 0))
        after = Rotation(self.ring.first)
        for one in held:
            for _ in self.turned(one, after):
                pass
        lost = [name for column in after.columns() for name in column.unreadable]
        if lost or after.contents != before.contents:
            raise RekeyError(
                f"{len(lost)} values would not open with the new key, or would hold something "
                f"else, so nothing was changed: does a trigger of the database change them?"
            )
