"""Which snapshot a name means, and what is said of a name that means none."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from airkeep.cli.main import cli, run
from airkeep.errors import NoSuchSnapshotError
from airkeep.snapshot.clean import clean
from airkeep.snapshot.lake import Lake
from airkeep.snapshot.names import id_time
from fake_lake import save_snapshot, snapshot_name


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Of prod three days, the newest not complete; of dev a window only."""
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    for number in range(3):
        save_snapshot(lake.store, snapshot_name(number), complete=number > 0)
    save_snapshot(lake.store, snapshot_name(0, "dev"), complete=False)
    return lake


def refused(lake: Lake, name: str, *, complete: bool = False) -> str:
    with pytest.raises(NoSuchSnapshotError) as caught:
        lake.find(name, complete=complete)
    return str(caught.value).removeprefix(f"{lake.url} ")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("prod/latest", 0),
        ("prod@2026-11-21T12:00:00Z", 0),
        ("prod@2026-11-21", 1),
        ("prod@2026-11-20T13:00:00+01:00", 1),
        ("20261119", 2),
    ],
)
def test_a_name_means_one_snapshot(lake: Lake, name: str, number: int) -> None:
    assert lake.find(name).name == snapshot_name(number)


def test_a_day_is_its_first_instant_in_utc(lake: Lake) -> None:
    oldest = snapshot_name(2)
    assert refused(lake, f"prod@{id_time(oldest.id):%Y-%m-%d}") == (
        f"holds no snapshot for 'prod@2026-11-19': none at or before 2026-11-19T00:00:00Z; "
        f"the oldest is {oldest}"
    )


def test_what_is_passed_over_is_named(lake: Lake) -> None:
    over = [snapshot_name(9)]
    assert lake.find("prod/latest", complete=True, passed_over=over).name == snapshot_name(1)
    assert over == [snapshot_name(9), snapshot_name(0)]


def test_where_nothing_is_complete_the_way_to_take_a_part_is_told(lake: Lake) -> None:
    said = refused(lake, "dev/latest", complete=True)
    assert said.startswith("holds no complete snapshot for 'dev/latest': there are dev/2026")
    assert said.endswith(". Name one by its id to restore it as it is.")


@pytest.mark.parametrize("name", ["prdo/latest", "prdo@2026-11-21", "prdo/2026"])
def test_a_name_of_no_environment_says_which_there_are(lake: Lake, name: str) -> None:
    said = "has no environment 'prdo' (did you mean prod?): there are dev, prod"
    assert refused(lake, name) == said


@pytest.mark.parametrize("name", ["../../etc/passwd", "../x@2026-11-21", "/latest"])
def test_a_name_that_is_a_path_names_no_snapshot(lake: Lake, name: str) -> None:
    assert "has no environment" in refused(lake, name)
    assert "holds no snapshot" in refused(Lake("memory://"), name)


@pytest.mark.parametrize("environment", ["prdo", "../x"])
@pytest.mark.parametrize("command", [["snapshots"], ["clean", "--keep-last", "1"]])
def test_a_misspelled_environment_is_no_filter(
    lake: Lake, command: list[str], environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command[0], lake.url, "-e", environment, *command[1:]]) == 34
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"has no environment '{environment}'" in printed.err
    assert printed.err.rstrip().endswith("there are dev, prod")


def test_the_librarys_clean_knows_a_misspelled_environment_too(lake: Lake) -> None:
    with pytest.raises(NoSuchSnapshotError, match="there are dev, prod"):
        clean(lake, environment="prdo", keep_last=1)


def test_an_empty_lake_takes_any_environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = str(tmp_path_factory.mktemp("empty"))
    ran = CliRunner().invoke(cli, ["snapshots", empty, "-e", "prod"])
    assert (ran.exit_code, ran.stdout) == (0, "")
