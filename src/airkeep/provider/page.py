"""The page that shows a lake's newest report to people who may see all of the cluster's work.

A report is about every DAG of the lake, so it takes the right to see the cluster's activity. Its
names come from whoever wrote DAGs: the browser runs its scripts as a stranger's, who reaches
neither Airflow's API nor its cookies nor the network.
"""

from __future__ import annotations

import os
from html import escape
from typing import Any

from airkeep.errors import AirkeepError
from airkeep.provider.compatibility import reader_of_everything, server_variable
from airkeep.provider.dags.variables import lake_of_bucket
from airkeep.provider.hook import AirkeepHook
from airkeep.provider.reports import newest_report

_HEADERS = {
    "Content-Security-Policy": (
        "sandbox allow-scripts allow-downloads; default-src 'none'; "
        "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_NOTE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>airkeep</title>
<body style="font:16px system-ui;margin:3rem"><main><h1>airkeep</h1><p>{}</p></main>"""
NO_REPORT = (
    "There is no report yet: AirkeepReportOperator makes one, for instance in the DAG "
    "airkeep_export."
)


def make_app() -> Any:
    """An application with one page, `/report`."""
    from fastapi import Depends, FastAPI
    from fastapi.responses import HTMLResponse

    app = FastAPI(title="airkeep", docs_url=None, redoc_url=None, openapi_url=None)

    def report() -> HTMLResponse:
        status, text = newest_page()
        return HTMLResponse(text, status, headers=_HEADERS)

    # Types of a function's own imports are unknown to FastAPI, which reads them as texts.
    report.__annotations__.clear()
    app.get("/report", response_class=HTMLResponse, dependencies=[Depends(reader_of_everything())])(
        report
    )
    return app


def newest_page() -> tuple[int, str]:
    """The newest report, or why there is none; and the answer's status.

    The lake is that of `AIRKEEP_LAKE`, else of Airflow's variable `export_s3_bucket`.
    """
    try:
        lake = os.environ.get("AIRKEEP_LAKE") or lake_of_bucket(server_variable("export_s3_bucket"))
        store = AirkeepHook(lake=lake, aws_region=server_variable("aws_region")).lake().store
        path = newest_report(store)
        if path is None:
            return 404, _NOTE.format(escape(NO_REPORT))
        return 200, store.load(path).decode()
    except AirkeepError as error:
        return 503, _NOTE.format(escape(f"The lake cannot be read: {error}"))
