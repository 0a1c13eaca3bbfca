"""From proved rows to units and batches, all of it in DuckDB: keys of many rows do not fit memory.

Per family and member there is a table of old rows, as `snapshot.prove` made it. Here each row gets
its unit's number; a unit with a row that the snapshot does not hold unchanged stays whole, and so
does one that a row names which stays; the others are dealt out to batches of about as many rows as
were asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airkeep.database.duck import explained
from airkeep.database.spool import SpoolFile
from airkeep.database.sql import ident, literal
from airkeep.database.types import wire
from airkeep.prune.plan import Family, Member, TableFate
from airkeep.snapshot.manifest import TableEntry
from airkeep.snapshot.prove import CHANGED, SAME, STATE, UNKNOWN, VERSION, has_rows
from airkeep.snapshot.read import SnapshotReader

if TYPE_CHECKING:
    import pyarrow as pa

UNIT, BATCH = "airkeep_unit", "airkeep_batch"
_WHERE = "comparing what is old"


@dataclass(frozen=True)
class Proof:
    """What came of one family: its batches are numbered from 0."""

    number: int
    family: Family
    fates: tuple[TableFate, ...]
    units: int
    batches: int


def proved(family: int, member: int) -> str:
    """The name of the DuckDB table that `snapshot.prove` fills."""
    return f"proved_{family}_{member}"


class Units:
    """The families' rows on the reader's DuckDB."""

    def __init__(self, rows: SnapshotReader, *, batch_rows: int) -> None:
        self._db, self._manifest, self._batch_rows = rows.db, rows.snapshot.manifest, batch_rows
        self._settled: list[Family] = []
        self._asked: set[str] = set()

    def has_old(self, number: int, place: int) -> bool:
        """Whether a member has a row that is old; before its family is settled."""
        return has_rows(self._db, proved(number, place))

    def note_named(self, number: int, turn: int, label: str, files: Iterable[SpoolFile]) -> None:
        """Take down which rows are named by what is not old itself.

        Args:
            turn: the place of the naming in its family.
            label: whose rows they are.
            files: the columns of those rows that are named by; deleted when read.
        """
        paths = [file.path for file in files]
        if not paths:
            return
        listed = ", ".join(literal(str(path)) for path in paths)
        with explained(label, _WHERE):
            self._do(f"CREATE TABLE {_asked(number, turn)} AS FROM read_parquet([{listed}])")
        self._asked.add(_asked(number, turn))
        for path in paths:
            path.unlink()

    def settle(self, number: int, family: Family) -> Proof:
        """Number a family's units, see which of them leave, and deal them out to batches.

        Families are settled in their order: what an earlier one keeps may name rows of this one.
        """
        with explained(family.name, _WHERE):
            for place, member in enumerate(family.members):
                self._number(number, place, member, family)
            places = range(len(family.members))
            other = self._union(number, places, f"{UNIT}, true AS other", f"{STATE} <> {SAME}")
            stay = " UNION ALL ".join([other, *self._named(number, family)])
            self._do(
                f"CREATE TABLE bad_{number} AS SELECT {UNIT}, bool_or(other) AS other "
                f"FROM ({stay}) GROUP BY {UNIT}"
            )
            self._settled.append(family)
            fates = tuple(self._fate(number, p, m) for p, m in enumerate(family.members))
            self._deal(number, places)
            [(units, batches)] = self._do(
                f"SELECT count(*), coalesce(max({BATCH}), -1) + 1 FROM batches_{number}"
            )
        return Proof(number, family, fates, units, batches)

    def entry(self, label: str) -> TableEntry:
        entry = self._manifest.table(label)
        if entry is None:
            raise KeyError(label)
        return entry

    def staged(self, proof: Proof, place: int) -> tuple[tuple[str, ...], pa.RecordBatchReader]:
        """A member's rows that leave, each with batch, unit, key and version, as COPY takes them.

        Returns:
            The names of the columns after batch, unit and version; and the rows.
        """
        member = proof.family.members[place]
        entry = self.entry(member.label)
        names = tuple(dict.fromkeys((*entry.key, *proof.family.columns_of(member.label))))
        values = ", ".join(
            f"{wire(entry.column(n).type).format('r.' + ident(n))} AS {ident(n)}" for n in names
        )
        # An xid is four bytes without a sign; COPY writes an integer's four.
        version = f"{VERSION}::BIGINT"
        signed = f"({version} - CASE WHEN {version} > 2147483647 THEN 4294967296 ELSE 0 END)"
        statement = (
            f"SELECT b.{BATCH}::INTEGER AS {BATCH}, r.{UNIT}::BIGINT AS {UNIT}, "
            f"{signed}::INTEGER AS {VERSION}, {values} FROM rows_{proof.number}_{place} r "
            f"JOIN batches_{proof.number} b USING ({UNIT}) ORDER BY ALL"
        )
        with explained(member.label, _WHERE):
            return names, self._db.cursor().execute(statement).to_arrow_reader(10_000)

    def expected(self, proof: Proof) -> list[int]:
        """Rows of each batch."""
        every = self._union(proof.number, range(len(proof.family.members)), UNIT, "true")
        found = self._do(
            f"SELECT count(*) FROM ({every}) r JOIN batches_{proof.number} b USING ({UNIT}) "
            f"GROUP BY {BATCH} ORDER BY {BATCH}"
        )
        return [rows for (rows,) in found]

    def _number(self, number: int, place: int, member: Member, family: Family) -> None:
        source, made = proved(number, place), f"rows_{number}_{place}"
        if member.up is None:
            keys = ", ".join(ident(k) for k in self.entry(member.label).key)
            select = f"SELECT row_number() OVER (ORDER BY {keys}) AS {UNIT}, * FROM {source}"
        else:
            parent = family.parent_of(place)
            same = " AND ".join(
                f"m.{ident(c)} = p.{ident(to)}"
                for c, to in zip(member.up.columns, member.up.to, strict=True)
            )
            select = f"SELECT p.{UNIT}, m.* FROM {source} m JOIN rows_{number}_{parent} p ON {same}"
        self._do(f"CREATE TABLE {made} AS {select}")
        self._do(f"DROP TABLE {source}")

    def _named(self, number: int, family: Family) -> list[str]:
        """The SELECTs of units that a row outside the family names and keeps."""
        found = []
        for turn, naming in enumerate(family.namings):
            hang = naming.hang
            place = family.place_of(hang.parent)
            stay = [
                (f"(FROM rows_{n}_{p} SEMI JOIN bad_{n} USING ({UNIT}))", hang.columns)
                for n, earlier in enumerate(self._settled)
                for p, member in enumerate(earlier.members)
                if member.label == hang.child
            ]
            if _asked(number, turn) in self._asked:
                stay.append((_asked(number, turn), hang.to))
            for source, columns in stay:
                same = " AND ".join(
                    f"r.{ident(to)} = c.{ident(column)}"
                    for to, column in zip(hang.to, columns, strict=True)
                )
                found.append(
                    f"SELECT r.{UNIT}, false FROM rows_{number}_{place} r "
                    f"SEMI JOIN {source} c ON {same}"
                )
        return found

    def _fate(self, number: int, place: int, member: Member) -> TableFate:
        [(old, changed, unknown, held, named)] = self._do(
            f"SELECT count(*), count(*) FILTER ({STATE} = {CHANGED}), "
            f"count(*) FILTER ({STATE} = {UNKNOWN}), "
            f"count(*) FILTER ({STATE} = {SAME} AND b.other), "
            f"count(*) FILTER ({STATE} = {SAME} AND NOT b.other) "
            f"FROM rows_{number}_{place} r LEFT JOIN bad_{number} b USING ({UNIT})"
        )
        leaving = old - changed - unknown - held - named
        return TableFate(member.label, old, leaving, 0, changed, unknown, held, named)

    def _deal(self, number: int, places: Sequence[int]) -> None:
        every = self._union(number, places, UNIT, "true")
        sizes = (
            f"SELECT {UNIT}, count(*) AS n FROM ({every}) ANTI JOIN bad_{number} USING ({UNIT}) "
            f"GROUP BY {UNIT}"
        )
        before = f"sum(n) OVER (ORDER BY {UNIT}) - n"
        self._do(
            f"CREATE TABLE batches_{number} AS SELECT {UNIT}, "
            f"dense_rank() OVER (ORDER BY part) - 1 AS {BATCH} FROM "
            f"(SELECT {UNIT}, ({before}) // {self._batch_rows} AS part FROM ({sizes}))"
        )

    def _union(self, number: int, places: Sequence[int], columns: str, condition: str) -> str:
        return " UNION ALL ".join(
            f"SELECT {columns} FROM rows_{number}_{p} WHERE {condition}" for p in places
        )

    def _do(self, statement: str) -> list[Any]:
        return self._db.execute(statement).fetchall()


def _asked(number: int, turn: int) -> str:
    """The table of rows that the server says are named."""
    return f"asked_{number}_{turn}"
