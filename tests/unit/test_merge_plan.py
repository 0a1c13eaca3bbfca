"""In which order a merge goes through the tables, and what --on-conflict may say."""

from __future__ import annotations

import pytest

from airkeep.database.catalog import Table
from airkeep.errors import ConfigError
from airkeep.restore.merge_plan import Link, TableMerge, in_order, read_policies


def merge(label: str, *links: Link) -> TableMerge:
    return TableMerge(
        label=label, table=Table("public", label, ()), columns=("id", "x"), own="id", number=True,
        key=(), links=links, policy="skip",
    )  # fmt: skip


def link(parent: str, *, firm: bool = True) -> Link:
    return Link(("x",), parent, ("id",), firm=firm)


def labels(*merges: TableMerge) -> list[str]:
    return [m.label for m in in_order(merges)]


def test_what_points_without_a_key_comes_after_what_it_points_at() -> None:
    assert labels(merge("a", link("b", firm=False)), merge("b")) == ["b", "a"]


def test_a_soft_link_gives_way_to_a_firm_one() -> None:
    assert labels(merge("a", link("b")), merge("b", link("a", firm=False))) == ["b", "a"]
    assert labels(merge("a", link("b", firm=False)), merge("b", link("a"))) == ["a", "b"]


def test_a_table_may_point_at_itself_and_at_what_is_not_there() -> None:
    assert labels(merge("a", link("a"), link("elsewhere"))) == ["a"]


def test_a_policy_is_for_all_or_by_class() -> None:
    assert read_policies("skip") == {"": "skip"}
    assert read_policies("skip, history=replace,config=fail") == {
        "": "skip",
        "history": "replace",
        "config": "fail",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("skp", r"'skp' is none of fail, skip, replace \(did you mean skip\?\)"),
        ("histroy=skip", r"'histroy' is no class of tables .*\(did you mean history\?\)"),
        ("skip,fail", "the policy is given twice"),
        ("config=skip,config=fail", "config is given twice"),
        ("", "'' is none of"),
    ],
)
def test_what_is_no_policy_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_policies(text)


def test_no_row_is_told_by_a_secret() -> None:
    from airkeep.database.catalog import Column
    from airkeep.tables.defaults import NATURAL_KEYS
    from airkeep.tables.secrets import SECRETS

    for name, key in NATURAL_KEYS.items():
        columns = ("id", *key)
        table = Table("public", name, tuple(Column(c, "text") for c in columns))
        told = TableMerge(
            label=name, table=table, columns=columns, own="id", number=True, key=key, links=(),
            policy="skip",
        ).told_by  # fmt: skip
        assert told
        assert not {(s.table, s.column) for s in SECRETS} & {(name, c) for c in told}
