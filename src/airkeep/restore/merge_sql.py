"""The statements of a merge, for PostgreSQL and SQLite alike.

Each table of the snapshot is *staged*: a temporary table of the target's own types, filled before
any lock is asked for. What becomes of its rows is then decided by reads alone, into two more
temporary tables:

    airkeep_fate_<n>   (arrived, met, new, fate, why)   only rows that do not simply go in:
                       same      the target has it, word for word
                       met       the target has it, with other content
                       kept out  the target has it and keeps its own: another row there has one of
                                 the values that must be unique, or it hangs on such a row
                       remapped  it goes in under another number or uuid, `new`
                       dropped   it cannot go in; `why` says what is in its way
    airkeep_map_<n>    (old, new)   the table's numbers that are others in the target, `new` NULL
                       where the row was dropped: whatever points at them is translated

`arrived` and `met` are row addresses (ctid, rowid): both tables stay as they are meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from airkeep.database.catalog import Table
from airkeep.database.sql import ident, literal, qualified
from airkeep.restore.merge_plan import Link, TableMerge
from airkeep.restore.statements import Dialect


@dataclass(frozen=True)
class Unique:
    """A rule of a table's that no two rows share these values; NULLs are never the same.

    Attributes:
        parts: columns or expressions, as SQL over the table's own columns.
        condition: the rows that it holds for, "" for all.
    """

    parts: tuple[str, ...]
    condition: str = ""

    @property
    def told(self) -> str:
        return ", ".join(p.strip('"') for p in self.parts)


class MergeSql:
    """The statements for one table.

    Args:
        place: the table's number, for the names of temporary tables.
        maps: the maps of parents that are not empty, by label; the table's own is added later.
    """

    def __init__(
        self, merge: TableMerge, place: int, dialect: Dialect, maps: Mapping[str, str]
    ) -> None:
        self.merge, self.dialect, self.maps = merge, dialect, maps
        self.stage = dialect.aside(f"airkeep_stage_{place}")
        self.fate = dialect.aside(f"airkeep_fate_{place}")
        self.map = dialect.aside(f"airkeep_map_{place}")
        self.target = dialect.only + qualified(merge.table.schema, merge.table.name)

    # Arriving rows, with what they point at as it is called in the target.

    def translated(self) -> dict[str, Link]:
        """The columns whose values may be others in the target."""
        return {
            link.columns[0]: link
            for link in self.merge.links
            if len(link.columns) == 1 and link.parent in self.maps
        }

    def arrivals(self, columns: Collection[str]) -> str:
        """SELECT airkeep_row and the columns of every staged row, translated."""
        moved = {c: link for c, link in self.translated().items() if c in columns}
        joins, values = "", {c: self._value(c) for c in columns}
        for n, (column, link) in enumerate(moved.items()):
            old, new = (_number(f"m{n}.{c}", text=link.text) for c in ("old", "new"))
            there = f"s.{ident(column)}"
            joins += f" LEFT JOIN {self.maps[link.parent]} m{n} ON {old} = {there}"
            if not self.merge.table.column(column).nullable:
                new = f"coalesce({new}, {there})"
            values[column] = f"CASE WHEN {old} IS NULL THEN {there} ELSE {new} END"
        listed = ", ".join(f"{values[c]} AS {ident(c)}" for c in columns)
        return f"SELECT s.{self.dialect.row} AS airkeep_row, {listed} FROM {self.stage} s{joins}"

    def _value(self, column: str) -> str:
        there = f"s.{ident(column)}"
        # NULL of the column's type.
        return f"NULLIF({there}, {there})" if column in self.merge.emptied else there

    # Deciding.

    def make_fates(self) -> str:
        own = "bigint" if self.merge.number or self.merge.own is None else "uuid"
        types = {"arrived": "tid", "met": "tid", "new": own, "fate": "text", "why": "text"}
        return self.dialect.empty(_bare(self.fate), types)

    def meet_by_key(self, *, single: bool) -> str:
        """Find the arriving rows that the target has, by key.

        Args:
            single: the target has no two rows of one key; else the one with the lowest number.
        """
        merge, d = self.merge, self.dialect
        nullable = {c.name for c in merge.table.columns if c.nullable} - set(merge.table.key)
        if nullable & set(merge.key):
            on = f"{d.text(merge.key, 'a')} = {d.text(merge.key, 't')}"
        else:
            on = " AND ".join(f"a.{ident(c)} = t.{ident(c)}" for c in merge.key)
        own = f"t.{ident(merge.own)}" if merge.own else "NULL"
        alike = f"{d.text(merge.compared, 'a')} = {d.text(merge.compared, 't')}"
        found = (
            f"SELECT a.airkeep_row AS arrived, t.{d.row} AS met, {own} AS new, "
            f"CASE WHEN {alike} THEN 'same' ELSE 'met' END AS fate, '' AS why"
        )
        joined = f"FROM ({self.arrivals(merge.columns)}) a JOIN {self.target} t ON {on}"
        if single:
            return self._insert(f"{found} {joined}")
        first = own if merge.own else f"t.{d.row}"
        place = f"row_number() OVER (PARTITION BY a.airkeep_row ORDER BY {first}) AS place"
        first_of_each = f"({found}, {place} {joined}) f WHERE place = 1"
        return self._insert(f"SELECT arrived, met, new, fate, why FROM {first_of_each}")

    def meet_by_content(self) -> str:
        """Find the arriving rows that the target has; of n equal ones here and m there, the least.

        Marks are sorted where both sides have them only: a million lines of a log may arrive, and
        few of them be there.
        """
        merge, d = self.merge, self.dialect
        own = f"t.{ident(merge.own)}" if merge.own else "NULL"
        order = own if merge.own else f"t.{d.row}"
        arrivals = self.arrivals(merge.content)
        place = "row_number() OVER (PARTITION BY mark ORDER BY {by}) AS place"
        return self._insert(
            f"WITH a AS (SELECT a.airkeep_row, {d.mark(merge.content, 'a')} AS mark "
            f"FROM ({arrivals}) a), "
            f"t AS (SELECT t.{d.row} AS met, {own} AS new, {order} AS sorted, "
            f"{d.mark(merge.content, 't')} AS mark FROM {self.target} t), "
            f"h AS (SELECT airkeep_row, mark, {place.format(by='airkeep_row')} FROM a "
            f"WHERE mark IN (SELECT mark FROM t)), "
            f"r AS (SELECT met, new, mark, {place.format(by='sorted')} FROM t "
            f"WHERE mark IN (SELECT mark FROM a)) "
            f"SELECT h.airkeep_row, r.met, r.new, 'same', '' FROM h "
            f"JOIN r ON h.mark = r.mark AND h.place = r.place"
        )

    def drop_taken(self, unique: Unique) -> str:
        """Leave out rows whose other unique values the target has in another row."""
        return self._insert(
            f"SELECT DISTINCT a.airkeep_row, {self._no_row}, {self._no_number}, 'dropped', "
            f"{_taken(unique)} FROM {self._sharing(unique)} "
            f"WHERE {self._undecided('a.airkeep_row')}"
        )

    def keep_taken(self, unique: Unique) -> str:
        """Do not replace what would then have the unique values of another row."""
        return (
            f"UPDATE {self.fate} SET fate = 'kept out', why = {_taken(unique)} "
            f"WHERE fate = 'met' AND arrived IN (SELECT f.arrived FROM {self._sharing(unique)} "
            f"JOIN {self.fate} f ON f.arrived = a.airkeep_row WHERE f.met <> t.airkeep_row)"
        )

    def _sharing(self, unique: Unique) -> str:
        """The arriving rows `a` and the target's rows `t` that have the same unique values."""
        row = self.dialect.row
        parts = ", ".join(f"{part} AS u{n}" for n, part in enumerate(unique.parts))
        where = f" WHERE {unique.condition}" if unique.condition else ""
        on = " AND ".join(f"a.u{n} = t.u{n}" for n in range(len(unique.parts)))
        arrivals = f"({self.arrivals(self.merge.columns)}) x"
        return (
            f"(SELECT airkeep_row, {parts} FROM {arrivals}{where}) a JOIN "
            f"(SELECT t.{row} AS airkeep_row, {parts} FROM {self.target} t{where}) t ON {on}"
        )

    def drop_without(self, link: Link, parent: MergeSql) -> str:
        """Leave out rows whose parent was left out."""
        why = literal(f"its {link.parent} does not go in")
        return self._leave("dropped", why, self._parent_is(link, parent, "'dropped'"))

    def keep_out(self, link: Link, parent: MergeSql) -> str:
        """Leave what hangs on a row that is another one in the target: that one keeps its own."""
        return self._leave("kept out", _other(link), self._on_another(link, parent))

    def keep_met(self, link: Link, parent: MergeSql) -> str:
        """The same for what is there already, and would be replaced."""
        return (
            f"UPDATE {self.fate} SET fate = 'kept out', why = {_other(link)} WHERE fate = 'met' "
            f"AND arrived IN (SELECT s.{self.dialect.row} FROM {self.stage} s "
            f"WHERE {self._on_another(link, parent)})"
        )

    def keep_strangers(self, link: Link, parent: MergeSql) -> str:
        """Leave what is a part of nothing here, and would be a part of a row of the target's."""
        arrives = f"SELECT 1 FROM {parent.stage} p WHERE {_pointing(link, 's', 'p')}"
        there = f"SELECT 1 FROM {parent.target} p WHERE {_pointing(link, 's', 'p')}"
        condition = f"EXISTS ({there}) AND NOT EXISTS ({arrives})"
        return self._leave("kept out", _other(link), condition)

    def _on_another(self, link: Link, parent: MergeSql) -> str:
        kept = "'kept out', 'met'" if parent.merge.policy == "skip" else "'kept out'"
        return self._parent_is(link, parent, kept)

    def _parent_is(self, link: Link, parent: MergeSql, fates: str) -> str:
        """The condition that a staged row's parent arrives, and has one of these fates."""
        return (
            f"EXISTS (SELECT 1 FROM {parent.stage} p "
            f"JOIN {parent.fate} f ON f.arrived = p.{self.dialect.row} "
            f"WHERE f.fate IN ({fates}) AND {_pointing(link, 's', 'p')})"
        )

    def _leave(self, fate: str, why: str, condition: str) -> str:
        """Give a fate to the staged rows `s` that have none, where a condition holds."""
        row = f"s.{self.dialect.row}"
        return self._insert(
            f"SELECT {row}, {self._no_row}, {self._no_number}, {literal(fate)}, {why} "
            f"FROM {self.stage} s WHERE {self._undecided(row)} AND {condition}"
        )

    def left_over(self, links: Sequence[tuple[Link, MergeSql]]) -> str:
        """SELECT the target's rows that hang on a replaced row, and the snapshot does not know.

        Args:
            links: what they hang on.
        """
        row = f"t.{self.dialect.row}"
        found = " UNION ".join(
            f"SELECT {row} AS met FROM {self.target} t JOIN {parent.target} p "
            f"ON {_pointing(link, 't', 'p')} "
            f"JOIN {parent.fate} f ON f.met = p.{self.dialect.row} WHERE f.fate = 'met'"
            for link, parent in links
        )
        known = f"SELECT 1 FROM {self.fate} k WHERE k.met = x.met"
        return f"SELECT x.met FROM ({found}) x WHERE NOT EXISTS ({known})"

    def remove(self, links: Sequence[tuple[Link, MergeSql]]) -> str:
        return f"DELETE FROM {self.target} WHERE {self.dialect.row} IN ({self.left_over(links)})"

    def drop_orphans(self, link: Link, parent: MergeSql | None, target: str) -> str:
        """Leave out rows whose parent is neither in the target nor arrives.

        Args:
            parent: the parent's statements, None where it does not arrive at all.
            target: the parent's table in the target.
        """
        set_ = " AND ".join(f"s.{ident(c)} IS NOT NULL" for c in link.columns)
        places = [target, *([parent.stage] if parent else [])]
        nowhere = " AND ".join(
            f"NOT EXISTS (SELECT 1 FROM {place} p WHERE {_pointing(link, 's', 'p')})"
            for place in places
        )
        why = literal(f"its {link.parent} is nowhere")
        return self._leave("dropped", why, f"{set_} AND {nowhere}")

    def renumber(self, new: str) -> str:
        """Give new numbers to rows whose own is another row's in the target.

        Args:
            new: the expression of a new number or uuid; it may use the window `w`.
        """
        own, row = ident(self.merge.own or ""), f"s.{self.dialect.row}"
        return self._insert(
            f"SELECT arrived, {self._no_row}, {new}, 'remapped', '' FROM (SELECT {row} AS arrived, "
            f"s.{own} AS old FROM {self.stage} s WHERE {self._undecided(row)} AND EXISTS "
            f"(SELECT 1 FROM {self.target} t WHERE t.{own} = s.{own}) ORDER BY s.{own}) f"
        )

    def make_map(self, children: Sequence[tuple[MergeSql, Link]]) -> str:
        """The numbers that are others here; what pointed at nothing shall meet no row by chance.

        Args:
            children: who points at these numbers without a foreign key.
        """
        own = ident(self.merge.own or "")
        moved = (
            f"SELECT s.{own} AS old, f.new AS new FROM {self.fate} f "
            f"JOIN {self.stage} s ON s.{self.dialect.row} = f.arrived "
            f"WHERE f.new IS DISTINCT FROM s.{own}"
        )
        pointed = " UNION ".join(
            f"SELECT DISTINCT t.{own} FROM {child.stage} c JOIN {self.target} t "
            f"ON {_pointing(link, 'c', 't')}"
            for child, link in children
        )
        lost = (
            f" UNION ALL SELECT p.{own}, NULL FROM ({pointed}) p "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self.stage} s WHERE s.{own} = p.{own})"
        )
        select = moved + (lost if children else "")
        return self.dialect.temporary(_bare(self.map), select)

    def keep_reached(self, children: Sequence[tuple[MergeSql, Link]]) -> str:
        """Of a table that is only brought along: keep the rows that another points at."""
        asked = " OR ".join(
            f"EXISTS (SELECT 1 FROM {child.stage} c WHERE {_pointing(link, 'c', 's')})"
            for child, link in children
        )
        row = self.dialect.row
        return (
            f"DELETE FROM {self.stage} WHERE {row} IN "
            f"(SELECT s.{row} FROM {self.stage} s WHERE NOT ({asked or '1 = 0'}))"
        )

    def forget(self) -> str:
        return f"DELETE FROM {self.fate}"

    def forget_map(self) -> str:
        return f"DROP TABLE {self.map}"

    # Telling.

    def kinds(self) -> str:
        return f"SELECT DISTINCT fate FROM {self.fate}"

    def counts(self) -> str:
        return f"SELECT fate, why, count(*) FROM {self.fate} GROUP BY fate, why ORDER BY fate, why"

    def examples(self, fate: str, why: str, most: int) -> str:
        """A few rows of a fate, by what they are known by, and the number that they get."""
        told = ", ".join(f"s.{ident(c)}" for c in self.merge.told_by)
        return (
            f"SELECT f.new, {told} FROM {self.fate} f JOIN {self.stage} s "
            f"ON s.{self.dialect.row} = f.arrived "
            f"WHERE f.fate = {literal(fate)} AND f.why = {literal(why)} LIMIT {most}"
        )

    def plain_examples(self, most: int) -> str:
        """A few rows that simply go in."""
        told = ", ".join(f"s.{ident(c)}" for c in self.merge.told_by)
        return (
            f"SELECT {told} FROM {self.stage} s "
            f"WHERE {self._undecided(f's.{self.dialect.row}')} LIMIT {most}"
        )

    def removed_examples(self, links: Sequence[tuple[Link, MergeSql]], most: int) -> str:
        told = ", ".join(f"t.{ident(c)}" for c in self.merge.told_by)
        return (
            f"SELECT {told} FROM {self.target} t "
            f"WHERE t.{self.dialect.row} IN ({self.left_over(links)}) LIMIT {most}"
        )

    # Doing.

    def insert(self) -> str:
        """Put in what is not there."""
        merge = self.merge
        listed = ", ".join(ident(c) for c in merge.columns)
        values = [
            f"coalesce(f.new, a.{ident(c)})" if c == merge.own else f"a.{ident(c)}"
            for c in merge.columns
        ]
        over = " OVERRIDING SYSTEM VALUE" if self.dialect.engine == "postgresql" else ""
        into = qualified(merge.table.schema, merge.table.name)
        return (
            f"INSERT INTO {into} ({listed}){over} SELECT {', '.join(values)} "
            f"FROM ({self.arrivals(merge.columns)}) a "
            f"LEFT JOIN {self.fate} f ON f.arrived = a.airkeep_row "
            f"WHERE f.arrived IS NULL OR f.fate = 'remapped'"
        )

    def update(self) -> str:
        """Give the rows that are there the snapshot's content; their numbers stay."""
        merge = self.merge
        changed = [c for c in merge.content if c not in merge.key]
        sets = ", ".join(f"{ident(c)} = a.{ident(c)}" for c in changed)
        into = self.dialect.only + qualified(merge.table.schema, merge.table.name)
        row = f"t.{ident(merge.own)} = f.new" if merge.own else f"t.{self.dialect.row} = f.met"
        return (
            (
                f"UPDATE {into} AS t SET {sets} FROM ({self.arrivals(merge.columns)}) a "
                f"JOIN {self.fate} f ON f.arrived = a.airkeep_row WHERE f.fate = 'met' AND {row}"
            )
            if changed
            else ""
        )

    # Pieces.

    @property
    def _no_row(self) -> str:
        return "NULL::tid" if self.dialect.engine == "postgresql" else "NULL"

    @property
    def _no_number(self) -> str:
        if self.dialect.engine != "postgresql":
            return "NULL"
        return "NULL::bigint" if self.merge.number or self.merge.own is None else "NULL::uuid"

    def _undecided(self, row: str) -> str:
        return f"NOT EXISTS (SELECT 1 FROM {self.fate} d WHERE d.arrived = {row})"

    def _insert(self, select: str) -> str:
        return f"INSERT INTO {self.fate} {select}"


