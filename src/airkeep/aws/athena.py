"""Statements run in Athena: started, waited for within bounds, their rows read page by page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from airkeep.aws.session import client, explained
from airkeep.errors import AwsError, AwsUnavailableError, ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0
_PAGE = 1_000  # the most that Athena gives at once
_RUNNING = ("QUEUED", "RUNNING")
_LONGEST = 600


@dataclass(frozen=True)
class Place:
    """Where statements run.

    Attributes:
        database: of the Glue catalog.
        workgroup: None for `primary`.
        output: `s3://bucket/prefix/` for results; None where the workgroup has one.
    """

    database: str
    workgroup: str | None = None
    output: str | None = None


class AthenaAnswer:
    """The rows that a statement found; they are read once.

    Attributes:
        columns: their names.
    """

    def __init__(self, athena: Any, execution: str) -> None:
        self._athena, self._execution = athena, execution
        self._page = self._load(None)
        info = self._page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
        self.columns = tuple(str(column["Name"]) for column in info)
        self._kinds = [str(column["Type"]) for column in info]
        self._rows = self._read()

    def rows(self, most: int | None = None) -> Iterator[tuple[Any, ...]]:
        """The next rows: times as naive UTC `datetime`, bytes as `bytes`."""
        for number, row in enumerate(self._rows, start=1):
            yield row
            if number == most:
                return

    def batches(self) -> pa.RecordBatchReader:
        import pyarrow as pa

        schema = pa.schema(
            [(n, _arrow_type(k)) for n, k in zip(self.columns, self._kinds, strict=True)]
        )

        def read() -> Iterator[pa.RecordBatch]:
            while rows := list(self.rows(_PAGE)):
                arrays = zip(*rows, strict=True)
                yield pa.record_batch(
                    [pa.array(a, f.type) for a, f in zip(arrays, schema, strict=True)], schema
                )

        return pa.RecordBatchReader.from_batches(schema, read())

    def _read(self) -> Iterator[tuple[Any, ...]]:
        rows = self._page["ResultSet"]["Rows"][1:]  # the first row of a SELECT is its names
        while True:
            for row in rows:
                cells = (cell.get("VarCharValue") for cell in row["Data"])
                yield tuple(
                    None if text is None else _VALUE.get(kind, str)(text)
                    for text, kind in zip(cells, self._kinds, strict=True)
                )
            if (token := self._page.get("NextToken")) is None:
                return
            self._page = self._load(token)
            rows = self._page["ResultSet"]["Rows"]

    def _load(self, token: str | None) -> dict[str, Any]:
        more = {} if token is None else {"NextToken": token}
        with explained("reading what Athena found"):
            page: dict[str, Any] = self._athena.get_query_results(
                QueryExecutionId=self._execution, MaxResults=_PAGE, **more
            )
        return page


def run(
    statement: str,
    place: Place,
    *,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> AthenaAnswer:
    """Run one SELECT, and wait for its end.

    A statement that is given up, or whose process is stopped, is stopped in Athena too: it costs.

    Args:
        timeout_s: how long it may take; 0 for as long as Athena itself lets it.

    Raises:
        AwsError: AWS refused, the statement failed, or it took too long.
    """
    athena = client("athena")
    asked: dict[str, Any] = {
        "QueryString": statement,
        "QueryExecutionContext": {"Database": place.database, "Catalog": "AwsDataCatalog"},
    }
    if place.workgroup is not None:
        asked["WorkGroup"] = place.workgroup
    if place.output is not None:
        asked["ResultConfiguration"] = {"OutputLocation": place.output}
    with explained("asking Athena"):
        execution = str(athena.start_query_execution(**asked)["QueryExecutionId"])
    try:
        failed = _wait(athena, execution, timeout_s, clock, sleep)
    except BaseException:
        with suppress(AwsError), explained("stopping a question in Athena"):
            athena.stop_query_execution(QueryExecutionId=execution)
        raise
    if failed is not None:
        raise ConfigError(f"the question failed in Athena: {failed}")
    return AthenaAnswer(athena, execution)


def _wait(
    athena: Any,
    execution: str,
    timeout_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> str | None:
    """Why it failed; None when it did not."""
    began, wait_s = clock(), _FIRST_WAIT_S
    while True:
        with explained("waiting for Athena"):
            found = athena.get_query_execution(QueryExecutionId=execution)
        status = found["QueryExecution"]["Status"]
        state = str(status["State"])
        if state == "SUCCEEDED":
            return None
        if state not in _RUNNING:
            why = " ".join(str(status.get("StateChangeReason", "")).split())
            return f"{state.lower()}: {why[:_LONGEST]}"
        if timeout_s and clock() - began > timeout_s:
            raise AwsUnavailableError(
                f"Athena did not answer within {timeout_s:g} s, the question was stopped there: "
                f"ask for less, or give it longer by --statement-timeout"
            )
        sleep(wait_s)
        wait_s = min(wait_s * 2, _LONGEST_WAIT_S)


_VALUE: dict[str, Callable[[str], Any]] = {
    "tinyint": int, "smallint": int, "integer": int, "int": int, "bigint": int,
    "float": float, "real": float, "double": float,
    "boolean": lambda text: text == "true",
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "varbinary": bytes.fromhex,  # two digits a byte, blanks between
}  # fmt: skip
_ARROW = {
    "tinyint": "int64", "smallint": "int64", "integer": "int64", "int": "int64", "bigint": "int64",
    "float": "float64", "real": "float64", "double": "float64", "boolean": "bool_",
    "date": "date32", "varbinary": "binary",
}  # fmt: skip


def _arrow_type(kind: str) -> pa.DataType:
    import pyarrow as pa

    if kind == "timestamp":
        return pa.timestamp("us")
    return getattr(pa, _ARROW.get(kind, "string"))()
