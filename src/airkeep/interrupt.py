"""Ctrl-C while a library waits for a server.

obstore, DuckDB and ADBC wait outside Python, where no signal is heard: a stalled request would hold
Ctrl-C back for a minute, a statement for as long as it takes; and what a handler raises meanwhile
DuckDB and ADBC make an error of their own of. So the main thread, the only one that hears signals,
lets another one wait.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def interruptible(action: Callable[[], T], *, cancel: Callable[[], object] | None = None) -> T:
    """Do something, in another thread when this is the main one.

    It costs some 0.1 ms; other threads hear no signals and pay nothing.

    Args:
        cancel: called after a Ctrl-C, and the action's end waited for. Without it the action is
            left to itself and ends with the process (a daemon): it may have done its deed.
    """
    if threading.current_thread() is not threading.main_thread():
        return action()
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(action())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            done.set_exception(error)

    thread = threading.Thread(target=run, name="airkeep-waiting", daemon=True)
    thread.start()
    try:
        return done.result()
    finally:
        if cancel is not None:
            if not done.done():
                with contextlib.suppress(Exception):
                    cancel()
            thread.join()
