"""Who else names a row that is to leave: whoever stays keeps it, and its unit. Pure.

A row outside the family that names one of its rows is of one of two kinds. Either it is old itself
and was read for a family that goes before: whether it stays is known when that one is settled. Or
it is not: then it stays, and the server is asked for what it names, at the instant of the reading,
unless the condition of the old rows (`tables/old.py`) has looked already.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from airkeep.database.catalog import Table
from airkeep.database.sql import ident, qualified
from airkeep.prune.plan import Family, Hang, Naming


def with_namings(
    families: Sequence[Family], tables: Mapping[str, Table], with_runs: Collection[str]
) -> tuple[Family, ...]:
    """The families, each with who may name its rows from outside.

    Args:
        families: in the order in which they are deleted.
        tables: by label, those that no snapshot holds among them.
        with_runs: the tables whose rows may leave with a run.
    """
    found = []
    for number, family in enumerate(families):
        labels = {m.label for m in family.members}
        hangs = {
            (h.child, h.columns, h.parent, h.to): h for h in (*family.hangs, *family.weeds)
        }.values()  # a weed, where both say it
        namings = tuple(
            _naming(hang, family, families[:number], tables, with_runs)
            for hang in hangs
            if hang.child not in labels
        )
        found.append(replace(family, namings=namings))
    return tuple(found)


def _naming(
    hang: Hang,
    family: Family,
    before: Sequence[Family],
    tables: Mapping[str, Table],
    with_runs: Collection[str],
) -> Naming:
    old = [m.where for f in before for m in f.members if m.label == hang.child]
    # The condition of a root counts what goes with an old run as gone: only when it is looked at.
    if hang in family.weeds and (old or hang.child not in with_runs):
        return Naming(hang)
    parent = tables[hang.parent]
    child = tables[hang.child]
    # What is old names its own table; anything else may be called as the parent in another schema.
    name = ident(child.name) if old else "airkeep_child"
    source = qualified(child.schema, child.name) + ("" if old else f" AS {name}")
    conditions = [
        f"{name}.{ident(c)} = {ident(parent.name)}.{ident(to)}"
        for c, to in zip(hang.columns, hang.to, strict=True)
    ]
    conditions += [f"NOT coalesce({where}, false)" for where in old]
    return Naming(hang, f"EXISTS (SELECT 1 FROM {source} WHERE {' AND '.join(conditions)})")
