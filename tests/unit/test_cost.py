"""Prices, estimates and shared bills: every cent is somebody's, and no price is made up."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airkeep.cost.estimate import Estimate, Usage, cents, class_named, estimate
from airkeep.cost.period import Period, month_of
from airkeep.cost.prices import CLASSES, ITEMS, load_prices, read_prices
from airkeep.cost.share import BY, By, Cost, Shared, Use, dealt, share
from airkeep.errors import ConfigError, NoPriceError

AUGUST = month_of(2021, 8)
EXAMPLE = Usage(
    environment_class="mw1.small",
    workers=1,
    extra_worker_hours=Decimal(1519),
    storage_gb=Decimal(10),
)


def priced(usage: Usage, *, region: str = "us-west-2", period: Period = AUGUST) -> Estimate:
    return estimate(usage, period, load_prices(), region=region)


def amounts(found: Estimate) -> dict[str, str]:
    return {line.what: str(line.amount) for line in found.lines}


def test_the_worked_example_comes_out_to_the_cent() -> None:
    found = priced(EXAMPLE, region="us-east-1")
    assert amounts(found) == {
        "environment mw1.small": "364.56",
        "extra worker hours": "83.55",
        "metadata database": "1.00",
    }
    assert (str(found.total), found.currency) == ("449.11", "USD")
    assert found.hours == 744


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("mw1.micro", "215.76"), ("mw1.small", "364.56"), ("mw1.medium", "550.56"),
        ("mw1.large", "736.56"), ("mw1.xlarge", "1473.12"), ("mw1.2xlarge", "2946.24"),
    ],
)  # fmt: skip
def test_every_class_has_its_month(name: str, amount: str) -> None:
    assert amounts(priced(Usage(name))) == {f"environment {name}": amount}


def test_a_line_is_rounded_half_up_and_the_total_is_the_sum_of_the_lines() -> None:
    assert [str(cents(Decimal(n))) for n in ("83.545", "83.5449", "0.005", "2.675")] == [
        "83.55", "83.54", "0.01", "2.68",
    ]  # fmt: skip
    usage = Usage("small", hours=Decimal("0.01"), extra_worker_hours=Decimal("0.1"))
    assert amounts(priced(usage)) == {
        "environment mw1.small": "0.00", "extra worker hours": "0.01",
    }  # fmt: skip
    assert priced(usage).total == Decimal("0.01")


def test_workers_and_schedulers_beyond_the_included_ones_are_paid_for_every_hour() -> None:
    usage = Usage("mw1.medium", workers=3, schedulers=4, extra_worker_hours=Decimal(10))
    assert amounts(priced(usage)) == {
        "environment mw1.medium": "550.56",
        "extra workers (2)": "163.68",
        "extra worker hours": "1.10",
        "extra schedulers (2)": "163.68",
    }
    for schedulers in (None, 1, 2):
        assert len(priced(Usage("small", schedulers=schedulers)).lines) == 1


def test_an_environment_that_sleeps_pays_for_its_hours_and_the_lake_for_the_month() -> None:
    usage = replace(EXAMPLE, hours=Decimal(186), s3_gb=(("STANDARD", Decimal(100)),))
    found = amounts(priced(usage))
    assert found["environment mw1.small"] == "91.14"
    assert found["metadata database"] == "0.25"
    assert found["S3 STANDARD"] == "2.30"


def test_serverless_glue_and_s3_have_lines_of_their_own() -> None:
    usage = Usage(
        serverless_task_hours=Decimal(100),
        glue_dpu_hours=Decimal("0.5"),
        s3_puts=(("STANDARD", Decimal(10_000)),),
        s3_gets=(("STANDARD", Decimal(1_000_000)),),
    )
    assert amounts(priced(usage)) == {
        "serverless tasks": "8.80", "Glue": "0.22", "S3 puts to STANDARD": "0.05",
        "S3 gets from STANDARD": "0.40",
    }  # fmt: skip
    cold = Usage(s3_gb=(("GLACIER", Decimal(500)),), s3_transitions=(("GLACIER", Decimal(5000)),))
    assert priced(cold, region="us-east-1").total == Decimal("1.95")


@pytest.mark.parametrize(
    ("usage", "region", "words"),
    [
        (Usage("mw1.xlarge"), "us-east-1",
         "no price for an environment of mw1.xlarge in us-east-1, only of mw1.micro, .* --prices"),
        (Usage("small"), "eu-west-1", "in eu-west-1, prices are known of sa-east-1, us-east-1"),
        (Usage("xlarge", workers=2), "us-west-2", "no price for an extra worker of mw1.xlarge"),
        (Usage(serverless_task_hours=Decimal(1)), "eu-west-1", "a task of MWAA Serverless in eu-"),
        (Usage(s3_gb=(("GLACIER", Decimal(1)),)), "us-west-2", "S3 in GLACIER .* of STANDARD:"),
    ],
)  # fmt: skip
def test_a_price_that_no_table_has_is_named_and_not_guessed(
    usage: Usage, region: str, words: str
) -> None:
    with pytest.raises(NoPriceError, match=words):
        priced(usage, region=region)


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        (Usage(), "nothing to price"),
        (Usage("mw1.smal"), r"did you mean mw1.small\?"),
        (Usage("small", hours=Decimal(745)), "0 to 744 in this period, found 745"),
        (Usage("small", hours=Decimal(-1)), "found -1"),
        (Usage("small", workers=0), "1 or more, found 0"),
        (Usage("small", schedulers=0), "1 or more, found 0"),
        (Usage("small", storage_gb=Decimal("NaN")), "found NaN"),
        (Usage("small", storage_gb=Decimal(-1)), "found -1"),
        (Usage(workers=2), "give --class"),
        (Usage(extra_worker_hours=Decimal(2)), "give --class"),
    ],
)
def test_a_usage_that_makes_no_sense_is_refused(usage: Usage, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        priced(usage)


def test_a_class_is_known_in_short_and_in_capitals() -> None:
    assert class_named("small") == class_named(" MW1.Small ") == "mw1.small"
    assert [class_named(name) for name in CLASSES] == list(CLASSES)


# Periods


def test_a_period_is_less_what_was_slept_of_it() -> None:
    day = timedelta(days=1)
    begin = datetime(2026, 11, 10, tzinfo=UTC)
    period = Period(begin, begin + 3 * day)
    spans = [(begin - 5 * day, begin - 4 * day), (begin - day, begin + day / 2),
             (begin + day, begin + day), (begin + 2 * day, None)]  # fmt: skip
    assert period.hours_without(spans) == 72 - 12 - 24
    assert Period(begin + day, begin + 2 * day).hours_without(spans) == 24
    assert Period(begin + 3 * day, begin + 4 * day).hours_without(spans) == 0


def test_months_are_as_long_as_they_are() -> None:
    assert [month_of(2024, m).hours for m in (2, 11, 12)] == [696, 720, 744]
    assert month_of(2026, 12).end == datetime(2027, 1, 1, tzinfo=UTC)
    half = Period(datetime(2026, 1, 16, 12, tzinfo=UTC), datetime(2026, 2, 15, tzinfo=UTC))
    assert half.months == 1
    with pytest.raises(ConfigError, match="no time in it"):
        Period(half.end, half.begin)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(microseconds=1), timedelta(days=900)),
    st.timedeltas(timedelta(microseconds=1), timedelta(days=900)),
)
def test_two_periods_in_a_row_are_as_long_as_both_together(
    begin: datetime, one: timedelta, other: timedelta
) -> None:
    parts = [Period(begin, begin + one), Period(begin + one, begin + one + other)]
    whole = Period(begin, begin + one + other)
    for unit in ("hours", "months"):
        apart = sum((getattr(p, unit) for p in parts), Decimal(0))
        assert abs(apart - getattr(whole, unit)) < Decimal("1e-20")


# Price tables

MINE = """
[[table]]
region = "us-east-1"
date = 2020-01-01
source = "an older offer"
database_gb_month = 9

