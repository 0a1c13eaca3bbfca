"""A bill over the history of real Airflows, shared and shown; the sums are the bill."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import airkeep
from airkeep.cost.estimate import cents
from airkeep.environment.events import Began, Ended, Event, MwaaPlace, Placed, Recorded
from airkeep.environment.journal import Author, Journal
from airkeep.errors import ConfigError, NoSuchSnapshotError
from airkeep.export.run import export
from airkeep.provider.bills import bills_of
from airkeep.snapshot.lake import Lake
from chromium import chromium, opened_page
from report_pages import data, made, run
from servers import AIRFLOW_DATA, airflow_sqlite

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROD = ("--environment", "prod", "--since", "2026-11-21")
PARTS = ("again", "failed", "waited", "work")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Airflow 2.11 and 3.3 as of the time at which they were dumped, 3:14 that night."""
    folder = str(tmp_path_factory.mktemp("cost") / "lake")
    for name, environment in (("airflow-2112", "old"), ("airflow-332", "prod")):
        result = run(
            "adopt", "-q", AIRFLOW_DATA / f"{name}.dump", folder, "--environment", environment
        )
        assert result.exit_code == 0, result.exception
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def bill(lake: str, *arguments: str) -> dict[str, Any]:
    result = run("cost", "by-dag", lake, "--json", "-q", *arguments)
    assert result.exit_code == 0, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("by", "more"),
    [("dag", ("--spread-idle",)), ("task", ("--hours", "0.5")), ("owner", ()), ("tag", ())],
)
def test_however_a_bill_is_cut_its_parts_are_the_bill(
    lake: str, by: str, more: tuple[str, ...]
) -> None:
    found = bill(lake, *PROD, "--total", "449.11", "--by", by, *more)
    amounts = [Decimal(one["amount"]) for one in found["shares"]]
    assert sum(amounts) + Decimal(found["idle"]) == Decimal("449.11")
    for one in found["shares"]:
        assert sum(Decimal(one[part]) for part in PARTS) == Decimal(one["amount"])
    [(slot_h,)] = airkeep.query(
        lake, "SELECT sum(slot_h) AS h FROM slot_hours_by_dag WHERE environment = 'prod'"
    ).to_pydict().values()  # fmt: skip
    assert sum(one["slot_h"] for one in found["shares"]) == pytest.approx(slot_h)


def test_owners_who_have_a_dag_together_pay_half_of_it_each(lake: str) -> None:
    by_dag = {
        o["name"]: Decimal(o["amount"]) for o in bill(lake, *PROD, "--total", "100")["shares"]
    }
    shares = bill(lake, *PROD, "--total", "100", "--by", "owner")["shares"]
    by_owner = {one["name"]: Decimal(one["amount"]) for one in shares}
    assert sorted(by_owner) == ["airflow", "data-eng", "ops", "sre"]
    assert abs(by_owner["ops"] - by_owner["sre"]) <= Decimal("0.01")
    assert by_owner["ops"] + by_owner["sre"] == by_dag["lab_flaky"]
    assert by_owner["data-eng"] == by_dag["lab_etl_orders"]


def test_the_idle_base_is_the_time_in_which_no_try_held_a_slot(lake: str) -> None:
    stretches = airkeep.query(
        lake, "SELECT began_at, ended_at FROM slot_use WHERE environment = 'prod'"
    ).to_pylist()
    moments = sorted({s[n] for s in stretches for n in ("began_at", "ended_at")})
    busy = timedelta()
    for moment, later in pairwise(moments):
        if any(s["began_at"] <= moment < s["ended_at"] for s in stretches):
            busy += later - moment

    found = bill(lake, *PROD, "--total", "100", "--hours", "0.5")

    assert float(found["busy_hours"]) == pytest.approx(busy / timedelta(hours=1), abs=1e-6)
    idle = 100 * (1 - busy / timedelta(hours=0.5))
    assert float(found["idle"]) == pytest.approx(idle, abs=0.01)
    assert bill(lake, *PROD, "--total", "100", "--spread-idle")["idle"] == "0.00"


