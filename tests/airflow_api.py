"""Airflow's REST API over a database, as far as airkeep asks it: Airflow 2's words and Airflow 3's.

It is as strict as they are: a field or a parameter that it does not know is refused, and an unknown
path. A run of a DAG that is started runs airkeep's own command, as the provider's DAG does.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from command import AIRKEEP, VARIABLE
from rekeyed import ARCHIVE_KEY
from servers import query

_USUAL = {"limit", "offset", "order_by", "dag_id_pattern", "update_mask"}
_QUERY = {"2": _USUAL | {"only_active"}, "3": _USUAL | {"exclude_stale"}}
_RUNS = {"order_by", "page_offset", "page_limit", "dag_ids", "states", "start_date_gte",
         "start_date_lte", "end_date_gte", "end_date_lte"}  # fmt: skip
_TASKS = {"page_offset", "page_limit", "dag_ids", "state", "end_date_gte"}


# What a run must have that has no model to follow.
_USUAL_RUN = json.dumps({"clear_number": 0, "span_status": "not_started"})
_NEW_RUN = """INSERT INTO dag_run SELECT (jsonb_populate_record(NULL::dag_run,
coalesce((SELECT to_jsonb(r) FROM dag_run r LIMIT 1), {usual}::jsonb) || {own}::jsonb
|| jsonb_build_object('id', nextval('dag_run_id_seq')))).*"""


class RefusedError(Exception):
    """What an API answers: a status, AWS's name of the error (empty: Airflow's), and words."""

    def __init__(self, status: int, error: str, words: str) -> None:
        super().__init__(words)
        self.status, self.error, self.words = status, error, words


@dataclass
class AirflowApi:
    """The API of one Airflow.

    Attributes:
        workers: at work on runs that were started.
    """

    url: str
    version: str
    fernet_key: str
    workers: list[threading.Thread] = field(default_factory=list)

    @property
    def dialect(self) -> str:
        return self.version[0]

    def answer(self, method: str, path: str, given: dict[str, Any], body: dict[str, Any]) -> Any:
        """The document, or RefusedError.

        Args:
            path: below /api/v1 or /api/v2, unquoted.
        """
        if unknown := given.keys() - _QUERY[self.dialect]:
            raise RefusedError(400, "", f"no such parameters: {unknown}")
        match method, path.strip("/").split("/"):
            case "GET", ["version"]:
                return {"version": self.version}
            case "GET", ["dags"]:
                return _dags(self, given)
            case "GET", ["dags", dag]:
                return _dag(self, dag)
            case "PATCH", ["dags"]:
                return _patch(self, f"dag_id ILIKE {_text('%' + given['dag_id_pattern'] + '%')}",
                              body)  # fmt: skip
            case "PATCH", ["dags", dag]:
                dags = _patch(self, f"dag_id = {_text(dag)}", body)["dags"]
                return dags[0] if dags else _dag(self, dag)
            case _, ["dags", dag, "dagRuns", *more]:
                return self._of_runs(method, dag, more, body)
        raise RefusedError(404, "", f"no such path: {path}")

    def _of_runs(self, method: str, dag: str, more: list[str], body: dict[str, Any]) -> Any:
        match method, dag, more:
            case "POST", "~", ["list"]:
                _check(self, body, _RUNS)
                return _runs(self, body)
            case "POST", "~", ["~", "taskInstances", "list"]:
                _check(self, body, _TASKS)
                return _tasks(self, body)
            case "POST", _, []:
                return self._start(dag, body)
            case "GET", _, [run]:
                return _run(self, dag, run)
        raise RefusedError(404, "", f"no such path: dags/{dag}/dagRuns/{'/'.join(more)}")

    def _start(self, dag: str, body: dict[str, Any]) -> dict[str, Any]:
        """A run of the DAG that runs airkeep's commands; it begins once the DAG is active."""
        run = body["dag_run_id"]
        if query(self.url, f"SELECT 1 FROM dag_run WHERE run_id = {_text(run)}"):
            raise RefusedError(409, "", f"the run {run} is there")
        own = json.dumps({
            "dag_id": dag, "run_id": run, "logical_date": body["logical_date"], "conf": None,
            "run_after": body["logical_date"], "start_date": body["logical_date"],
            "end_date": None, "state": "running", "run_type": "manual",
        })  # fmt: skip
        query(self.url, _NEW_RUN.format(usual=_text(_USUAL_RUN), own=_text(own)))
        work = threading.Thread(target=_work, args=(self, dag, run, body["conf"]), daemon=True)
        work.start()
        self.workers.append(work)
        return _run(self, dag, run)


