"""An MWAA for tests: ministack's, with what that leaves out, over databases of PostgreSQL.

ministack forgets most of what CreateEnvironment is told, makes and deletes at once, and hands
neither query nor Airflow 2 on to an Airflow. So every call goes to it, which has its say; what it
forgets is kept here, changes take some looks, AWS refuses others while they last, and Airflow's
REST API (`airflow_api.py`) is answered from the environment's own database.

An environment that is made has a database as a new Airflow's: DAGs parsed and paused, nothing else,
and a Fernet key of its own. `GET /world/<name>` tells a job both.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.fernet import Fernet

from airflow_api import AirflowApi, RefusedError, add_dags
from airkeep.database.server import Cluster
from aws_server import AwsServer
from servers import FERNET_KEY, Databases, psql, query
from told_http import Answer, Asked, told_http
from told_mwaa import JSON

LONGEST_PATH = 64
# Where the rows of a parsed DAG file are.
PARSED = ("alembic_version", "dag", "dag_bundle", "dag_code", "dag_version", "serialized_dag")


class Api(Protocol):
    """An Airflow's REST API: a document, or RefusedError."""

    def answer(
        self, method: str, path: str, given: dict[str, Any], body: dict[str, Any]
    ) -> Any: ...


@dataclass
class Made:
    """One environment.

    Attributes:
        told: all that it was made and changed with.
        changing: looks for which it is in a state that passes: `CREATING`, ...
        is_as_before: its last change failed.
        workers: at work on runs that were started.
    """

    told: dict[str, Any]
    url: str
    fernet_key: str
    changing: list[str] = field(default_factory=list)
    failed: str = ""
    is_as_before: bool = False
    workers: list[threading.Thread] = field(default_factory=list)

    @property
    def api(self) -> AirflowApi:
        return AirflowApi(self.url, str(self.told["AirflowVersion"]), self.fernet_key, self.workers)


