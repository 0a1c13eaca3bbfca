"""Ctrl-C while a database library waits for a server.

DuckDB and ADBC wait outside Python. What a signal's handler raises meanwhile comes late, and
DuckDB makes a RuntimeError of it, ADBC an error of its own. So the main thread, the only one
that hears signals, lets another one wait, and cancels it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def cancellable(action: Callable[[], T], cancel: Callable[[], object]) -> T:
    """Do something; when this thread is interrupted, cancel it, wait for its end and go on up."""
    if threading.current_thread() is not threading.main_thread():
        return action()
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(action())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            done.set_exception(error)

    thread = threading.Thread(target=run, name="airkeep-database", daemon=True)
    thread.start()
    try:
        return done.result()
    finally:
        if not done.done():
            with contextlib.suppress(Exception):
                cancel()
        thread.join()
