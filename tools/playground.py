"""`make playground`: a PostgreSQL to try airkeep on, until Ctrl-C.

The embedded server, with the demo's database as `airflow` and an empty one as `new`. What it prints
last is for another shell. It listens on this machine only, and is removed when this ends.
"""

from __future__ import annotations

import shlex
import signal
import sys

from airkeep.database.address import AIRFLOW_VARIABLES
from airkeep.database.server import Server
from tools.demo import DUMP


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with Server.start() as server:
            server.create("airflow")
            server.restore_dump("airflow", DUMP)
            print("for another shell, until Ctrl-C here:\n")
            for name, url in (
                (AIRFLOW_VARIABLES[0], server.address("airflow")),
                ("NEW_DATABASE", server.create("new")),
            ):
                print(f"export {name}={shlex.quote(url)}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("\nthe server and its databases are gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
