"""The variables that an Airflow on MWAA finds, as far as they mean something here.

Names and defaults: amazon-mwaa-docker-images, images/airflow/*/python/mwaa/config. Left out is what
only AWS has (queues, CloudWatch, IAM). A user's own `AIRFLOW__...` win over the defaults, as an
environment's configuration options do there, and not over what holds it together: the database is
airkeep's. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airkeep.environment.local.folder import Folder, Secrets

_LOOKED_UP = json.dumps({"connections_lookup_pattern": "^(?!aws_default$).*$"})
# What MWAA sets, and its users may set otherwise; an Airflow passes over what it has no word for.
# Not its API server's gunicorn (3.2 on): that wants a package, and has one worker to look after.
_DEFAULTS = {
    "AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER": "True",
    "AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES": "proxy,proxies",
    "AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION": "False",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "1800.0",
    "AIRFLOW__SECRETS__BACKEND_KWARGS": _LOOKED_UP,
    "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": _LOOKED_UP,
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
    "SCARF_NO_ANALYTICS": "true",
    "DO_NOT_TRACK": "1",
    # MWAA copies DAGs from S3 every 30 s; a folder is looked at as often.
    "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
}


@dataclass(frozen=True)
class Given:
    """What the variables are made of.

    Attributes:
        database: a URL as SQLAlchemy takes it, password and all.
        own: the user's variables: those of Airflow and AWS.
    """

    environment: str
    version: str
    folder: Folder
    dags: Path
    venv: Path
    port: int
    database: str
    secrets: Secrets
    own: Mapping[str, str]

    @property
    def is_major_2(self) -> bool:
        return self.version.startswith("2.")


def variables(given: Given, component: str) -> dict[str, str]:
    """The whole environment of one process.

    Args:
        component: as MWAA calls it: scheduler, webserver, worker, triggerer, dag-processor.
    """
    ours = _ours(given, component)
    own = {name: value for name, value in given.own.items() if not _stands_against(name, ours)}
    return {**_DEFAULTS, **own, **ours}


def _stands_against(name: str, ours: Mapping[str, str]) -> bool:
    """Whether a user's variable would lead Airflow to something else than ours says."""
    is_of_database = name.startswith(("AIRFLOW__DATABASE__", "AIRFLOW__CORE__SQL_ALCHEMY_"))
    asked = name.removesuffix("_CMD").removesuffix("_SECRET")
    return is_of_database or asked in ours


def _ours(given: Given, component: str) -> dict[str, str]:
    plugins = given.folder.home / "plugins"
    return {
        "PATH": f"{given.venv / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(given.folder.home),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": f"{given.dags}:{plugins}",
        "AIRFLOW_HOME": str(given.folder.home),
        "AIRFLOW_ENV_NAME": given.environment,
        "AWS_EXECUTION_ENV": f"Amazon_MWAA_{given.version.replace('.', '')}",
        "MWAA_AIRFLOW_COMPONENT": component,
        "MWAA_COMMAND": component,
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(given.dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        "AIRFLOW__CORE__FERNET_KEY": given.secrets.fernet_key,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": given.database,
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(given.folder.home / "logs"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        **(_of_2(given) if given.is_major_2 else _of_3(given)),
    }


def _of_2(given: Given) -> dict[str, str]:
    return {
        "AIRFLOW__WEBSERVER__SECRET_KEY": given.secrets.secret_key,
        "AIRFLOW__WEBSERVER__CONFIG_FILE": str(given.folder.home / "webserver_config.py"),
        "AIRFLOW__WEBSERVER__WORKERS": "1",
        "AIRFLOW__WEBSERVER__BASE_URL": f"http://127.0.0.1:{given.port}",
        # Nobody but this machine reaches it; MWAA's own images do the same for tests.
        "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
    }


def _of_3(given: Given) -> dict[str, str]:
    return {
        "AIRFLOW__API__SECRET_KEY": given.secrets.secret_key,
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{given.port}",
        "AIRFLOW__API_AUTH__JWT_SECRET": given.secrets.jwt_secret,
        "AIRFLOW__API_AUTH__JWT_ALGORITHM": "HS256",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{given.port}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "86400",
        "AIRFLOW__CORE__MULTI_TEAM": "False",
        "AIRFLOW__TRIGGERER__QUEUES_ENABLED": "False",
    }


WEBSERVER_CONFIG = """\
# Written by airkeep: who reaches this machine is an admin, as with MWAA's images for one machine.
AUTH_ROLE_PUBLIC = "Admin"
WTF_CSRF_ENABLED = True
"""


def commands(given: Given) -> dict[str, tuple[str, ...]]:
    """What runs, by MWAA's names: the words after `airflow`.

    The log servers would listen on all addresses; the page reads the files themselves.
    """
    at = ("--port", str(given.port))
    of_2 = ("webserver", "--hostname", "127.0.0.1", *at)
    of_3 = ("api-server", "--host", "127.0.0.1", "--workers", "1", *at)
    return {
        "webserver": of_2 if given.is_major_2 else of_3,
        "scheduler": ("scheduler", "--skip-serve-logs"),
        "dag-processor": ("dag-processor",),
        "triggerer": ("triggerer", "--skip-serve-logs"),
    }
