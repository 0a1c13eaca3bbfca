"""Whether an environment may be acted on: no other run holds it.

A hold ends a while after its run was last heard of. Two machines' clocks may be minutes apart, so
the store's own clock says when that was, and what time it is now.
"""

from __future__ import annotations

from collections.abc import Callable

from airkeep.environment.journal import Journal
from airkeep.environment.process import has_ended
from airkeep.environment.state import Holder
from airkeep.errors import HeldError
from airkeep.snapshot.clean import store_time


def is_alive(holder: Holder) -> bool:
    """Whether the process of a holder on this machine is there."""
    return not has_ended(holder.pid, holder.started)


def check_free(journal: Journal, alive: Callable[[Holder], bool] = is_alive) -> None:
    """Refuse where another run is at work, by the journal as it was read.

    Raises:
        HeldError: one is.
    """
    holder, machine = journal.summary.state.holder, journal.author.machine
    if holder is None or (machine and holder.machine == machine and not alive(holder)):
        return
    heard = journal.store.head(journal.path(holder.heard)).modified
    ends = heard + (holder.until - holder.heard_at)
    if store_time(journal.store) < ends:
        raise HeldError(
            f"an `airkeep {holder.journey} {journal.environment}` is at work on {holder.host} "
            f"since {holder.began:%H:%M:%S} UTC (process {holder.pid}, step "
            f"{holder.step or 'begun'}): wait for it, or if it is dead, run this again after "
            f"{ends:%H:%M:%S} UTC (up and down do not wait with --take-over)"
        )
