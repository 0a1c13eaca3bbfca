"""Ctrl-C while obstore waits for a server.

obstore waits outside Python, where no signal is heard: a stalled request would hold Ctrl-C
back for a minute, a large file for as long as it takes. So the main thread, the one that
hears signals, lets another one wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def interruptible(action: Callable[[], T]) -> T:
    """Do something, in another thread when this is the main one.

    After a Ctrl-C it is left to itself and ends with the process (a daemon): it may have
    done its deed. It costs some 0.1 ms; other threads hear no signals and pay nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return action()
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(action())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="airkeep-store", daemon=True).start()
    return done.result()
