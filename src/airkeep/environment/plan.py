"""Which steps a journey has from where an environment stands. Pure.

down    record -> pause -> drain -> export -> verify -> gate -> delete -> gone
up      create, ready, restore and settle as the kind orders them -> unpause

`record` comes before anything changes. Where what an earlier run recorded was not given back yet,
both looks count: the second finds DAGs paused that are owed, and what people have changed since.
`settle` is part of every `up`: what it asked for may have failed since.

Once something of it is deleted there is only forward: delete, gone, and from there up again. Where
deletion was about to begin and nothing is deleted yet, somebody may have worked there since: all is
looked at again.
"""

from __future__ import annotations

from airkeep.environment.events import LocalPlace
from airkeep.environment.state import State
from airkeep.errors import JourneyError

LOOKS = ("record", "pause", "drain", "export", "verify", "gate")
LEAVES = ("delete", "gone")


def may_be_restored(state: State) -> bool:
    """Whether its restore was begun, and nobody has said that it came to its end: it may have."""
    unsure = state.restoring and not state.restored
    return state.standing == "asleep" and state.made and unsure


def may_be_anothers(state: State) -> bool:
    """Whether what is there may be somebody else's: it sleeps, and no restore was begun.

    That we began to make it proves nothing: that may have failed, and somebody made it by hand
    since. Only what has run in it tells.
    """
    return state.standing == "asleep" and not state.restoring


def plan_down(
    state: State,
    *,
    exists: bool,
    whole: bool = False,
    used: bool = False,
    where: str = "",
    beside: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """The steps to take now; none where it sleeps.

    Args:
        where: it was looked for; `beside`: what is there; both for messages.
        whole: nothing of it is deleted yet.
        used: what may be somebody else's has run something.

    Raises:
        JourneyError: it sleeps, and yet is there: somebody else made it.
    """
    if state.deleting and not whole:
        return LEAVES
    if state.standing == "asleep":
        if not exists:
            return ()
        if used or not state.made:
            raise JourneyError(
                f"{state.environment} is asleep by its record, and exists: somebody made it "
                f"without airkeep. {_choose(state.environment)}"
            )
        if not state.restored:
            return LEAVES  # nothing was ever in it: what slept is still whole in the lake
    if not exists:
        name, there = state.environment, f" (there are: {', '.join(beside)})" if beside else ""
        never = state.standing == "new" and isinstance(state.place, LocalPlace)
        raise JourneyError(
            f"{where or name} is not there{there}, so nothing can be kept of it. If that is not "
            f"where it is: airkeep env add {name} tells where to look. "
            + (
                f"If it never was: airkeep up {name} makes it"
                if never
                else f"If it was deleted without airkeep: airkeep up {name} --from {name}/latest "
                f"makes it from its newest snapshot"
            )
        )
    return (*LOOKS, *LEAVES)


def _choose(environment: str) -> str:
    return (
        f"To go on with it as it is: airkeep env forget {environment} --force, and airkeep env add "
        f"it again. To have what sleeps: delete it, and airkeep up {environment}"
    )


def plan_up(
    state: State,
    wake_steps: tuple[str, ...],
    *,
    exists: bool,
    whole: bool = False,
    used: bool = False,
    chosen: bool = False,
) -> tuple[str, ...]:
    """The steps to take now.

    Args:
        wake_steps: the kind's `create`, `ready`, `restore` and `settle`, in its order.
        whole: nothing of it is deleted yet.
        used: what may be somebody else's has run something.
        chosen: somebody said which snapshot it is to be made of.

    Raises:
        JourneyError: it sleeps, and yet somebody else made it and works in it; or it does not
            sleep, is gone, and nobody said what of.
    """
    if used:
        raise JourneyError(
            f"{state.environment} is asleep by its record, and exists: somebody made it without "
            f"airkeep, and works in it, which a restore would overwrite. "
            f"{_choose(state.environment)}"
        )
    makes = tuple(step for step in wake_steps if step != "restore")
    if state.deleting and not whole:
        return (*LEAVES, *wake_steps, "unpause")
    asleep = state.standing == "asleep"
    if state.kept is not None and not exists and not (asleep or chosen):
        up = f"airkeep up {state.environment} --from"
        raise JourneyError(
            f"{state.environment} is not there and does not sleep: somebody deleted it without "
            f"airkeep. Say which snapshot it is to be made of: {up} {state.environment}/latest for "
            f"its newest, {up} {state.kept.snapshot} for the one of its last journey"
        )
    if asleep or chosen:
        return (*(makes if state.restored and exists else wake_steps), "unpause")
    return (*makes, "unpause") if state.recorded is not None else makes
