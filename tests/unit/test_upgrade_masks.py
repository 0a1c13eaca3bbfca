"""Tokens in the place of sealed secrets."""

from __future__ import annotations

from airkeep.snapshot.seal import PREFIX
from airkeep.tables.secrets import SECRETS
from airkeep.upgrade.masks import Masks

PASSWORD = next(s for s in SECRETS if (s.table, s.column) == ("connection", "password"))
KWARGS = next(s for s in SECRETS if s.column == "kwargs")


def test_values_outside_a_window_are_not_told_as_gone() -> None:
    masks = Masks()
    inside, outside, lost = (
        masks.hide(f"{PREFIX}{name}", PASSWORD) for name in ("inside", "outside", "lost")
    )
    arguments = masks.hide(f"{PREFIX}arguments", KWARGS)
    assert (len(masks.hidden), masks.gone) == (4, 4)

    masks.start_anew()  # the window is a snapshot of its own, with the tokens in it
    for token, secret in ((inside, PASSWORD), (lost, PASSWORD), (arguments, KWARGS)):
        assert masks.hide(token, secret) == token
    assert masks.show(inside) == f"{PREFIX}inside"
    assert masks.show(arguments) == f"{PREFIX}arguments"

    assert (len(masks.hidden), masks.gone) == (3, 1)
    assert masks.show(outside) == f"{PREFIX}outside"
    assert masks.gone == 1
