"""A run's hold on an environment: whether another one has it, and keeping one's own.

A hold ends a while after its run was last heard of. Two machines' clocks may be minutes apart, so
the store's own clock says when that was, and what time it is now.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from airkeep.environment.events import Event, Renewed
from airkeep.environment.journal import Journal
from airkeep.environment.process import has_ended
from airkeep.environment.state import Holder
from airkeep.errors import AirkeepError, HeldError
from airkeep.snapshot.clean import store_time


def is_alive(holder: Holder) -> bool:
    """Whether the process of a holder on this machine is there."""
    return not has_ended(holder.pid, holder.started)


def is_gone(journal: Journal, alive: Callable[[Holder], bool] = is_alive) -> bool:
    """Whether a run that has not ended was one of this machine whose process is there no more.

    Of another machine's nobody sees that: the end of its hold is waited for.
    """
    holder, machine = journal.summary.state.holder, journal.author.machine
    return bool(machine) and holder is not None and holder.machine == machine and not alive(holder)


def check_free(journal: Journal, alive: Callable[[Holder], bool] = is_alive) -> None:
    """Refuse where another run is at work, by the journal as it was read.

    Raises:
        HeldError: one is.
    """
    holder = journal.summary.state.holder
    if holder is None or is_gone(journal, alive):
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


class Hold:
    """What a run says goes through here, so that it hears when another one has set out.

    Attributes:
        lost: said once another one has: nothing is this run's any more.
    """

    def __init__(self, journal: Journal, lease_s: float) -> None:
        self._journal, self._lease_s = journal, lease_s
        self._lock = threading.Lock()
        self.lost: HeldError | None = None

    def until(self) -> datetime:
        """When it ends if nothing more is heard, by this machine's clock."""
        return self._journal.author.clock() + timedelta(seconds=self._lease_s)

    def say(self, event: Event) -> None:
        """Say what comes next.

        Raises:
            HeldError: another run has set out; nothing was said.
        """
        with self._lock:
            try:
                self._journal.append(event)
            except HeldError as error:
                self.lost = error
                raise

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew it while the block runs."""
        done = threading.Event()

        def renew() -> None:
            wait_s = self._lease_s / 2
            while not done.wait(wait_s):
                try:
                    self.say(Renewed(self.until()))
                    wait_s = self._lease_s / 2
                except HeldError:
                    return
                except AirkeepError:  # the next event of the run itself meets it, too
                    wait_s = self._lease_s / 8

        renewer = threading.Thread(target=renew, daemon=True)
        renewer.start()
        try:
            yield
        finally:
            done.set()
            renewer.join()