def test_a_bill_can_be_priced_by_class(lake: str) -> None:
    prices = ("--class", "small", "--region", "us-east-1", "--storage-gb", "10")
    found = bill(lake, *PROD, *prices, "--extra-worker-hours", "20")
    # From midnight to 3:14:02, that is 11,642 s.
    assert found["period"] == {"begin": "2026-11-21T00:00:00Z", "end": "2026-11-21T03:14:02Z"}
    assert [line["amount"] for line in found["estimate"]["lines"]] == ["1.58", "1.10", "0.00"]
    assert (found["total"], found["currency"]) == ("2.68", "USD")
    assert Decimal(found["idle"]) < Decimal("1.58")  # workers that scaling added are not idle


def test_people_see_the_lines_the_parts_and_what_the_period_is(lake: str) -> None:
    prices = ("--class", "small", "--region", "us-east-1")
    result = run("cost", "by-dag", lake, "-e", "prod", "--since", "1d", *prices)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["environment", "mw1.small", "27.2339", "hour", "0.49", "13.34"] in lines
    assert lines[-1][:4] == ["total", "(USD)", "-", "13.34"]
    assert lines[-2][0] == "(idle)"
    assert (
        "prod, 2026-11-20T00:00Z to 2026-11-21T03:14Z: something ran in 0.0698 of" in result.stderr
    )
    assert "before 2026-11-21 no work is known" in result.stderr


def test_a_bill_is_of_one_environment_and_of_a_time_before_its_newest_snapshot(lake: str) -> None:
    paid = airkeep.Paid(Decimal(1))
    with pytest.raises(ConfigError, match="found old, prod: name it with --environment"):
        airkeep.cost_by(lake, paid)
    with pytest.raises(NoSuchSnapshotError, match="no environment 'test'"):
        airkeep.cost_by(lake, paid, environment="test")
    with pytest.raises(ConfigError, match="no time in it"):
        airkeep.cost_by(lake, paid, environment="old", since=datetime(2027, 1, 1, tzinfo=UTC))
    with pytest.raises(ConfigError, match=r"0 to 27\.23 in this period, found 28"):
        airkeep.cost_by(
            lake, airkeep.Paid(Decimal(1), Decimal(28)), environment="old", since=timedelta(days=1)
        )
    with pytest.raises(NoSuchSnapshotError):
        airkeep.cost_by(f"{lake}/none", paid)


@pytest.mark.parametrize(
    "words", [(), ("-e", "test"), ("-e", "old", "--since", "2027-01-01")],
    ids=["two environments", "none of that name", "a time to come"],
)  # fmt: skip
def test_where_there_is_no_bill_nothing_is_said_of_its_price(
    lake: str, words: tuple[str, ...]
) -> None:
    refused = run("cost", "by-dag", lake, *words)
    assert isinstance(refused.exception, (ConfigError, NoSuchSnapshotError))
    assert "is not known" not in refused.stderr


def test_an_owner_whose_name_moves_the_cursor_does_not(tmp_path: Path) -> None:
    source = airflow_sqlite("airflow-3.3.2", tmp_path)
    with sqlite3.connect(source) as db:
        db.execute("UPDATE dag SET owners = 'ann' || char(27) || '[31m' || char(10) || 'bob'")
    export(str(source), str(tmp_path / "lake"), environment="prod", allow_plain=True)
    result = run("cost", "by-dag", tmp_path / "lake", "-q", "--total", "9.99", "--by", "owner")
    assert all(line.isprintable() for line in result.stdout.splitlines())
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "owner", "ann", "(idle)", "total",
    ]  # fmt: skip


# Where no flag says what it cost


