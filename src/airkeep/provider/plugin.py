"""The newest report inside Airflow's own pages, from 3.1 on; on others nothing.

Airflow imports this in every process that looks for plugins, so the page is made when somebody asks
for it first.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airkeep.provider.compatibility import BASE_PATH, IS_AIRFLOW_3, AirflowPlugin

PREFIX = "/airkeep"


class ReportApp:
    """The page as an application of the web server's."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if self._app is None:
            from airkeep.provider.page import make_app

            self._app = make_app()
        await self._app(scope, receive, send)


class AirkeepPlugin(AirflowPlugin):
    """A page below "Browse"."""

    name = "airkeep"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = (
        [{"app": ReportApp(), "url_prefix": PREFIX, "name": "airkeep"}] if IS_AIRFLOW_3 else []
    )
    external_views: ClassVar[list[dict[str, Any]]] = (
        [
            {
                "name": "airkeep",
                "href": f"{BASE_PATH}{PREFIX}/report",
                "url_route": "airkeep",
                "destination": "nav",
                "category": "browse",
            }
        ]
        if IS_AIRFLOW_3
        else []
    )