[[table]]
region = "us-east-1"
date = 2026-01-01
source = "our contract"
database_gb_month = 0.07
[table.environment_hour]
"mw1.xlarge" = "0.20"

[[table]]
region = "moon-1"
date = 2026-01-01
source = "our contract"
currency = "EUR"
glue_dpu_hour = 0.5
"""


def test_a_price_of_ours_has_a_day_a_region_and_a_public_source() -> None:
    for price in load_prices().known:
        assert price.source.startswith("https://")
        assert price.region
        assert price.day <= datetime.now(UTC).date()
        assert price.item in ITEMS
        assert price.amount > 0


def test_a_users_prices_go_before_ours_and_the_newest_of_them_first(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(MINE)
    prices = load_prices(file)
    usage = replace(EXAMPLE, environment_class="xlarge", extra_worker_hours=Decimal(0))
    found = estimate(usage, AUGUST, prices, region="us-east-1")
    assert amounts(found) == {"environment mw1.xlarge": "148.80", "metadata database": "0.70"}
    assert prices.of("environment_hour", "us-east-1", "mw1.small").amount == Decimal("0.49")
    elsewhere = estimate(Usage(glue_dpu_hours=Decimal(3)), AUGUST, prices, region="moon-1")
    assert (str(elsewhere.total), elsewhere.currency) == ("1.50", "EUR")


def test_prices_in_two_currencies_make_no_sum(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(MINE.replace('"moon-1"', '"us-east-1"'))
    usage = Usage(glue_dpu_hours=Decimal(3), storage_gb=Decimal(1))
    with pytest.raises(ConfigError, match="EUR and USD make no sum"):
        estimate(usage, AUGUST, load_prices(file), region="us-east-1")


def test_a_price_file_may_be_json_and_numbers_keep_their_digits(tmp_path: Path) -> None:
    table = {"region": "r", "date": "2026-01-01", "source": "s", "glue_dpu_hour": 0.123456789}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"table": [table]}))
    assert load_prices(file).of("glue_dpu_hour", "r").amount == Decimal("0.123456789")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[[table]]", "[[tables]]"), r"expected \[\[table\]\]"),
        (('region = "us-east-1"', ""), "table 1: region is missing"),
        (('source = "an older offer"', "source = 3"), "table 1: source is missing, or no text"),
        (("2020-01-01", '"soon"'), "table 1: expected a date such as 2026-11-01, found 'soon'"),
        (("database_gb_month = 9", "databse_gb_month = 9"), r"mean database_gb_month\?"),
        (("database_gb_month = 9", "database_gb_month = -9"), "a price such as 0.49, found -9"),
        (("= 9", "= true"), "found True"),
        (("= 9", '= "dear"'), "found 'dear'"),
        (("= 9", "= nan"), "found"),
        (
            ("database_gb_month = 9", 'worker_hour = {"small" = 9}'),
            r"'small' \(did you mean mw1.sm",
        ),
        (("database_gb_month = 9", "worker_hour = 9"), "worker_hour has a price per class"),
        (('currency = "EUR"', "currency = 3"), "a currency such as USD"),
        (("= 9", "= = 9"), "Invalid value"),
    ],
)
def test_a_price_file_of_another_form_says_where(change: tuple[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_prices(MINE.replace(*change, 1) if change[0] != "[[table]]" else MINE.replace(*change))


def test_a_price_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read \(No such file or dir"):
        load_prices(tmp_path / "none.toml")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ConfigError, match=r"bad\.json: "):
        load_prices(tmp_path / "bad.json")


def test_the_most_hours_of_a_period_are_not_rounded_up() -> None:
    period = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 31, 14, 40, tzinfo=UTC))
    with pytest.raises(ConfigError, match=r"hours: expected 0 to 734\.66 in .*, found 734\.67$"):
        period.check_hours(Decimal("734.67"))
    period.check_hours(Decimal("734.66"))


# Bills in parts


def use(dag: str, slot_s: float, *, owners: str = "", tags: tuple[str, ...] = (), **waste: float
        ) -> Use:  # fmt: skip
    known = {"again_s": 0.0, "failed_s": 0.0, "waited_s": 0.0} | waste
    return Use(dag, "t", owners, tags, slot_s, **known)


def bill_of(total: str, *, hours: int = 10, busy: int = 10) -> Cost:
    return Cost(Decimal(total), Decimal(total), Decimal(hours), Decimal(busy))


def parts(found: Shared) -> dict[str, str]:
    return {one.name: str(one.amount) for one in found.shares}


def test_thirds_of_a_bill_are_the_bill() -> None:
    found = share(bill_of("100.00"), [use(d, 60.0) for d in "abc"], "dag")
    assert parts(found) == {"a": "33.34", "b": "33.33", "c": "33.33"}
    assert found.idle == 0


def test_what_was_paid_while_nothing_ran_is_nobodys_unless_it_is_spread() -> None:
    uses = [use("a", 30.0), use("b", 10.0)]
    cost = bill_of("100.00", hours=10, busy=4)
    found = share(cost, uses, "dag")
    assert (str(found.idle), parts(found)) == ("60.00", {"a": "30.00", "b": "10.00"})
    spread = share(cost, uses, "dag", spread=True)
    assert (str(spread.idle), parts(spread)) == ("0.00", {"a": "75.00", "b": "25.00"})


def test_workers_that_came_for_work_are_not_idle() -> None:
    cost = Cost(Decimal(100), Decimal(80), Decimal(10), Decimal(5))
    assert str(share(cost, [use("a", 1.0)], "dag").idle) == "40.00"


def test_where_nothing_ran_all_of_it_is_idle() -> None:
    for spread in (False, True):
        found = share(bill_of("12.34", busy=0), [], "dag", spread=spread)
        assert (str(found.idle), found.shares) == ("12.34", ())


def test_two_owners_share_a_dag_evenly_and_nobody_counts_twice() -> None:
    uses = [use("a", 60.0, owners="ann, bob"), use("b", 60.0, owners="bob"), use("c", 60.0),
            use("d", 60.0, owners="ann,ann")]  # fmt: skip
    found = share(bill_of("80.00"), uses, "owner")
    assert parts(found) == {"ann": "30.00", "bob": "30.00", "": "20.00"}


def test_three_tags_share_a_dag_evenly() -> None:
    uses = [use("a", 60.0, tags=("x", "y", "z")), use("b", 30.0)]
    assert parts(share(bill_of("0.90"), uses, "tag")) == {
        "": "0.30", "x": "0.20", "y": "0.20", "z": "0.20",
    }  # fmt: skip


def test_waste_is_a_part_of_each_part() -> None:
    worked = use("a", 100.0, again_s=10.0, failed_s=20.0, waited_s=30.0)
    [one] = share(bill_of("1.00"), [worked], "task").shares
    assert (one.name, one.slot_h) == ("a.t", 100 / 3600)
    assert [str(n) for n in (one.again, one.failed, one.waited, one.work)] == [
        "0.10", "0.20", "0.30", "0.40",
    ]  # fmt: skip


def test_a_total_with_parts_of_a_cent_is_refused() -> None:
    for total in ("1.001", "-1", "NaN", "1e20"):
        with pytest.raises(ConfigError, match=r"such as 449\.11"):
            share(bill_of(total), [use("a", 1.0)], "dag")


SECONDS = st.floats(0, 1e9, allow_subnormal=False)
USES = st.builds(
    Use, st.sampled_from("abcdef"), st.sampled_from("tuv"),
    st.sampled_from(["", "ann", "bob", "ann, bob", "a,b,c,d,e,f,g"]),
    st.lists(st.sampled_from("xyz"), max_size=3).map(tuple), SECONDS, SECONDS, SECONDS, SECONDS,
)  # fmt: skip
COSTS = st.builds(
    Cost,
    st.decimals(0, 1_000_000, places=2),
    st.decimals(0, 1_000_000, places=2),
    st.decimals(0, 744, places=6),
    st.decimals(0, 800, places=6),
)


def told(amount: Decimal | None) -> Decimal:
    assert amount is not None
    return amount


@given(COSTS, st.lists(USES, max_size=40), st.sampled_from(BY), st.booleans())
def test_every_part_of_a_bill_and_every_part_of_a_part_sum_to_the_cent(
    cost: Cost, uses: list[Use], by: By, spread: bool
) -> None:
    found = share(cost, uses, by, spread=spread)
    amounts = [told(one.amount) for one in found.shares]
    assert told(found.idle) + sum(amounts) == cost.total == found.total
    for one in found.shares:
        kinds = [told(n) for n in (one.again, one.failed, one.waited, one.work)]
        assert sum(kinds) == one.amount
        assert min(kinds) >= 0
    assert told(found.idle) >= 0
    unknown = share(replace(cost, total=None), uses, by, spread=spread)
    assert [(one.name, one.slot_h, one.part) for one in unknown.shares] == [
        (one.name, one.slot_h, one.part) for one in found.shares
    ]
    assert {one.amount for one in unknown.shares} | {unknown.total, unknown.idle} == {None}
    assert not unknown.shares or sum(one.part for one in unknown.shares) == pytest.approx(1)
    slot_s = [one.slot_h for one in found.shares]
    assert slot_s == sorted(slot_s, reverse=True)
    assert sum(slot_s) == pytest.approx(sum(u.slot_s for u in uses) / 3600)


@given(st.integers(0, 10**14), st.lists(st.fractions(0, 10**6), min_size=1, max_size=30))
def test_what_is_dealt_out_is_the_whole_and_no_part_is_a_cent_off(
    whole: int, weights: list[Fraction]
) -> None:
    found = dealt(whole, weights)
    assert sum(found) == whole
    of = sum(weights)
    if of:
        assert all(
            abs(part - whole * weight / of) < 1 for part, weight in zip(found, weights, strict=True)
        )