def _work(api: AirflowApi, dag: str, run: str, conf: dict[str, Any]) -> None:
    """What a worker does with it: airkeep's command, its result, and the end of the run."""
    variables = {
        **os.environ, VARIABLE: api.url, "AIRKEEP_FERNET_KEY": api.fernet_key,
        "AIRKEEP_ARCHIVE_KEY": ARCHIVE_KEY,
        "AIRFLOW_CTX_DAG_ID": dag, "AIRFLOW_CTX_DAG_RUN_ID": run,
    }  # fmt: skip
    done = subprocess.run(
        [*AIRKEEP, *conf["command"]], env=variables, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    result = Path(conf["result"])
    result.parent.mkdir(parents=True, exist_ok=True)
    summary = json.loads(done.stdout) if done.returncode == 0 else done.stderr
    result.write_text(json.dumps({"status": done.returncode, "summary": summary}))
    state = "failed" if done.returncode else "success"
    query(api.url, f"UPDATE dag_run SET state = '{state}', end_date = clock_timestamp() "
                    f"WHERE run_id = {_text(run)}")  # fmt: skip


def _dag(api: AirflowApi, dag: str) -> dict[str, Any]:
    for (paused,) in query(api.url, f"SELECT is_paused FROM dag WHERE dag_id = {_text(dag)}"):
        return {"dag_id": dag, "is_paused": paused}
    raise RefusedError(404, "", f"The DAG with dag_id: {dag} was not found")


def _run(api: AirflowApi, dag: str, run: str) -> dict[str, Any]:
    for (state,) in query(api.url, f"SELECT state::text FROM dag_run WHERE run_id = {_text(run)}"):
        return {"dag_id": dag, "dag_run_id": run, "state": state}
    raise RefusedError(404, "", f"The run {run} was not found")


def _check(api: AirflowApi, body: dict[str, Any], known: set[str]) -> None:
    if unknown := body.keys() - known:
        raise RefusedError(422 if api.dialect == "3" else 400, "", f"no such fields: {unknown}")


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _listed(values: list[str]) -> str:
    return ", ".join(map(_text, values))


def _dags(api: AirflowApi, given: dict[str, Any]) -> dict[str, Any]:
    stale, word, usual = (
        ("is_stale", "exclude_stale", "50")
        if api.dialect == "3"
        else ("NOT is_active", "only_active", "100")
    )
    where = "true" if str(given.get(word, "true")) == "false" else f"NOT ({stale})"
    limit, offset = min(int(given.get("limit", usual)), 100), int(given.get("offset", 0))
    rows = query(api.url, f"SELECT dag_id::text, is_paused FROM dag WHERE {where} "
                           f"ORDER BY dag_id LIMIT {limit} OFFSET {offset}")  # fmt: skip
    [(total,)] = query(api.url, f"SELECT count(*) FROM dag WHERE {where}")
    dags = [{"dag_id": dag, "is_paused": paused} for dag, paused in rows]
    return {"dags": dags, "total_entries": total}


def _patch(api: AirflowApi, where: str, body: dict[str, Any]) -> dict[str, Any]:
    if body.keys() != {"is_paused"}:
        raise RefusedError(400, "", "only is_paused can be changed")
    rows = query(
        api.url,
        f"UPDATE dag SET is_paused = {body['is_paused']} WHERE {where} "
        f"RETURNING dag_id::text, is_paused",
    )
    dags = [{"dag_id": dag, "is_paused": paused} for dag, paused in rows]
    return {"dags": dags, "total_entries": len(dags)}


def _runs(api: AirflowApi, body: dict[str, Any]) -> dict[str, Any]:
    wheres = ["true"]
    if body.get("dag_ids"):
        wheres.append(f"dag_id IN ({_listed(body['dag_ids'])})")
    if body.get("states"):
        wheres.append(f"state IN ({_listed(body['states'])})")
    for name in ("start_date", "end_date"):
        for word, sign in (("gte", ">="), ("lte", "<=")):
            if at := body.get(f"{name}_{word}"):
                assert datetime.fromisoformat(at).tzinfo
                wheres.append(f"{name} {sign} {_text(at)}::timestamptz")
    order = str(body.get("order_by", "id"))
    by = f"{order.removeprefix('-')} {'DESC' if order.startswith('-') else 'ASC'}"
    columns = (
        "dag_id", "run_id", "state", "start_date", "end_date", "last_scheduling_decision"
    )  # fmt: skip
    page = _page(api, "dag_run", columns, wheres, by, body)
    return {"dag_runs": page.pop("rows"), **page}


def _tasks(api: AirflowApi, body: dict[str, Any]) -> dict[str, Any]:
    wheres = ["true"]
    if states := body.get("state"):
        wheres.append(f"state IN ({_listed(states)})")
    if body.get("dag_ids"):
        wheres.append(f"dag_id IN ({_listed(body['dag_ids'])})")
    if at := body.get("end_date_gte"):
        wheres.append(f"end_date >= {_text(at)}::timestamptz")
    columns = ("dag_id", "run_id", "task_id", "state", "end_date")
    page = _page(api, "task_instance", columns, wheres, "dag_id, run_id, task_id", body)
    return {"task_instances": page.pop("rows"), **page}


def _page(
    api: AirflowApi,
    table: str,
    columns: tuple[str, ...],
    wheres: list[str],
    by: str,
    body: dict[str, Any],
) -> dict[str, Any]:
    where = " AND ".join(wheres)
    limit, offset = int(body.get("page_limit", 100)), int(body.get("page_offset", 0))
    wanted = ", ".join(c if c.endswith(("date", "decision")) else f"{c}::text" for c in columns)
    rows = query(api.url, f"SELECT {wanted} FROM {table} WHERE {where} ORDER BY {by} "
                           f"LIMIT {limit} OFFSET {offset}")  # fmt: skip
    [(total,)] = query(api.url, f"SELECT count(*) FROM {table} WHERE {where}")
    named = [dict(zip(columns, map(_told, row), strict=True)) for row in rows]
    for one in named:
        one["dag_run_id"] = one.pop("run_id")
    return {"rows": named, "total_entries": total}


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def add_dags(url: str, *names: str, paused: bool = False) -> None:
    """More DAGs, each as another one is."""
    if not names:
        return
    values = ", ".join(f"({_text(name)})" for name in names)
    query(url, "INSERT INTO dag SELECT (jsonb_populate_record(NULL::dag, to_jsonb(d) || "
               f"jsonb_build_object('dag_id', n, 'is_paused', {paused}))).* "
               f"FROM (VALUES {values}) names (n), (SELECT * FROM dag LIMIT 1) d")  # fmt: skip
