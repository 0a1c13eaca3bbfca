"""The five questions asked of three living databases with psql; here one stands for the three."""

import os
import subprocess
import sys
from pathlib import Path

out, psql, questions, *databases = sys.argv[1:]
for n, name in enumerate(databases):
    folder = Path(out, str(n))
    folder.mkdir()
    command = [psql, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file", questions]
    subprocess.run(command, cwd=folder, env={**os.environ, "PGDATABASE": name}, check=True)