@dataclass
class MwaaServer:
    """The server, and what a test tells it and asks it.

    Attributes:
        looks: how many looks a change takes.
        fails: why the next environment cannot be made; `fails_to_change`: nor the next be changed.
        busy: how many calls are throttled from now on; `away`: of Airflow's web server.
        calls: every change that it was asked for: `PUT prod`, ...
        signed: how every call was signed.
        parsed: DAGs that a new environment finds besides.
        api_of: what answers for an environment's Airflow.
        secrets: of users, by their access keys: the emulator is asked in their names.
    """

    aws: AwsServer
    cluster: Cluster
    databases: Databases
    dump: str
    endpoint: str = ""
    looks: int = 2
    fails: str = ""
    fails_to_change: bool = False
    busy: int = 0
    away: int = 0
    made: dict[str, Made] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    signed: list[str] = field(default_factory=list)
    parsed: tuple[str, ...] = ()
    api_of: Callable[[Made], Api] = lambda made: made.api
    secrets: dict[str, str] = field(default_factory=lambda: {"test": "test"})
    _workers: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables with which boto finds it."""
        return {**self.aws.variables, "AWS_ENDPOINT_URL_MWAA": self.endpoint}

    def own(self, name: str, told: dict[str, Any], *, full: bool = True) -> Made:
        """An environment that is there already, with its history unless told otherwise."""
        body = json.dumps({k: v for k, v in told.items() if k != "Name"}).encode()
        self._forward("PUT", f"/environments/{name}", body)
        url = self.databases.airflow(self.dump) if full else self._fresh()
        self.made[name] = Made(dict(told), url, FERNET_KEY, workers=self._workers)
        return self.made[name]

    def forget(self, name: str) -> None:
        """Somebody else deletes it."""
        self._forward("DELETE", f"/environments/{name}", b"")
        del self.made[name]

    def wait(self) -> None:
        """Until no worker is at work."""
        for worker in self._workers:
            worker.join(120)

    def answer(self, asked: Asked) -> Answer:
        """Answer HTTP as MWAA does."""
        error, status = "", 200
        try:
            document = self._answer(asked)
        except RefusedError as refused:
            status, error, document = refused.status, refused.error, {"message": refused.words}
        if (said := document.get("RestApiStatusCode", 200)) >= 400:
            status = 400
            error = f"RestApi{'Server' if said >= 500 else 'Client'}Exception"
        headers = {"x-amzn-ErrorType": error} if error else {}
        return Answer(status, json.dumps(document, default=str).encode(), headers | JSON)

    def _answer(self, asked: Asked) -> Any:
        kind, _, name = asked.path.strip("/").partition("/")
        signed = str(asked.headers.get("Authorization", ""))
        self.signed.append(signed)
        with self._lock:
            if kind == "world":
                made = self.made[name]
                return {"url": made.url, "fernet_key": made.fernet_key}
            if self.busy > 0:
                self.busy -= 1
                raise RefusedError(429, "ThrottlingException", "Rate exceeded")
            if kind == "restapi":
                return self._rest(name, json.loads(asked.body))
            return self._control(asked.method, name, asked.body, signed)

    # AWS's part.

    def _control(self, method: str, name: str, body: bytes, signed: str) -> Any:
        if method != "GET":
            self.calls.append(f"{method} {name}")
        made = self.made.get(name)
        if method == "GET" and made is not None:
            return self._look(name, made, signed)
        if made is not None and (made.changing or method == "PUT"):
            raise RefusedError(400, "ValidationException", f"{name} is {self._status(made)}")
        told = self._forward(method, f"/environments/{name}".rstrip("/"), body, signed)
        if method == "PUT":
            self._make(name, json.loads(body))
        elif method == "DELETE" and made is not None:
            made.changing = ["DELETING"] * self.looks
            if not self.looks:
                del self.made[name]
        elif method == "PATCH" and made is not None:
            changes = json.loads(body)
            made.is_as_before, self.fails_to_change = self.fails_to_change, False
            if not made.is_as_before:
                made.told |= {k: v for k, v in changes.items() if k != "WorkerReplacementStrategy"}
            made.changing = ["UPDATING"] * self.looks
        return told

    def _look(self, name: str, made: Made, signed: str) -> Any:
        status = self._status(made)
        was = made.changing.pop(0) if made.changing else ""
        if was == "DELETING" and not made.changing:
            del self.made[name]
            return {"Environment": {"Name": name, "Status": "DELETING"}}
        told: dict[str, Any] = {}
        if status != "DELETING":
            told = self._forward("GET", f"/environments/{name}", b"", signed)["Environment"]
        update = {**made.told.get("LastUpdate", {}), "Status": "SUCCESS"}
        if status == "CREATE_FAILED":
            error = {"ErrorCode": "INCORRECT_CONFIGURATION", "ErrorMessage": made.failed}
            update = {"Status": "FAILED", "Error": error}
        more = {"Name": name, "Status": status, "LastUpdate": update}
        return {"Environment": {**told, **made.told, **more}}

    def _status(self, made: Made) -> str:
        if made.changing:
            return made.changing[0]
        if made.failed:
            return "CREATE_FAILED"
        return "UPDATE_FAILED" if made.is_as_before else "AVAILABLE"

    def _make(self, name: str, told: dict[str, Any]) -> None:
        failed, self.fails = self.fails, ""
        url, key = "" if failed else self._fresh(), Fernet.generate_key().decode()
        made = Made(told, url, key, workers=self._workers)
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
        add_dags(url, *self.parsed, paused=True)
        return url

    def _forward(self, method: str, path: str, body: bytes, signed: str = "") -> Any:
        found = re.search(r"Credential=([^/]+)/\d+/([^/]+)/", signed)
        key, region = found.groups() if found else ("test", "us-east-1")
        caller = SigV4Auth(Credentials(key, self.secrets.get(key, key)), "airflow", region)
        content = {"Content-Type": "application/json"}
        caller.add_auth(asked := AWSRequest(method, self.aws.endpoint + path, content, body))
        request = urllib.request.Request(
            asked.url, data=body or None, method=method, headers=dict(asked.headers)
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
            self.away = max(0, self.away - 1)
            return _refused(503, "the web server is being replaced")
        given, body = asked.get("QueryParameters") or {}, asked.get("Body") or {}
        api, method = self.api_of(made), str(asked["Method"])
        try:
            reply = api.answer(method, urllib.parse.unquote(path), given, body)
        except RefusedError as error:
            return _refused(error.status, error.words)
        return {"RestApiStatusCode": 200, "RestApiResponse": reply}


def _refused(status: int, words: str) -> dict[str, Any]:
    """In MWAA's name; `answer` answers it as one of its two errors."""
    return {"RestApiStatusCode": status, "RestApiResponse": {"detail": words}}


@contextmanager
def running_mwaa(
    aws: AwsServer, cluster: Cluster, databases: Databases, dump: str
) -> Iterator[MwaaServer]:
    """Such a server, on a free port of this machine."""
    mwaa = MwaaServer(aws, cluster, databases, dump)
    with told_http(mwaa.answer) as mwaa.endpoint:
        yield mwaa
        mwaa.wait()
