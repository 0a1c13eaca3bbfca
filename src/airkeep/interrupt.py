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
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")

_AGAIN_S = 0.5


def interruptible(action: Callable[[], T], *, cancel: Callable[[], object] | None = None) -> T:
    """Do something, in another thread when this is the main one.

    It costs some 0.1 ms; other threads hear no signals and pay nothing.

    Args:
        cancel: called after a Ctrl-C, until the action has ended. Without it the action is left to
            itself and ends with the process (a daemon): it may have done its deed.
    """
    if threading.current_thread() is not threading.main_thread():
        return action()
    done = begin(action)
    try:
        return done.result()
    except BaseException:
        if cancel is not None:
            end(done, cancel)
        raise


def begin(action: Callable[[], T]) -> Future[T]:
    """Do something in a thread of its own, a daemon.

    What is to be waited for is the future: a `Thread.join` that a signal breaks off takes the
    thread for ended (Python 3.11, 3.12).
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(action())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="airkeep-waiting", daemon=True).start()
    return done


def end(done: Future[T], cancel: Callable[[], object]) -> None:
    """Cancel what another thread does until it has ended.

    Again and again: a cancel that comes between two statements, or before the first, is lost.
    """
    while not done.done():
        with contextlib.suppress(Exception):
            cancel()
        wait([done], _AGAIN_S)