@pytest.fixture(scope="module")
def woken(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """An environment of two workers that slept from 10 to 16 on a day without runs."""
    folder = tmp_path_factory.mktemp("woken")
    lake = Lake(str(folder / "lake"))
    export(airflow_sqlite("airflow-3.3.2", folder), lake, environment="prod", allow_plain=True)
    told = {"EnvironmentClass": "mw1.small", "MinWorkers": 2,
            "Arn": "arn:aws:airflow:us-east-1:123456789012:environment/prod"}  # fmt: skip
    say(lake, 10, Placed(MwaaPlace("prod")), Began("down", HOUR), Recorded((), json.dumps(told)),
        Ended("done"))  # fmt: skip
    say(lake, 16, Began("up", HOUR), Ended("done"))
    return lake


HOUR = datetime(2026, 11, 20, tzinfo=UTC)


def say(lake: Lake, hour: int, *events: Event) -> None:
    at = HOUR + timedelta(hours=hour)
    journal = Journal(lake.store, "prod", Author(clock=lambda: at))
    journal.read()
    for event in events:
        journal.append(event)


def test_a_journal_says_class_workers_region_and_when_it_slept(woken: Lake) -> None:
    found = bill(woken.url, "--since", "2026-11-20")
    hours = Decimal(found["hours"])
    begin, end = (datetime.fromisoformat(found["period"][name]) for name in ("begin", "end"))
    assert float(hours) == pytest.approx((end - begin) / timedelta(hours=1) - 6)
    lines = {line["what"]: (line["price"]["region"], line["amount"])
             for line in found["estimate"]["lines"]}  # fmt: skip
    assert lines == {
        "environment mw1.small": ("us-east-1", str(cents(hours * Decimal("0.49")))),
        "extra workers (1)": ("us-east-1", str(cents(hours * Decimal("0.055")))),
    }
    assert sum(Decimal(one["amount"]) for one in found["shares"]) + Decimal(found["idle"]) == (
        Decimal(found["total"])
    )


def test_flags_go_before_the_journal(woken: Lake) -> None:
    one = bill(woken.url, "--workers", "1", "--hours", "10", "--region", "us-west-2")
    assert [(line["what"], line["price"]["region"]) for line in one["estimate"]["lines"]] == [
        ("environment mw1.small", "us-west-2")
    ]
    assert one["hours"] == "10"
    other = bill(woken.url, "--class", "medium", "--region", "us-west-2")
    assert [line["what"] for line in other["estimate"]["lines"]] == ["environment mw1.medium"]
    told = bill(woken.url, "--total", "9", "--since", "2026-11-20")
    assert told["hours"] == bill(woken.url, "--since", "2026-11-20")["hours"]


def test_the_report_shows_the_same_bill(woken: Lake, tmp_path: Path) -> None:
    file = made(Path(woken.url), tmp_path / "r.html", "--since", "2026-11-20")
    found = bill(woken.url, "--since", "2026-11-20")
    who, _ = (figure["rows"] for figure in cost_part(file)["figures"])
    assert {row[1]: row[2] for row in who} == {
        "(idle)": float(found["idle"]),
        **{one["name"]: float(one["amount"]) for one in found["shares"]},
    }
    assert "extra workers (1) in us-east-1" in cost_part(file)["lead"]


def test_so_does_the_report_inside_of_airflow(woken: Lake, lake: str, tmp_path: Path) -> None:
    bills = bills_of(woken.store, woken.environments())
    file, since = tmp_path / "r.html", datetime(2026, 11, 20, tzinfo=UTC)
    airkeep.report(woken, file, since=since, bills=bills)
    found, lead = bill(woken.url, "--since", "2026-11-20"), cost_part(file)["lead"]
    assert f"prod: {Decimal(found['total']):,} USD, estimated for" in lead
    for price in (line["price"] for line in found["estimate"]["lines"]):
        assert f"{price['day']} ({price['source']})" in lead
    assert bills_of(Lake(lake).store, ["prod", "old"]) == {}  # which have no journal


def test_without_a_journal_slot_hours_are_shared_and_amounts_are_not_known(
    lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRKEEP_ENVIRONMENT", "prod")
    result = run("cost", "by-dag", lake, "--since", "1d")
    assert result.exit_code == 0
    assert "cost is not known: its journal has no class of MWAA: give --class" in result.stderr
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    assert {row[2] for row in rows} == {"-"}
    shares = [float(row[3].removesuffix("%")) for row in rows[:-1]]
    assert sum(shares) == pytest.approx(100, abs=1)
    assert rows[-1] == ["total", *"-------"]
    found = bill(lake, "--since", "1d")
    assert (found["environment"], found["total"], found["idle"]) == ("prod", None, None)
    assert {one["amount"] for one in found["shares"]} == {None}


def test_a_journals_class_without_a_price_is_said_and_not_guessed(
    lake: str, tmp_path: Path
) -> None:
    copied = Lake(shutil.copytree(lake, tmp_path / "lake"))
    told = {"EnvironmentClass": "mw1.xlarge",
            "Arn": "arn:aws:airflow:us-east-1:123456789012:environment/prod"}  # fmt: skip
    say(copied, 10, Placed(MwaaPlace("prod")), Recorded((), json.dumps(told)))
    result = run("cost", "by-dag", copied.url, "-e", "prod")
    assert result.exit_code == 0
    assert "what prod cost is not known: no price for an environment of mw1.xlarge" in result.stderr


# In the report


def cost_part(file: Path) -> dict[str, Any]:
    [found] = [part for part in data(file)["parts"] if part["key"] == "cost"]
    return dict(found)


def test_a_report_without_a_price_says_so_and_has_no_amounts(lake: str, tmp_path: Path) -> None:
    file = made(Path(lake), tmp_path / "r.html")
    found = cost_part(file)
    assert found["figures"] == []
    assert "What is paid is not known here" in found["lead"]
    assert "slot_waste_by_task" not in data(file)["sources"]


def test_a_report_shows_whose_the_bill_is_where_a_price_is_known(
    lake: str, tmp_path: Path, browser: Browser
) -> None:
    file = made(
        Path(lake), tmp_path / "r.html", "--since", "2026-11-21", "--total", "prod=12.34",
        "--class", "small", "--region", "us-east-1",
    )  # fmt: skip
    found = cost_part(file)
    assert "prod: 12.34 as told, from 2026-11-21 to 2026-11-21 03:14 UTC." in found["lead"]
    assert "old: 1.58 USD, estimated for environment mw1.small in us-east-1 by" in found["lead"]
    who, what = ([*figure["rows"]] for figure in found["figures"])
    assert who[0][:2] == ["prod", "(idle)"]
    for environment, paid in (("prod", 12.34), ("old", 1.58)):
        assert sum(row[2] for row in who if row[0] == environment) == pytest.approx(paid)
        *kinds, total = (row for row in what if row[0] == environment)
        assert total[1:3] == ["total", paid]
        assert sum(row[2] for row in kinds) == pytest.approx(paid)
    with opened_page(browser, file) as shown:
        section = shown.page.locator("#cost")
        assert section.locator("h2").inner_text() == "Cost"
        assert section.get_by_role("cell", name="12.34", exact=True).count() == 1
        assert section.locator("a[href='#sql-slot_waste_by_task']").count() == 1
        assert shown.page.locator("#sql-busy_by_day").count() == 1
        assert shown.wrong == []


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--total", "prd=1"), 3),
        (("--total", "prod=x"), 2),
        (("--total", "prod=1.001"), 3),
        (("--total", "prod=1", "--class", "prod=small", "--region", "us-east-1"), 2),
        (("--class", "prod=xlarge", "--region", "us-east-1"), 94),
        (("--class", "prod=enormous", "--region", "us-east-1"), 3),
    ],
)
def test_a_report_refuses_a_bill_that_makes_no_sense(
    lake: str, tmp_path: Path, arguments: tuple[str, ...], status: int
) -> None:
    from airkeep.cli.main import run as ran

    assert ran(["report", "-q", lake, "-o", str(tmp_path / "r.html"), *arguments]) == status
    assert not (tmp_path / "r.html").exists()
