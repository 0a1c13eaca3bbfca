"""What a DAG's serialized form says: its tasks' order, and when it is to run.

Airflow 1.10 to 3.x write the same JSON with other names (`_downstream_task_ids`, a task inside
`__var`), plain or compressed by zlib. What cannot be read gives no rows, nor does what unpacks to
more than 256 MB: a lake outlives bugs. Nothing that a DAG's author wrote into a task (commands,
arguments) leaves this module.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

Row = Mapping[str, Any]

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_KINDS = {
    "NullTimetable": "none",
    "OnceTimetable": "once",
    "ContinuousTimetable": "continuous",
    "DatasetTriggeredTimetable": "asset",
    "AssetTriggeredTimetable": "asset",
    "PartitionedAssetTimetable": "asset",
}
MOST_BYTES = 256 << 20  # of a DAG unpacked: zlib makes a gigabyte of one megabyte
Said = tuple[str, str | None, str | None, float | None]
"""A schedule's kind, its cron expressions (with " | " between them), time zone and interval."""


def task_edges(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    """Each task with each task that waits directly for it, or once with NULL when none does."""
    for row in rows:
        for task in _tasks(_dag(row)):
            for downstream in _downstream(task) or (None,):
                yield (*_version(row), task["task_id"], downstream)


def schedules(rows: Iterable[Row], dags: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    """The schedule of each version of a DAG; of a DAG never serialized, what its own row says.

    That row knows neither time zone nor catchup: UTC and none are taken.
    """
    known = set()
    for row in rows:
        if dag := _dag(row):
            known.add((row["environment"], row["dag_id"]))
            catchup = dag.get("catchup", "timetable" not in dag or "_dag_id" in dag)
            yield (*_version(row), *_schedule(dag), bool(catchup), _instant(dag.get("end_date")))
    for row in dags:
        if (row["environment"], row["dag_id"]) not in known:
            said = _interval(_loads(row["schedule_interval"]), "UTC")
            yield (row["environment"], row["dag_id"], None, None, None, *said, False, None)


def task_slas(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    """Each task of each version with its SLA in seconds, NULL where it has none."""
    for row in rows:
        for task in _tasks(_dag(row)):
            sla = task.get("sla")
            sla = _delta(sla) if isinstance(sla, dict) else sla
            known = float(sla) if isinstance(sla, (int, float)) else None
            yield (*_version(row), task["task_id"], known)


def _version(row: Row) -> tuple[Any, ...]:
    since = row["created_at"] or row["last_updated"]
    return (row["environment"], row["dag_id"], row["dag_version_id"], row["dag_hash"], since)


def _dag(row: Row) -> dict[str, Any]:
    """The DAG inside of a row of serialized_dag; empty when it cannot be read."""
    text = row["data"]
    if row["data_compressed"]:
        text = _unpacked(row["data_compressed"])
    found = _loads(text)
    dag = found.get("dag") if isinstance(found, dict) else None
    return dag if isinstance(dag, dict) else {}


def _unpacked(packed: bytes) -> bytes | None:
    """What zlib packed; None when it is damaged, cut off, or too large to be a DAG."""
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(packed, MOST_BYTES)
    except zlib.error:
        return None
    return found if unpacker.eof else None


def _loads(text: str | bytes | None) -> Any:
    """JSON's value; a text that is no JSON stands for itself, as Airflow 1.10 wrote schedules."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text if isinstance(text, str) else None


def _tasks(dag: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for task in dag.get("tasks") or ():
        own = task.get("__var", task) if isinstance(task, dict) else {}
        if isinstance(own, dict) and isinstance(own.get("task_id"), str):
            yield own


def _downstream(task: dict[str, Any]) -> list[str]:
    found = task.get("downstream_task_ids") or task.get("_downstream_task_ids") or []
    if isinstance(found, dict):  # a set, as JSON has none
        found = found.get("__var") or []
    return sorted({one for one in found if isinstance(one, str)})


def _schedule(dag: dict[str, Any]) -> Said:
    zone = dag.get("timezone")
    zone = zone if isinstance(zone, str) else "UTC"
    if timetable := dag.get("timetable"):
        return _timetable(timetable, zone)
    return _interval(dag.get("schedule_interval"), zone)


def _timetable(encoded: Any, zone: str) -> Said:
    if not isinstance(encoded, dict):
        return "other", None, None, None
    name = str(encoded.get("__type", "")).rpartition(".")[2]
    values = encoded.get("__var")
    values = values if isinstance(values, dict) else {}
    if name in _KINDS:
        return _KINDS[name], None, None, None
    if name in ("AssetOrTimeSchedule", "DatasetOrTimeSchedule"):
        return _timetable(values.get("timetable"), zone)
    if name == "MultipleCronTriggerTimetable":
        several = values.get("timetables") or []
        said = [_timetable(one, zone) for one in several]
        expressions = " | ".join(sorted(one[1] for one in said if one[1]))
        return ("cron", expressions, said[0][2], None) if expressions else _OTHER
    if name in ("CronDataIntervalTimetable", "CronTriggerTimetable", "CronPartitionTimetable"):
        own = values.get("timezone")
        return _interval(values.get("expression"), own if isinstance(own, str) else zone)
    if name in ("DeltaDataIntervalTimetable", "DeltaTriggerTimetable"):
        return _interval(values.get("delta"), zone)
    return _OTHER


_OTHER: Said = ("other", None, None, None)


def _interval(said: Any, zone: str) -> Said:
    """What was once called schedule_interval: cron, a preset, a time, nothing."""
    if isinstance(said, dict):
        said = _delta(said)
    if isinstance(said, (int, float)) and said > 0:
        return "delta", None, None, float(said)
    if said is None or said in ("None", "null"):
        return "none", None, None, None
    if said in ("@once", "@continuous"):
        return said[1:], None, None, None
    if isinstance(said, str):
        expression = PRESETS.get(said, said)
        if len(expression.split()) == 5:
            return "cron", expression, zone, None
    return _OTHER


def _delta(said: dict[str, Any]) -> Any:
    """Seconds of a timedelta as serialized_dag or the table `dag` writes it; else no number."""
    if said.get("__type") == "timedelta":
        return said.get("__var")
    if said.get("type") == "timedelta" and isinstance(said.get("attrs"), dict):
        with suppress(TypeError, OverflowError):
            return timedelta(**said["attrs"]).total_seconds()
    return said


def _instant(epoch: Any) -> datetime | None:
    if isinstance(epoch, dict):
        epoch = epoch.get("__var")
    if not isinstance(epoch, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):  # no year that a calendar has
        return None