def uniques_of(table: Table) -> tuple[Unique, ...]:
    """A PostgreSQL table's unique rules, the primary key among them.

    One over a generated column, which no row brings, is left to the server.
    """
    stored = {c.name for c in table.stored_columns}
    found = [
        Unique(tuple(ident(c) for c in k.columns))
        for k in table.constraints
        if k.kind in "pu" and set(k.columns) <= stored
    ]
    for index in table.indexes:
        if index.unique:
            found += _parsed(index.definition, stored)
    return tuple(found)


def _parsed(definition: str, stored: Collection[str]) -> list[Unique]:
    """A unique index from its definition; one of a form not known is left to the server."""
    import sqlglot
    from sqlglot import exp

    # Which sqlglot does not know; two NULLs are then found by the server.
    made = sqlglot.parse_one(definition.replace(" NULLS NOT DISTINCT", ""), read="postgres")
    index = made.find(exp.Index)
    params = index.args.get("params") if index else None
    if params is None or not params.args.get("columns"):
        return []
    if not {c.name for c in params.find_all(exp.Column)} <= set(stored):
        return []
    parts = []
    for part in params.args["columns"]:
        while isinstance(part, exp.Ordered | exp.Opclass):  # DESC, text_pattern_ops
            part = part.this  # noqa: PLW2901
        parts.append(part.sql("postgres"))
    where = params.args.get("where")
    return [Unique(tuple(parts), where.this.sql("postgres") if where else "")]


def _taken(unique: Unique) -> str:
    return literal(f"another row has its {unique.told}")


def _other(link: Link) -> str:
    return literal(f"its {link.parent} is another one here")


def _number(expression: str, *, text: bool) -> str:
    return f"CAST({expression} AS text)" if text else expression


def _pointing(link: Link, child: str, parent: str) -> str:
    """The condition that a child's row points at a parent's."""
    return " AND ".join(
        f"{child}.{ident(c)} = {_number(f'{parent}.{ident(to)}', text=link.text)}"
        for c, to in zip(link.columns, link.to, strict=True)
    )


def _bare(name: str) -> str:
    return name.rpartition(".")[2]
