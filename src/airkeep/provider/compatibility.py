"""Airflow 2.10 and later, and 3: every import of Airflow, under one name for both.

Airflow is not in the environment of our type checker: it sees the few attributes that are used, as
written here. Nothing else in this room asks which Airflow it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from logging import Logger
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit

from airkeep.provider.connection import Connection

T = TypeVar("T")


class TaskInstance(Protocol):
    """The task that runs."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


if TYPE_CHECKING:

    class AirflowException(Exception):  # noqa: N818 - Airflow names it
        """A task's failure; it is tried again where the DAG says so."""

    class AirflowFailException(AirflowException):
        """A failure that another try would not mend."""

    class AirflowSkipException(AirflowException):
        """Nothing was to be done."""

    class BaseHook:
        """What knows of connections."""

        log: Logger

        def __init__(self, logger_name: str | None = None) -> None: ...

        @classmethod
        def get_connection(cls, conn_id: str) -> Connection: ...

    class BaseOperator:
        """A task."""

        template_fields: ClassVar[tuple[str, ...]]
        log: Logger
        task_id: str

        def __init__(self, **arguments: Any) -> None: ...

        def defer(
            self, *, trigger: BaseTrigger, method_name: str, timeout: timedelta | None = None
        ) -> NoReturn: ...

        def __rshift__(self, other: BaseOperator) -> BaseOperator: ...

    class TriggerEvent:
        """What a trigger tells its task."""

        def __init__(self, payload: Any) -> None: ...

    class BaseTrigger:
        """What waits for a task, in the triggerer."""

        log: Logger

        def __init__(self, **arguments: Any) -> None: ...

        def run(self) -> AsyncIterator[TriggerEvent]: ...

    class DAG:
        """Tasks and when they run."""

        def __init__(self, dag_id: str, **arguments: Any) -> None: ...
        def __enter__(self) -> DAG: ...
        def __exit__(self, *error: object) -> None: ...

    class Param:
        """A value that a run's form asks for."""

        def __init__(self, default: Any, **schema: Any) -> None: ...

    class AirflowPlugin:
        """What a plugin brings; of lists that an Airflow does not know nothing becomes."""

        name: str
        fastapi_apps: ClassVar[Iterable[Mapping[str, Any]]]
        external_views: ClassVar[Iterable[Mapping[str, Any]]]

    def sync_to_async(call: Callable[[], T]) -> Callable[[], Awaitable[T]]:
        """A call that blocks, away from the loop; what it asks of the loop is answered."""

    IS_AIRFLOW_3: bool
    DEFERRABLE: bool
    BASE_PATH: str

else:
    from airflow import __version__
    from airflow.configuration import conf
    from airflow.plugins_manager import AirflowPlugin
    from airflow.triggers.base import BaseTrigger, TriggerEvent
    from asgiref.sync import sync_to_async

    IS_AIRFLOW_3 = not __version__.startswith("2.")
    DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)
    # What the web server's own paths begin with, where it is behind a proxy.
    BASE_PATH = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")

    if IS_AIRFLOW_3:
        from airflow.sdk import DAG, BaseOperator, Param
    else:
        from airflow.models import BaseOperator
        from airflow.models.dag import DAG
        from airflow.models.param import Param

    try:
        from airflow.sdk import BaseHook
    except ImportError:  # in 3.0, too
        from airflow.hooks.base import BaseHook

    try:
        from airflow.sdk.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowSkipException,
        )
    except ImportError:  # in the first ones of 3, too
        from airflow.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowSkipException,
        )

__all__ = [
    "BASE_PATH",
    "DAG",
    "DEFERRABLE",
    "IS_AIRFLOW_3",
    "AirflowException",
    "AirflowFailException",
    "AirflowPlugin",
    "AirflowSkipException",
    "BaseHook",
    "BaseOperator",
    "BaseTrigger",
    "Param",
    "TaskInstance",
    "TriggerEvent",
    "reader_of_everything",
    "server_variable",
    "sync_to_async",
]


def server_variable(name: str) -> str:
    """An Airflow variable as the web server reads it; empty where there is none."""
    from airflow.models.variable import Variable

    return str(Variable.get(name, "") or "")


def reader_of_everything() -> Any:
    """A dependency of FastAPI: somebody who is logged in and may see the whole cluster's work."""
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
    from airflow.api_fastapi.core_api.security import requires_access_view

    return requires_access_view(AccessView.CLUSTER_ACTIVITY)
