"""A class that many threads ask for at once for the first time is read by all of them."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: without the lock it ends with a segmentation fault, soon.
MANY = """
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import make_dataclass
from threading import Barrier

from airkeep.snapshot.decode import decode

sys.setswitchinterval(1e-6)
threads = 8
with ThreadPoolExecutor(threads) as pool:
    for number in range(400):
        inner = make_dataclass("Inner", [(f"x{n}", int) for n in range(6)])
        outer = make_dataclass("Outer", [("inners", tuple[inner, ...]), ("more", dict[str, inner])])
        ready = Barrier(threads)

        def read(_):
            ready.wait()
            return decode(b'{"inners": [], "more": {}}', outer)

        assert all(found == outer((), {}) for found in pool.map(read, range(threads)))
print("read")
"""


def test_threads_that_meet_a_class_first_all_at_once_read_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr
