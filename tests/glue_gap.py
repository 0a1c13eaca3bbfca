"""What ministack's Glue lacks, put before it.

UpdateConnection, as a delete and a create. Jobs of Spark, of which it runs nothing: the script runs
as plain Python, with its arguments where Glue has them, in `sys.argv`. A job's definition, which it
keeps in part only: here it is the last one whole, as UpdateJob of AWS replaces all of it.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from told_glue import JSON
from told_http import Answer, Asked, told_http

_TARGET = "X-Amz-Target"
_PASSED = ("Content-Type", "Authorization", "X-Amz-Date", "X-Amz-Security-Token")
# The emulator hands arguments over as variables, so these two are arguments too.
_PYTHONPATH, _ARGUMENTS = "--PYTHONPATH", "--GLUE_GAP_ARGUMENTS"
_SITE = """
import json, os, sys
given = json.loads(os.environ.pop("GLUE_GAP_ARGUMENTS", "{}"))
sys.argv += [word for item in given.items() for word in item]
"""

Document = dict[str, Any]


@contextlib.contextmanager
def whole_glue(endpoint: str) -> Iterator[str]:
    """The URL of such a Glue; what it does not know better goes on to `endpoint`."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sitecustomize.py").write_text(_SITE)
        with told_http(_Gap(endpoint, folder).answer) as url:
            yield url


class _Gap:
    def __init__(self, endpoint: str, folder: str) -> None:
        self._endpoint, self._folder = endpoint, folder
        self._jobs: dict[str, Document] = {}
        self._own = {
            "UpdateConnection": self._update_connection,
            "CreateJob": self._create_job,
            "UpdateJob": self._update_job,
            "GetJob": self._get_job,
            "StartJobRun": self._start_job_run,
        }

    def answer(self, asked: Asked) -> Answer:
        name = asked.headers[_TARGET].removeprefix("AWSGlue.")
        given: Document = json.loads(asked.body)
        own = self._own.get(name)
        return own(asked, given) if own else self._ask(asked, name, given)

    def _ask(self, asked: Asked, name: str, given: Document) -> Answer:
        headers = {one: asked.headers[one] for one in _PASSED if asked.headers[one]}
        headers[_TARGET] = f"AWSGlue.{name}"
        request = urllib.request.Request(self._endpoint, json.dumps(given).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return Answer(reply.status, reply.read(), JSON)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), JSON)

    def _update_connection(self, asked: Asked, given: Document) -> Answer:
        gone = self._ask(asked, "DeleteConnection", {"ConnectionName": given["Name"]})
        if gone.status != 200:
            return gone
        return self._ask(asked, "CreateConnection", {"ConnectionInput": given["ConnectionInput"]})

    def _create_job(self, asked: Asked, given: Document) -> Answer:
        answer = self._ask(asked, "CreateJob", given | _as_shell(given))
        if answer.status == 200:
            self._jobs[given["Name"]] = given
        return answer

    def _update_job(self, asked: Asked, given: Document) -> Answer:
        update = given["JobUpdate"]
        if "WorkerType" in update and update.keys() & {"MaxCapacity", "AllocatedCapacity"}:
            told = {"__type": "InvalidInputException", "Message": "both capacity and workers"}
            return Answer(400, json.dumps(told).encode(), JSON)
        answer = self._ask(asked, "UpdateJob", {**given, "JobUpdate": update | _as_shell(update)})
        if answer.status == 200:
            self._jobs[given["JobName"]] = {"Name": given["JobName"], **update}
        return answer

    def _get_job(self, asked: Asked, given: Document) -> Answer:
        answer = self._ask(asked, "GetJob", given)
        if answer.status != 200:
            return answer
        told = json.loads(answer.body)["Job"]
        times = {key: told[key] for key in ("CreatedOn", "LastModifiedOn")}
        kept = self._jobs[given["JobName"]]
        size = float(kept.get("NumberOfWorkers", 0))
        job = {**kept, **times, "MaxCapacity": size, "AllocatedCapacity": int(size)}
        return Answer(200, json.dumps({"Job": job}).encode(), answer.headers)

    def _start_job_run(self, asked: Asked, given: Document) -> Answer:
        arguments = given.get("Arguments", {})
        defaults = self._jobs.get(given["JobName"], {}).get("DefaultArguments", {})
        variables = {
            _PYTHONPATH: self._folder,
            _ARGUMENTS: json.dumps({**defaults, **arguments}),
        }
        return self._ask(asked, "StartJobRun", {**given, "Arguments": {**arguments, **variables}})


def _as_shell(job: Document) -> Document:
    return {"Command": {**job["Command"], "Name": "pythonshell"}}
