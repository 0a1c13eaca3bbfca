"""What a job on Glue is made of: its script, its definition, its arguments. Pure.

Arguments are shown in consoles and logs, so none is a secret: the database's address is in the
connection, keys are in a secret of Secrets Manager, and arguments name the two.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from airkeep.version import __version__

COMMAND = "--AIRKEEP_JOB_COMMAND"
CONNECTION = "--AIRKEEP_JOB_CONNECTION"
ENVIRONMENT = "--AIRKEEP_JOB_ENVIRONMENT"
REGION = "--AIRKEEP_JOB_REGION"
RESULT = "--AIRKEEP_JOB_RESULT"
SECRET = "--AIRKEEP_JOB_SECRET"  # noqa: S105 - a name
TOKEN = "--AIRKEEP_JOB_TOKEN"  # noqa: S105 - a name

SCRIPT = '''"""Runs one command of airkeep inside of a Glue job. Saved by airkeep itself."""

import os
import sys

from airkeep.jobs.inside import run_inside

failed = run_inside(sys.argv[1:], os.environ, print)
if failed:
    sys.exit(failed)
'''


@dataclass(frozen=True)
class GlueShape:
    """How large a job is, and how long it may take.

    It is a Spark job, whose driver alone is used: Python shell jobs have a Python that is too old.

    Attributes:
        retries: how often Glue itself tries again a run that died without a result.
        at_once: runs of the job that may be at work side by side.
        modules: what pip installs, of which one is airkeep.
    """

    glue_version: str = "5.0"
    worker_type: str = "G.1X"
    workers: int = 2
    retries: int = 1
    timeout_min: int = 60
    at_once: int = 1
    modules: str = field(default=f"airkeep[aws]=={__version__}")


def script_name() -> str:
    """Of the script: another one has another name, so none is overwritten under a run."""
    return f"airkeep-{hashlib.sha256(SCRIPT.encode()).hexdigest()[:16]}.py"


def job_definition(
    shape: GlueShape, *, role: str, script: str, connection: str, environment: str
) -> dict[str, Any]:
    """The job in the words of CreateJob, without its name."""
    return {
        "Description": "Runs airkeep beside the metadata database of an Airflow environment.",
        "Role": role,
        "Command": {"Name": "glueetl", "ScriptLocation": script, "PythonVersion": "3"},
        "DefaultArguments": {
            "--additional-python-modules": shape.modules,
            "--job-language": "python",
            CONNECTION: connection,
            ENVIRONMENT: environment,
        },
        "Connections": {"Connections": [connection]},
        "ExecutionProperty": {"MaxConcurrentRuns": shape.at_once},
        "MaxRetries": shape.retries,
        "Timeout": shape.timeout_min,
        "GlueVersion": shape.glue_version,
        "WorkerType": shape.worker_type,
        "NumberOfWorkers": shape.workers,
    }


def run_arguments(
    command: Sequence[str], *, token: str, result: str, region: str, secret: str | None
) -> dict[str, str]:
    """What one run is given."""
    given = {COMMAND: json.dumps(list(command)), TOKEN: token, RESULT: result, REGION: region}
    return given if secret is None else {**given, SECRET: secret}
