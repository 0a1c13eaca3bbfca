"""An environment's definition in the lake: no option in plain text, and back again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airkeep.aws.mwaa import Definition
from airkeep.environment.mwaa.definition import (
    OWED,
    PAUSED,
    SCHEDULES,
    given_back,
    held,
    options_of,
    seal,
    unseal,
)
from airkeep.errors import DecryptError, JourneyError, MissingKeyError
from rekeyed import ARCHIVE_KEY, LOST_KEY


def definition(**options: str) -> Definition:
    told: dict[str, Any] = {"Name": "prod", "Tags": {"team": "data"}}
    return Definition({**told, "AirflowConfigurationOptions": options} if options else told)


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1))
def test_options_come_back_and_are_not_in_the_document(options: dict[str, str]) -> None:
    hidden = {name: f"hunter2-{value}" for name, value in options.items()}
    sealed = seal(definition(**hidden), ARCHIVE_KEY)
    assert "hunter2" not in sealed
    assert unseal(sealed, ARCHIVE_KEY) == definition(**hidden)


def test_options_want_a_key_and_without_options_none_is_wanted() -> None:
    with pytest.raises(MissingKeyError, match="prod has configuration options"):
        seal(definition(a="b"), None)
    assert unseal(seal(definition(), None), None) == definition()
    with pytest.raises(MissingKeyError, match="options of prod are sealed"):
        unseal(seal(definition(a="b"), ARCHIVE_KEY), None)


def test_another_key_opens_none_of_them_and_an_older_one_does() -> None:
    sealed = seal(definition(a="b", c="d"), ARCHIVE_KEY)
    with pytest.raises(DecryptError, match="option a, option c"):
        unseal(sealed, LOST_KEY)
    assert unseal(sealed, f"{LOST_KEY},{ARCHIVE_KEY}") == definition(a="b", c="d")


@pytest.mark.parametrize("document", ["", "{", "[]", "7"])
def test_what_is_no_definition_is_said_so(document: str) -> None:
    with pytest.raises(JourneyError, match="no definition"):
        unseal(document, ARCHIVE_KEY)


@pytest.mark.parametrize(
    ("wish", "is_held"),
    [("False", True), ("false", True), (" f ", True), ("0", True), ("True", False), ("t", False)],
)
def test_new_dags_are_paused_whatever_its_owner_wants(wish: str, is_held: bool) -> None:
    own = definition(**{PAUSED: wish, "a": "b"})
    made = held(own, begins_active=False)
    owed = {PAUSED: "True", OWED: f"{PAUSED}={wish}"} if is_held else {PAUSED: wish}
    assert options_of(made) == {"a": "b", **owed}
    assert given_back(made) == own
    assert held(definition(), begins_active=False) == definition()


@pytest.mark.parametrize("wish", [{}, {SCHEDULES: "false"}, {SCHEDULES: "t"}, {PAUSED: "False"}])
def test_nothing_is_scheduled_where_a_dag_begins_unpaused(wish: dict[str, str]) -> None:
    own = definition(a="b", **wish)
    made = held(own, begins_active=True)
    assert options_of(made)[SCHEDULES] == wish.get(SCHEDULES, "False").replace("t", "False")
    assert given_back(made) == own
    alone = held(definition(), begins_active=True)
    assert options_of(alone) == {SCHEDULES: "False", OWED: SCHEDULES}
    assert given_back(alone) == definition()


def test_what_somebody_has_changed_since_stays() -> None:
    own = definition(**{PAUSED: "False", "a": "b"})
    made = options_of(held(own, begins_active=True))
    by_hand = definition(**{**made, SCHEDULES: "True", "a": "c"})
    assert options_of(given_back(by_hand)) == {PAUSED: "False", SCHEDULES: "True", "a": "c"}
    theirs = definition(**{PAUSED: "True", SCHEDULES: "False"})  # as their owner wants them
    assert given_back(theirs) == theirs
