"""Which Airflow a metadata database belongs to, from its alembic revisions.

A revision does not name one release: most patch releases change no table, so 2.10.3 and 2.11.2
end at the same revision and the answer is a span, "2.10.3 to 2.11.2". The newest revision we
know is open above, "3.3.0 or later", for the next patch may well keep it.

`alembic_version` holds 0 to 3 rows. 1.10.3 to 1.10.6 really had several heads, and three rows
there are as right as one row elsewhere: a set of rows is known when it is, exactly, the set of
heads that some release ends with. Anything else is "unknown": no row, a revision of a fork or
of a later airkeep, or one in the middle of a release's migrations, where a failed upgrade (or
one from the main branch) stops. FAB's own `alembic_version_fab` is another chain and is not
asked about here.

The chain lies in revisions.tsv, made by tools/make_revisions.py.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class AirflowVersion:
    """The releases that a database may belong to; `str()` is what the manifest stores.

    Attributes:
        first: the oldest release with these tables, "" when unknown.
        last: the newest one, "" when no later revision is known yet, or when unknown.
        near: for a revision inside a release's migrations, that release: it helps a message.
    """

    first: str = ""
    last: str = ""
    near: str = ""

    @property
    def known(self) -> bool:
        """Whether some release ends with exactly these revisions."""
        return bool(self.first)

    @property
    def major(self) -> int | None:
        """1, 2 or 3: also for a revision half way, None when nothing is known."""
        version = self.first or self.near
        return int(version.partition(".")[0]) if version else None

    def __str__(self) -> str:
        if not self.first:
            return "unknown"
        if not self.last:
            return f"{self.first} or later"
        return self.first if self.first == self.last else f"{self.first} to {self.last}"


UNKNOWN = AirflowVersion()


def airflow_version(revisions: Collection[str]) -> AirflowVersion:
    """The Airflow whose database has these rows in `alembic_version`.

    Rows that are ancestors of other rows are ignored: 1.10's tools left such rows behind, and
    alembic itself reads them so.

    Args:
        revisions: the rows, in any order; none, one or several.
    """
    chain = _chain()
    found = {chain.same.get(revision, revision) for revision in revisions}
    if not found or not found <= chain.parents.keys():
        return UNKNOWN
    heads = frozenset(chain.heads(found))
    newest = max((chain.version[revision] for revision in heads), key=_order)
    if heads != chain.heads_of(newest):
        return AirflowVersion(near=newest)
    return AirflowVersion(first=newest, last=chain.last_before_next(newest))


@dataclass(frozen=True)
class _Chain:
    version: dict[str, str]
    parents: dict[str, tuple[str, ...]]
    same: dict[str, str]
    last_patches: tuple[str, ...]

    def heads(self, revisions: Collection[str]) -> set[str]:
        """Those that are no ancestor of another."""
        below: set[str] = set()
        todo = [parent for revision in revisions for parent in self.parents[revision]]
        while todo:
            revision = todo.pop()
            if revision not in below:
                below.add(revision)
                todo += self.parents[revision]
        return set(revisions) - below

    def heads_of(self, version: str) -> set[str]:
        """What a release ends with: the heads of everything up to it."""
        up_to = _order(version)
        return self.heads([r for r, v in self.version.items() if _order(v) <= up_to])

    def last_before_next(self, version: str) -> str:
        """The last release before the next one that has a migration, "" when there is none."""
        versions = sorted(set(self.version.values()), key=_order)
        at = bisect_right(versions, _order(version), key=_order)
        if at == len(versions):
            return ""
        following = _order(versions[at])
        if following[-1] > 0:
            last = (*following[:-1], following[-1] - 1)
        else:
            at = bisect_left(self.last_patches, following, key=_order)
            last = _order(self.last_patches[at - 1]) if at else ()
        return ".".join(map(str, max(last, _order(version))))


@cache
def _chain() -> _Chain:
    text = Path(__file__).with_name("revisions.tsv").read_text(encoding="utf-8")
    _, last_patches, *lines = text.splitlines()
    chain = _Chain({}, {}, {}, tuple(last_patches.split()))
    for line in lines:
        revision, version, parents = line.split("\t")
        if parents.startswith("="):
            chain.same[revision] = parents[1:]
            continue
        chain.version[revision] = version
        chain.parents[revision] = tuple(parents.split(",")) if parents else ()
    return chain


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@cache
def revisions_of(version: str) -> frozenset[str]:
    """The rows that a release's database has in `alembic_version`: the heads it ends with."""
    return frozenset(_chain().heads_of(version))


def is_on_chain(revisions: Collection[str]) -> bool:
    """Whether a migration can start there: there are some, and all of them are known."""
    chain = _chain()
    found = {chain.same.get(revision, revision) for revision in revisions}
    return bool(found) and found <= chain.parents.keys()


def last_releases() -> tuple[str, ...]:
    """The last release of each minor version that is known, oldest first."""
    return _chain().last_patches


def version_order(version: str) -> tuple[int, ...]:
    """What versions sort by."""
    return _order(version)
