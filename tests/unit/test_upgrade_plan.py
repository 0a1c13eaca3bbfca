"""Which Airflows' migrations lead from one release to another."""

from __future__ import annotations

import pytest

from airkeep.errors import ConfigError, NoWayError
from airkeep.tables.revisions import airflow_version, last_releases, revisions_of, version_order
from airkeep.upgrade.plan import plan_path, read_version

RELEASES = last_releases()


def steps(source: str, to: str) -> list[str]:
    return [str(step) for step in plan_path(revisions_of(source), to)]


@pytest.mark.parametrize("to", [v for v in RELEASES if version_order(v) >= (2,)])
@pytest.mark.parametrize("source", RELEASES)
def test_from_every_release_there_is_a_way_up_and_none_down_or_to_itself(
    source: str, to: str
) -> None:
    if version_order(source) >= version_order(to) or revisions_of(source) == revisions_of(to):
        with pytest.raises(NoWayError, match=r"already|goes up only"):
            plan_path(revisions_of(source), to)
        return

    path = plan_path(revisions_of(source), to)

    assert path[-1].revisions == revisions_of(to)
    at = source
    for step in path:
        if step.airflow.startswith("3."):
            assert version_order(at) >= (2, 7), "3.x knows no revision before 2.7"
        if step.deed == "migrate":
            assert version_order(step.to) > version_order(at)
        at = step.to


def test_2_6_goes_through_2_11_and_an_older_3_is_the_newest_one_s_downgrade() -> None:
    assert steps("2.6.3", "3.3.2") == ["Airflow 2.11.2: db migrate", "Airflow 3.3.2: db migrate"]
    assert steps("2.7.0", "3.3.2") == ["Airflow 3.3.2: db migrate"]
    assert steps("2.11.2", "3.0.6") == [
        "Airflow 3.3.2: db migrate",
        "Airflow 3.3.2: db downgrade to 3.0.6",
    ]
    assert steps("3.0.6", "3.1.8") == ["Airflow 3.1.8: db migrate"]
    assert steps("2.6.3", "2.11.2") == ["Airflow 2.11.2: db migrate"]


def test_the_three_heads_of_1_10_5_are_merged_first() -> None:
    assert len(revisions_of("1.10.5")) == 3
    assert steps("1.10.5", "2.11.2") == [
        "Airflow 2.11.2: db merge heads to 1.10.7",
        "Airflow 2.11.2: db migrate",
    ]


def test_a_database_half_way_goes_on_from_where_it_stands() -> None:
    half_way = ["937cbd173ca1"]  # the first migration of 2.7.0
    assert not airflow_version(half_way).known
    assert [s.airflow for s in plan_path(half_way, "3.3.2")] == ["2.11.2", "3.3.2"]


def test_a_revision_that_nobody_knows_or_none_has_no_way() -> None:
    with pytest.raises(NoWayError, match=r"bff0 is of no Airflow up to 3\.3\.2: a fork's"):
        plan_path(["bff0"], "3.3.2")
    with pytest.raises(NoWayError, match="no revision in alembic_version"):
        plan_path([], "3.3.2")


def test_a_minor_version_means_its_last_release() -> None:
    assert read_version("3.1") == "3.1.8"
    assert read_version(" 3.2.1 ") == "3.2.1"
    assert read_version("3.3.7") == "3.3.7"  # the newest minor may have had another patch


@pytest.mark.parametrize("text", ["3", "newest", "3.1.9", "4.0.0", "3.3.2rc1", ""])
def test_what_is_no_known_version_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--to"):
        read_version(text)
