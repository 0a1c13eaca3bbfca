"""An Airflow with nothing in it, where `airkeep up local` finds its own: what is said is tested.

It makes two tables, answers that all of it is healthy, and otherwise waits.
"""

from __future__ import annotations

import sys
from pathlib import Path

VERSION = "3.3.2"

_PROGRAM = f"""#!{sys.executable}
import http.server, os, signal, sys
word = sys.argv[1]
if word == "db":
    from adbc_driver_postgresql import dbapi
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for table in ("dag_run (id int)", "dag (dag_id text, is_paused bool)"):
            cursor.execute("CREATE TABLE " + table)
elif word == "api-server":
    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{{"a": {{"status": "healthy"}}, "b": {{"status": "healthy"}}}}')
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.HTTPServer(("127.0.0.1", port), Healthy).serve_forever()
else:
    signal.pause()
"""


def hollow_airflow(cache: Path) -> None:
    """Put it into a cache folder (XDG_CACHE_HOME), as one that was installed whole."""
    folder = cache / "airkeep" / "airflow" / VERSION
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "airflow"
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    (folder / "complete").touch()
