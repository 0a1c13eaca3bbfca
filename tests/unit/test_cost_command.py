"""`airkeep cost estimate` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from airkeep.cli.main import cli, run
from docs.pages import page

EXAMPLE = (
    *("cost", "estimate", "--class", "mw1.small", "--workers", "1"),
    *("--extra-worker-hours", "1519", "--storage-gb", "10"),
    *("--region", "us-east-1", "--month", "2021-08"),
)


def said(*arguments: str, region: str = "") -> str:
    environ = {"AWS_REGION": region, "AWS_DEFAULT_REGION": ""}
    ran = CliRunner().invoke(cli, arguments, env=environ, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_the_example_of_the_page_is_what_is_printed() -> None:
    shown = page("docs/cost.md").partition("```\n$ airkeep cost estimate")[2].partition("```")[0]
    command, _, lines = shown.replace("\\\n", " ").partition("\n")
    assert ("cost", "estimate", *command.split()) == EXAMPLE
    assert said(*EXAMPLE) == lines


def test_json_has_amounts_as_texts_and_every_price_with_its_source() -> None:
    found = json.loads(said(*EXAMPLE, "--json"))
    assert (found["total"], found["currency"], found["region"]) == ("449.11", "USD", "us-east-1")
    assert [line["amount"] for line in found["lines"]] == ["364.56", "83.55", "1.00"]
    for line in found["lines"]:
        assert line["price"]["source"].startswith("https://")
        assert line["price"]["day"] in ("2024-07-01", "2026-10-07")


def test_where_the_prices_come_from_is_noted() -> None:
    ran = CliRunner().invoke(cli, EXAMPLE)
    assert ran.stderr.startswith("prices: us-east-1, of 2026-10-07, https://")
    assert CliRunner().invoke(cli, [*EXAMPLE, "-q"]).stderr == ""


def test_without_a_month_it_is_this_one_and_the_region_is_awss_variable() -> None:
    found = json.loads(said("cost", "estimate", "--class", "small", "--json", region="us-west-2"))
    assert found["hours"] in {str(24 * days) for days in (28, 29, 30, 31)}
    assert found["region"] == "us-west-2"


def test_a_part_of_a_month_a_lake_and_prices_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[[table]]\nregion = "moon-1"\ndate = 2026-01-01\nsource = "s"\ncurrency = "EUR"\n'
        'environment_hour = { "mw1.small" = "1" }\ns3_gb_month = { STANDARD = 1, GLACIER = 0.1 }\n'
    )
    text = said(
        "cost", "estimate", "--class", "small", "--hours", "10", "--s3-gb", "2", "--s3-gb",
        "glacier=1.25", "--region", "moon-1", "--month", "2026-02", "--prices", str(mine),
    )  # fmt: skip
    assert [line.split()[-1] for line in text.splitlines()] == [
        "amount", "10.00", "2.00", "0.13", "12.13",
    ]  # fmt: skip
    assert "total (EUR)" in text


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--class", "small"], 2, "--region: prices differ by region"),
        (["--class", "small", "--month", "august"], 2, "a month such as 2021-08"),
        (["--class", "small", "--month", "9999-12"], 2, "a month such as 2021-08"),
        (["--class", "small", "--storage-gb", "-1"], 2, "'-1': write a number"),
        (["--class", "small", "--storage-gb", "NaN"], 2, "'NaN': write a number"),
        (["--class", "small", "--hours", "1e-9999999"], 2, "'1e-9999999': write a number"),
        (["--s3-gb", "1e13"], 2, "'1e13': write a number"),
        (["--s3-gb", "GLACIER=much"], 2, "'much': write a number"),
        (["--region", "us-east-1"], 3, "nothing to price"),
        (["--region", "us-east-1", "--class", "huge"], 3, "no environment class 'huge'"),
        (["--region", "US-East-1", "--class", "xlarge"], 94, "in us-east-1, only of"),
        (["--region", "us-east-1", "--class", "xlarge"], 94, "give --prices FILE"),
        (["--region", "us-east-1", "--prices", "none.toml"], 3, "none.toml cannot be read"),
    ],
)
def test_what_cannot_be_priced_is_one_line(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    assert run(["cost", "estimate", *arguments]) == status
    [line] = capsys.readouterr().err.splitlines()
    assert words in line


def test_cost_alone_is_a_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost"]) == 0
    assert "by-dag" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more",
    [["--total", "1", "--class", "small"], ["--total", "1", "--workers", "3"],
     ["--class", "small"], ["--storage-gb", "3"], ["--by", "team"]],
)  # fmt: skip
def test_a_bill_that_is_said_twice_or_in_part_is_a_usage_error(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    assert run(["cost", "by-dag", str(tmp_path), *more]) == 2
