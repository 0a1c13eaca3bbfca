"""Delete batches from PostgreSQL: each its own short transaction, done or undone as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from airkeep.database.address import Address
from airkeep.database.catalog import Table
from airkeep.database.limits import ReadLimits
from airkeep.database.write import PostgresWriter
from airkeep.errors import BusyError
from airkeep.prune import statements as sql
from airkeep.prune.plan import Family

if TYPE_CHECKING:
    import pyarrow as pa

# A batch takes a fraction of a second; whatever takes this long is in somebody's way.
_STATEMENT_TIMEOUT_S = 60


@dataclass(frozen=True)
class BatchOutcome:
    """What one batch did.

    Attributes:
        done: it was committed; else nothing of it was changed, and it may be tried again.
        rows: deleted, by the member's place.
    """

    done: bool
    rows: tuple[int, ...] = ()


class PostgresDeleter:
    """A connection that deletes; a context manager."""

    def __init__(self, address: Address, folder: Path, limits: ReadLimits) -> None:
        self._writer = PostgresWriter(address, folder, limits)
        self._most_s = limits.statement_timeout_s

    def __enter__(self) -> Self:
        self._writer.__enter__()
        self._writer.execute(f"COMMIT; {sql.PREPARE}", doing="preparing")
        return self

    def __exit__(self, *details: object) -> None:
        self._writer.__exit__(*details)

    def begin(
        self,
        family: Family,
        tables: dict[str, Table],
        staged: Sequence[tuple[tuple[str, ...], pa.RecordBatchReader]],
    ) -> None:
        """Tell the server which rows are to leave, and take out those that something names."""
        self._batches = sql.BatchWriter(family, tables)
        self._places = len(family.members)
        for place, (columns, rows) in enumerate(staged):
            table = tables[family.members[place].label]
            stage = replace(table, schema=sql.TEMP, name=sql.stage_name(place))
            self._writer.execute(sql.create_stage(place, table, columns), doing="preparing")
            self._writer.load(stage, rows)
            self._writer.execute(sql.index_stage(place), doing="preparing")
        self._writer.execute(self._batches.weed(), doing=f"looking at who names {family.name}")

    def try_none(self) -> None:
        """Run a batch that has no row: who may not delete learns it before anything is marked."""
        self.delete(-1)

    def delete(self, batch: int, *, patient: bool = False) -> BatchOutcome:
        """Delete one batch, unless somebody is in its way.

        Args:
            patient: it may take as long as any statement of ours: a run of many tasks does.
        """
        timeout_s = self._most_s if patient else min(self._most_s, _STATEMENT_TIMEOUT_S)
        self._writer.execute(self._batches.begin(), doing="deleting")
        ended = False
        try:
            self._writer.execute(
                f"SET LOCAL statement_timeout = '{timeout_s}s'; {self._batches.delete(batch)}",
                doing="deleting",
            )
            rows = self._rows()
            if rows is not None:
                self._writer.execute("COMMIT", doing="committing")
                ended = True
                return BatchOutcome(done=True, rows=rows)
        except BusyError:
            pass
        finally:
            if not ended:
                self._writer.execute("ROLLBACK", doing="undoing")
        return BatchOutcome(done=False)

    def _rows(self) -> tuple[int, ...] | None:
        """Rows by place; None when a unit would not have left whole."""
        found = {int(place): int(rows) for place, rows in self._writer.query(self._batches.outcome)}
        if found[-1] != found.get(0, 0):
            return None
        return tuple(found.get(place, 0) for place in range(self._places))
