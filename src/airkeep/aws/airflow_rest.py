"""Airflow's own REST API, asked through MWAA: no way through the network to it is needed.

Paths are those below `/api/v1` (Airflow 2) or `/api/v2` (Airflow 3): `/dags/prod_load`. Replies are
Airflow's own documents, and what they mean is for those who ask. An answer of 400 and more is an
`AirflowRestError` with its status, whether MWAA raises it or hands it over; so is a list that is
not there, lest a page of somebody else's be read as "nothing". A web server that is busy, or not
there yet, is AWS's not answering, which may be tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from airkeep.aws import mwaa
from airkeep.aws.session import HERE, AwsPlace, client, explained
from airkeep.errors import AirflowRestError, AwsUnavailableError, NoEnvironmentError

PAGE = 100  # what every Airflow gives at once, whatever its maximum_page_limit
_BUSY = (429, 502, 503, 504)  # of a web server that is starting, or has too much to do
_READS = 5  # of a list that changes

Method = Literal["GET", "POST", "PATCH"]


class AirflowRest:
    """The API of one environment."""

    def __init__(self, environment: str, place: AwsPlace = HERE) -> None:
        self.environment, self._place = environment, place
        self._mwaa = client("mwaa", place)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Ask for one document.

        Raises:
            AirflowRestError: Airflow refused; `status` says how.
            AwsUnavailableError: it has too much to do, or is just replaced.
            NoEnvironmentError: there is none of that name.
            AwsError: AWS refused or failed.
        """
        return self._call("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """As `get`, with a document to add."""
        return self._call("POST", path, body=body)

    def patch(self, path: str, body: Mapping[str, Any], **query: Any) -> dict[str, Any]:
        """As `get`, with what is to be changed."""
        return self._call("PATCH", path, body=body, query=query)

    def list(self, path: str, key: str, by: str, **query: Any) -> Sequence[dict[str, Any]]:
        """Every entry of a list, page by page.

        Each page begins with the last entry of the one before. Where that is another one, rows
        came or went meanwhile, and the page may have passed over one: all is read again.

        Args:
            key: the list's name in the document, such as `dags`.
            by: what orders it, and is of one entry alone.

        Raises:
            AirflowRestError: also where it changes all the time.
        """
        for _ in range(_READS):
            found = self._read(path, key, by, query)
            if found is not None:
                return found
        doing = f"asking Airflow in {self.environment} for {path}"
        raise AirflowRestError(doing, 200, f"and its {key} changed while they were read: try again")

    def _read(
        self, path: str, key: str, by: str, query: Mapping[str, Any]
    ) -> Sequence[dict[str, Any]] | None:
        found: list[dict[str, Any]] = []
        while True:
            at = max(len(found) - 1, 0)
            page = self.get(path, limit=PAGE, offset=at, order_by=by, **query)
            entries = self.entries(page, key, path)
            if found and [one[by] for one in entries[:1]] != [found[-1][by]]:
                return None
            new = entries[1:] if found else entries
            found += new
            if not new or len(found) >= int(page.get("total_entries", len(found) + 1)):
                return found

    def entries(self, page: Mapping[str, Any], key: str, path: str) -> Sequence[dict[str, Any]]:
        """The list in a reply.

        Raises:
            AirflowRestError: there is none.
        """
        found = page.get(key)
        if not isinstance(found, list):
            doing = f"asking Airflow in {self.environment} for {path}"
            raise AirflowRestError(doing, 200, f"with no {key} in what it said")
        return found

    def _call(
        self,
        method: Method,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        asked: dict[str, Any] = {"Name": self.environment, "Path": path, "Method": method}
        if body is not None:
            asked["Body"] = dict(body)
        if query:
            asked["QueryParameters"] = dict(query)
        doing = f"asking Airflow in {self.environment} to {method} {path}"
        refused = (
            self._mwaa.exceptions.RestApiClientException,
            self._mwaa.exceptions.RestApiServerException,
        )
        with explained(doing):
            try:
                told = self._mwaa.invoke_rest_api(**asked)
            except refused as error:
                told = {"RestApiStatusCode": 500, **error.response}
            except self._mwaa.exceptions.ResourceNotFoundException:
                raise NoEnvironmentError(self.environment, mwaa.names(self._place)) from None
        status, reply = int(told.get("RestApiStatusCode", 0)), told.get("RestApiResponse") or {}
        if status in _BUSY:
            raise AwsUnavailableError(str(AirflowRestError(doing, status, _words(reply))))
        if status >= 400:
            raise AirflowRestError(doing, status, _words(reply))
        if not isinstance(reply, Mapping):
            raise AirflowRestError(doing, status, f"with a {type(reply).__name__}, no document")
        return dict(reply)


def _words(reply: Any) -> str:
    """What Airflow says in its refusal: `detail` or `title`, a text or a list."""
    if not isinstance(reply, Mapping):
        return ""
    for key in ("detail", "title", "message"):
        told = reply.get(key)
        if isinstance(told, list) and told and isinstance(told[0], Mapping):
            told = f"{told[0].get('msg', '')} {told[0].get('loc', '')}"
        if told:
            return " ".join(str(told).split())[:300]
    return ""
