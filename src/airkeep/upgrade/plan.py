"""Which Airflow's migrations run, one after the other: a pure function of revisions and a target.

Every Airflow can migrate what its own chain of revisions knows. 3.x knows none before 2.7: its
chain begins with one revision that stands for all of them, under a name that no 2.6 had. So what
is older goes through the newest 2.x first, whose chain begins with 1.5.

From 2.x to 3.x the *newest* 3.x migrates, and then downgrades to a target that is older: 3.0's own
migration ends half way at a NaN in an XCom, the newest one's does not, and what the downgrade takes
away are columns and tables that nothing is in yet.

The several heads that 1.10.3 to 1.10.6 really end with are no place for `airflow db migrate` to
begin. They are merged by the same Airflow's migrations, which alembic runs.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from airkeep.errors import ConfigError, NoWayError
from airkeep.tables.revisions import (
    airflow_version,
    is_on_chain,
    last_releases,
    revisions_of,
    version_order,
)

Deed = Literal["migrate", "downgrade", "merge heads"]

_FIRST_OF_3 = "2.7.0"  # what the chain of 3.x knows under its own name
_MERGED = "1.10.7"  # the first release with one head again


@dataclass(frozen=True)
class MigrationStep:
    """One run of an Airflow on the scratch database.

    Attributes:
        airflow: the release whose code runs.
        to: the release that the database is of afterwards.
    """

    airflow: str
    deed: Deed
    to: str

    @property
    def revisions(self) -> frozenset[str]:
        """What `alembic_version` must hold afterwards."""
        return revisions_of(self.to)

    def __str__(self) -> str:
        return f"Airflow {self.airflow}: db {self.deed}" + (
            "" if self.to == self.airflow else f" to {self.to}"
        )


def read_version(text: str) -> str:
    """A target as it was written: a release, or the last one of a minor version (`3.3`).

    Raises:
        ConfigError: it is no version, or of no Airflow that is known here.
    """
    known = last_releases()
    newest = {_minor(version): version for version in known}
    given = text.strip()
    if given in newest:
        return newest[given]
    if not re.fullmatch(r"\d+\.\d+\.\d+", given):
        raise ConfigError(f"--to {text!r} is no version of Airflow: write 3.3.2, or 3.3")
    last = newest.get(_minor(given))
    # The newest minor may have had another patch since; no other has one that is not known.
    if last is None or (version_order(given) > version_order(last) and last != known[-1]):
        raise ConfigError(
            f"--to {given}: this airkeep knows no such Airflow; it knows {known[0]} to "
            f"{known[-1]}. A newer one needs a newer airkeep"
        )
    return given


def plan_path(revisions: Collection[str], to: str) -> tuple[MigrationStep, ...]:
    """The steps from a database's revisions to a release.

    Args:
        revisions: the rows of `alembic_version`.
        to: as `read_version` gives it.

    Raises:
        NoWayError: there is none.
    """
    if not is_on_chain(revisions):
        raise NoWayError(_unknown(revisions))
    version = airflow_version(revisions)
    wanted = revisions_of(to)
    if version.known and revisions_of(version.first) == wanted:
        raise NoWayError(
            f"the snapshot is of Airflow {version} already, which has the tables of {to}: "
            f"restore it as it is"
        )
    first = version.first or version.near
    if _is_before(to, first):
        of = version if version.known else first
        raise NoWayError(
            f"the snapshot is of Airflow {of}, which is newer than {to}: an upgrade goes up only"
        )
    steps = _steps(first, known=version.known, to=to)
    if version.known and len(revisions_of(first)) > 1:
        steps.insert(0, MigrationStep(steps[0].airflow, "merge heads", _MERGED))
    return tuple(steps)


def _steps(first: str, *, known: bool, to: str) -> list[MigrationStep]:
    newest_2, newest_3 = _newest(2, to), _newest(3, to)
    if _major(to) < 3 or _major(first) == 3:
        return [MigrationStep(to, "migrate", to)]
    steps = []
    if _is_before(first, _FIRST_OF_3) or (not known and first == _FIRST_OF_3):
        steps.append(MigrationStep(newest_2, "migrate", newest_2))
    steps.append(MigrationStep(newest_3, "migrate", newest_3))
    if revisions_of(newest_3) != revisions_of(to):
        steps.append(MigrationStep(newest_3, "downgrade", to))
    elif newest_3 != to:
        steps[-1] = MigrationStep(newest_3, "migrate", to)
    return steps


def _is_before(version: str, other: str) -> bool:
    return version_order(version) < version_order(other)


def _newest(major: int, to: str) -> str:
    """The newest release of a major version; the target itself where that is newer still."""
    of_it = [v for v in (*last_releases(), to) if _major(v) == major]
    return max(of_it, key=version_order)


def _unknown(revisions: Collection[str]) -> str:
    if not revisions:
        return (
            "the snapshot has no revision in alembic_version, so no Airflow can tell what to "
            "migrate. Find the release by its tables and stamp the source (`alembic stamp "
            "REVISION` with that Airflow's alembic.ini), then export again"
        )
    shown = ", ".join(sorted(revisions))
    return (
        f"the snapshot's revision {shown} is of no Airflow up to {last_releases()[-1]}: a fork's, "
        f"or a newer one's. Migrate it with the Airflow that knows it, then export again"
    )


def _major(version: str) -> int:
    return version_order(version)[0]


def _minor(version: str) -> str:
    return version.rpartition(".")[0]
