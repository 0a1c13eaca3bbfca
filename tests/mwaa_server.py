"""An MWAA for tests: ministack's, with what that leaves out, over databases of PostgreSQL.

ministack forgets most of what CreateEnvironment is told, makes and deletes at once, and hands
neither query nor Airflow 2 on to an Airflow. So every call goes to it, which has its say; what it
forgets is kept here, changes take some looks, AWS refuses others while they last, and Airflow's
REST API is answered from the environment's own database, in the dialect of its major version and as
strictly: a field or a parameter that it does not know is refused.

An environment that is made has a database as a new Airflow's: DAGs parsed and paused, nothing else,
and a Fernet key of its own. `GET /world/<name>` tells a job both.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.fernet import Fernet

from airkeep.database.server import Cluster
from aws_server import AwsServer
from servers import FERNET_KEY, Databases, psql, query

LONGEST_PATH = 64
# Where the rows of a parsed DAG file are.
PARSED = ("alembic_version", "dag", "dag_bundle", "dag_code", "dag_version", "serialized_dag")
_QUERY = {"2": {"limit", "offset", "only_active", "dag_id_pattern", "update_mask"},
          "3": {"limit", "offset", "exclude_stale", "dag_id_pattern", "update_mask"}}  # fmt: skip
_RUNS = {"order_by", "page_offset", "page_limit", "dag_ids", "states", "start_date_gte",
         "start_date_lte", "end_date_gte", "end_date_lte"}  # fmt: skip
_TASKS = {"page_offset", "page_limit", "dag_ids", "state"}


class RefusedError(Exception):
    """What an API answers: a status, AWS's name of the error (empty: Airflow's), and words."""

    def __init__(self, status: int, error: str, words: str) -> None:
        super().__init__(words)
        self.status, self.error, self.words = status, error, words


@dataclass
class Made:
    """One environment.

    Attributes:
        told: all that it was made and changed with.
        changing: looks for which it is in a state that passes: `CREATING`, ...
    """

    told: dict[str, Any]
    url: str
    fernet_key: str
    changing: list[str] = field(default_factory=list)
    failed: str = ""

    @property
    def dialect(self) -> str:
        return str(self.told["AirflowVersion"])[0]


@dataclass
class MwaaServer:
    """The server, and what a test tells it and asks it.

    Attributes:
        looks: how many looks a change takes.
        fails: why the next environment cannot be made.
        busy: how many calls are throttled from now on; `away`: of Airflow's web server.
        calls: every change that it was asked for: `PUT prod`, ...
        signed: how every call was signed.
    """

    aws: AwsServer
    cluster: Cluster
    databases: Databases
    dump: str
    endpoint: str = ""
    looks: int = 2
    fails: str = ""
    busy: int = 0
    away: int = 0
    made: dict[str, Made] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    signed: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables with which boto finds it."""
        return {**self.aws.variables, "AWS_ENDPOINT_URL_MWAA": self.endpoint}

    def own(self, name: str, told: dict[str, Any], *, full: bool = True) -> Made:
        """An environment that is there already, with its history unless told otherwise."""
        body = json.dumps({k: v for k, v in told.items() if k != "Name"}).encode()
        self._forward("PUT", f"/environments/{name}", body, {})
        url = self.databases.airflow(self.dump) if full else self._fresh()
        self.made[name] = Made(dict(told), url, FERNET_KEY)
        return self.made[name]

    def forget(self, name: str) -> None:
        """Somebody else deletes it."""
        self._forward("DELETE", f"/environments/{name}", b"", {})
        del self.made[name]

    def answer(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        kind, _, name = path.strip("/").partition("/")
        self.signed.append(headers.get("Authorization", ""))
        with self._lock:
            if kind == "world":
                made = self.made[name]
                return {"url": made.url, "fernet_key": made.fernet_key}
            if self.busy > 0:
                self.busy -= 1
                raise RefusedError(429, "ThrottlingException", "Rate exceeded")
            if kind == "restapi":
                return self._rest(name, json.loads(body))
            return self._control(method, name, body, headers)

    # AWS's part.

    def _control(self, method: str, name: str, body: bytes, headers: dict[str, str]) -> Any:
        if method != "GET":
            self.calls.append(f"{method} {name}")
        made = self.made.get(name)
        if method == "GET" and made is not None:
            return self._look(name, made, headers)
        if made is not None and (made.changing or method == "PUT"):
            raise RefusedError(400, "ValidationException", f"{name} is {self._status(made)}")
        told = self._forward(method, f"/environments/{name}", body, headers)
        if method == "PUT":
            self._make(name, json.loads(body))
        elif method == "DELETE" and made is not None:
            made.changing = ["DELETING"] * self.looks
            if not self.looks:
                del self.made[name]
        elif method == "PATCH" and made is not None:
            changes = json.loads(body)
            made.told |= {k: v for k, v in changes.items() if k != "WorkerReplacementStrategy"}
            made.changing = ["UPDATING"] * self.looks
        return told

    def _look(self, name: str, made: Made, headers: dict[str, str]) -> Any:
        status = self._status(made)
        was = made.changing.pop(0) if made.changing else ""
        if was == "DELETING" and not made.changing:
            del self.made[name]
            return {"Environment": {"Name": name, "Status": "DELETING"}}
        told: dict[str, Any] = {}
        if status != "DELETING":
            told = self._forward("GET", f"/environments/{name}", b"", headers)["Environment"]
        update = {"Status": "SUCCESS"}
        if status == "CREATE_FAILED":
            error = {"ErrorCode": "INCORRECT_CONFIGURATION", "ErrorMessage": made.failed}
            update = {"Status": "FAILED", "Error": error}  # type: ignore[dict-item]
        more = {"Name": name, "Status": status, "LastUpdate": update}
        return {"Environment": {**told, **made.told, **more}}

    def _status(self, made: Made) -> str:
        if made.changing:
            return made.changing[0]
        return "CREATE_FAILED" if made.failed else "AVAILABLE"

    def _make(self, name: str, told: dict[str, Any]) -> None:
        failed, self.fails = self.fails, ""
        made = Made(told, "" if failed else self._fresh(), Fernet.generate_key().decode())
        made.failed, made.changing = failed, ["CREATING"] * self.looks
        if not failed:
            options = told.get("AirflowConfigurationOptions", {})
            paused = options.get("core.dags_are_paused_at_creation", "True") == "True"
            query(made.url, f"UPDATE dag SET is_paused = {paused}")
        self.made[name] = made

    def _fresh(self) -> str:
        url = self.databases.airflow(self.dump)
        tables = query(url, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
        gone = ", ".join(f'"{name}"' for (name,) in tables if name not in PARSED)
        psql(
            self.cluster, url, f"TRUNCATE {gone} RESTART IDENTITY", "UPDATE dag SET is_paused=true"
        )
        return url

    def _forward(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(
            self.aws.endpoint + path,
            data=body or None,
            method=method,
            headers={
                "Content-Type": "application/json",
                "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261122/us-east-1/airflow/"
                "aws4_request, SignedHeaders=host, Signature=0",
                **headers,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            told = json.load(error)
            kind = error.headers.get("x-amzn-errortype") or told.get("__type", "Unknown")
            raise RefusedError(error.code, str(kind).rpartition("#")[2], str(told)) from None

    # Airflow's part.

    def _rest(self, name: str, asked: dict[str, Any]) -> Any:
        made = self.made.get(name)
        if made is None:
            raise RefusedError(404, "ResourceNotFoundException", f"no environment {name}")
        path = str(asked["Path"])
        if len(path) > LONGEST_PATH:
            raise RefusedError(400, "ValidationException", "path: longer than 64")
        if self.away > 0 or made.changing[:1] == ["CREATING"]:
            self.away -= 1
            return _refused(503, "the web server is being replaced")
        found = urllib.parse.unquote(path).strip("/")
        try:
            reply = self._airflow(made, asked["Method"], found, asked)
        except RefusedError as error:
            return _refused(error.status, error.words)
        return {"RestApiStatusCode": 200, "RestApiResponse": reply}

    def _airflow(self, made: Made, method: str, path: str, asked: dict[str, Any]) -> Any:
        given, body = asked.get("QueryParameters") or {}, asked.get("Body") or {}
        if unknown := given.keys() - _QUERY[made.dialect]:
            raise RefusedError(400, "", f"no such parameters: {unknown}")
        match method, path.split("/"):
            case "GET", ["version"]:
                return {"version": made.told["AirflowVersion"]}
            case "GET", ["dags"]:
                return _dags(made, given)
            case "PATCH", ["dags"]:
                return _patch(made, f"dag_id ILIKE {_text('%' + given['dag_id_pattern'] + '%')}",
                              body)  # fmt: skip
            case "PATCH", ["dags", dag]:
                reply = _patch(made, f"dag_id = {_text(dag)}", body)
                if not reply["dags"]:
                    raise RefusedError(404, "", f"The DAG with dag_id: {dag} was not found")
                return reply["dags"][0]
            case "POST", ["dags", "~", "dagRuns", "list"]:
                _check(made, body, _RUNS)
                return _runs(made, body)
            case "POST", ["dags", "~", "dagRuns", "~", "taskInstances", "list"]:
                _check(made, body, _TASKS)
                return _tasks(made, body)
        raise RefusedError(404, "", f"no such path: {path}")


def _refused(status: int, words: str) -> dict[str, Any]:
    """In MWAA's name; `_serve` answers it as one of its two errors."""
    return {"RestApiStatusCode": status, "RestApiResponse": {"detail": words}}


def _check(made: Made, body: dict[str, Any], known: set[str]) -> None:
    if unknown := body.keys() - known:
        raise RefusedError(422 if made.dialect == "3" else 400, "", f"no such fields: {unknown}")


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _listed(values: list[str]) -> str:
    return ", ".join(map(_text, values))


def _dags(made: Made, given: dict[str, Any]) -> dict[str, Any]:
    stale, word, usual = (
        ("is_stale", "exclude_stale", "50")
        if made.dialect == "3"
        else ("NOT is_active", "only_active", "100")
    )
    where = "true" if str(given.get(word, "true")) == "false" else f"NOT ({stale})"
    limit, offset = min(int(given.get("limit", usual)), 100), int(given.get("offset", 0))
    rows = query(made.url, f"SELECT dag_id::text, is_paused FROM dag WHERE {where} "
                           f"ORDER BY dag_id LIMIT {limit} OFFSET {offset}")  # fmt: skip
    [(total,)] = query(made.url, f"SELECT count(*) FROM dag WHERE {where}")
    dags = [{"dag_id": dag, "is_paused": paused} for dag, paused in rows]
    return {"dags": dags, "total_entries": total}


def _patch(made: Made, where: str, body: dict[str, Any]) -> dict[str, Any]:
    if body.keys() != {"is_paused"}:
        raise RefusedError(400, "", "only is_paused can be changed")
    rows = query(
        made.url,
        f"UPDATE dag SET is_paused = {body['is_paused']} WHERE {where} "
        f"RETURNING dag_id::text, is_paused",
    )
    dags = [{"dag_id": dag, "is_paused": paused} for dag, paused in rows]
    return {"dags": dags, "total_entries": len(dags)}


def _runs(made: Made, body: dict[str, Any]) -> dict[str, Any]:
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
    columns = ("dag_id", "run_id", "state", "start_date", "end_date")
    page = _page(made, "dag_run", columns, wheres, by, body)
    return {"dag_runs": page.pop("rows"), **page}


def _tasks(made: Made, body: dict[str, Any]) -> dict[str, Any]:
    wheres = [f"state IN ({_listed(body['state'])})"] if body.get("state") else ["true"]
    columns = ("dag_id", "run_id", "task_id", "state", "end_date")
    page = _page(made, "task_instance", columns, wheres, "dag_id, run_id, task_id", body)
    return {"task_instances": page.pop("rows"), **page}


def _page(
    made: Made,
    table: str,
    columns: tuple[str, ...],
    wheres: list[str],
    by: str,
    body: dict[str, Any],
) -> dict[str, Any]:
    where = " AND ".join(wheres)
    limit, offset = int(body.get("page_limit", 100)), int(body.get("page_offset", 0))
    wanted = ", ".join(c if c.endswith("date") else f"{c}::text" for c in columns)
    rows = query(made.url, f"SELECT {wanted} FROM {table} WHERE {where} ORDER BY {by} "
                           f"LIMIT {limit} OFFSET {offset}")  # fmt: skip
    [(total,)] = query(made.url, f"SELECT count(*) FROM {table} WHERE {where}")
    named = [dict(zip(columns, map(_told, row), strict=True)) for row in rows]
    for one in named:
        one["dag_run_id"] = one.pop("run_id")
    return {"rows": named, "total_entries": total}


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


@contextmanager
def running_mwaa(
    aws: AwsServer, cluster: Cluster, databases: Databases, dump: str
) -> Iterator[MwaaServer]:
    """Such a server, on a free port of this machine."""
    mwaa = MwaaServer(aws, cluster, databases, dump)
    with serving(mwaa.answer) as endpoint:
        mwaa.endpoint = endpoint
        yield mwaa


@contextmanager
def serving(answer: Callable[[str, str, bytes, dict[str, str]], Any]) -> Iterator[str]:
    """Answer HTTP as MWAA does, on a free port of this machine: its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept = {"Authorization"} & set(self.headers)
            headers = {name: str(self.headers[name]) for name in kept}
            error, status = "", 200
            try:
                document = answer(self.command, self.path, body, headers)
            except RefusedError as refused:
                status, error, document = refused.status, refused.error, {"message": refused.words}
            if (said := document.get("RestApiStatusCode", 200)) >= 400:
                status = 500 if said >= 500 else 400
                error = f"RestApi{'Server' if said >= 500 else 'Client'}Exception"
            data = json.dumps(document, default=str).encode()
            self.send_response(status)
            if error:
                self.send_header("x-amzn-ErrorType", error)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            """Nothing on the tests' output."""

    for method in ("POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.do_GET)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
