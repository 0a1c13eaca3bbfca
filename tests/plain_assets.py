"""The marts of assets and of what fills the database, in plain Python; see `plain.py`."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from counting import Row, Tables, groups, nearest_rank


def asset_freshness(tables: Tables) -> list[Row]:
    happened = [e for e in tables["asset_events"] if e["asset"] and e["happened_at"]]
    found = []
    for asset in tables["assets"]:
        if asset["gone_at"] or not asset["is_active"]:
            continue
        own = [e for e in happened if all(e[n] == asset[n] for n in ("environment", "asset"))]
        updated: dict[Any, datetime] = {}
        for event in own:
            run = (event["source_dag_id"], event["source_run_id"])
            itself = (event["kind"], event["event_id"], event["happened_at"])
            one = run if event["source_run_id"] else itself
            updated[one] = max(updated.get(one, event["happened_at"]), event["happened_at"])
        times = sorted(updated.values())
        gaps = [(b - a) / timedelta(seconds=1) for a, b in pairwise(times)]
        now = max(
            *(e["happened_at"] for e in happened if e["environment"] == asset["environment"]),
            *(
                r["started_at"]
                for r in tables["runs"]
                if r["environment"] == asset["environment"] and r["started_at"]
            ),
            datetime.min,
            datetime.min,
        )
        age = (now - times[-1]) / timedelta(seconds=1) if times else None
        usual = nearest_rank(gaps, 0.5) if gaps else None
        longest = nearest_rank(gaps, 0.95) if gaps else None
        stale = None
        if len(gaps) >= 3 and age is not None and usual is not None and longest is not None:
            stale = age > 2 * usual and age > longest
        found.append(
            {"environment": asset["environment"], "asset": asset["asset"], "updates": len(times),
             "last_event_at": times[-1] if times else None, "usual_gap_s": usual,
             "long_gap_s": longest, "age_s": age, "is_stale": stale}
        )  # fmt: skip
    return found


def _named(rows: list[Row], asset: Row) -> list[Row]:
    return [r for r in rows if all(r[n] == asset[n] for n in ("environment", "asset"))]


def asset_fan_out(tables: Tables) -> list[Row]:
    found = []
    for asset in tables["assets"]:
        if asset["gone_at"]:
            continue
        uses = [r for r in _named(list(tables["asset_references"]), asset) if not r["gone_at"]]
        events = _named(list(tables["asset_events"]), asset)
        runs = {(r["dag_id"], r["run_id"]) for r in _named(list(tables["asset_runs"]), asset)}
        writers = {(r["dag_id"], r["task_id"]) for r in uses if r["role"] == "outlet"}
        writers |= {(e["source_dag_id"], e["source_task_id"]) for e in events if e["source_dag_id"]}
        found.append(
            {"environment": asset["environment"], "asset": asset["asset"],
             "producers": len(writers),
             "consumers": len({r["dag_id"] for r in uses if r["role"] != "outlet"}),
             "events": len(events), "triggered_runs": len(runs),
             "runs_per_event": len(runs) / len(events) if events else None}
        )  # fmt: skip
    return found


def unused_assets(tables: Tables) -> list[Row]:
    alive = {
        (d["environment"], d["dag_id"]): d
        for d in tables["dags"]
        if d["is_active"] and not d["gone_at"]
    }
    found = []
    for asset in tables["assets"]:
        if asset["gone_at"]:
            continue
        uses = [
            r
            for r in _named(list(tables["asset_references"]), asset)
            if not r["gone_at"] and (r["environment"], r["dag_id"]) in alive
        ]
        readers = [r for r in uses if r["role"] != "outlet"]
        events = _named(list(tables["asset_events"]), asset)
        why = None
        if not uses:
            why = "no DAG names it"
        elif not readers:
            why = "nobody consumes it"
        elif all(alive[r["environment"], r["dag_id"]]["is_paused"] for r in readers):
            why = "only paused DAGs consume it"
        elif not events:
            why = "nobody produces it" if len(readers) == len(uses) else "never updated"
        if why is not None:
            last = max((e["happened_at"] for e in events if e["happened_at"]), default=None)
            found.append(
                {"environment": asset["environment"], "asset": asset["asset"], "why": why,
                 "last_event_at": last}
            )  # fmt: skip
    return found


def import_errors_by_day(tables: Tables) -> list[Row]:
    errors = [{**e, "day": e["raised_at"].date()} for e in tables["import_errors"]]
    found = []
    for (environment, bundle, file), own in groups(errors, "environment", "bundle", "file").items():
        for (day,), said in groups(own, "day").items():
            times = sorted(e["raised_at"] for e in said)
            found.append(
                {"environment": environment, "day": day, "bundle": bundle, "file": file,
                 "errors": len(said), "first_raised_at": times[0], "last_raised_at": times[-1],
                 "first_seen_at": min(e["raised_at"] for e in own),
                 "is_open": any(e["gone_at"] is None for e in own)}
            )  # fmt: skip
    return found


def xcom_hogs(tables: Tables) -> list[Row]:
    names = ("environment", "dag_id", "task_id", "xcom_key")
    found = []
    for key, own in groups(tables["xcoms"], *names).items():
        everything = sum(x["bytes"] for x in tables["xcoms"] if x["environment"] == key[0])
        size = sum(x["bytes"] for x in own)
        found.append(
            {**dict(zip(names, key, strict=True)), "xcoms": len(own), "bytes": size,
             "largest_bytes": max(x["bytes"] for x in own), "mean_bytes": size / len(own),
             "share": size / everything if everything else None,
             "last_written_at": max((x["written_at"] for x in own if x["written_at"]),
                                    default=None)}
        )  # fmt: skip
    return found


def table_growth(tables: Tables) -> list[Row]:
    found = []
    for (environment,), sizes in groups(tables["table_sizes"], "environment").items():
        complete = [
            s["taken_at"]
            for s in tables["snapshots"]
            if s["environment"] == environment and s["is_complete"]
        ]
        for (name,), own in groups(sizes, "table_name").items():
            own.sort(key=lambda s: s["taken_at"])
            if complete and own[-1]["taken_at"] < max(complete):
                continue
            whole = [s["bytes"] for s in own if s["bytes"] is not None]
            days = [(s["taken_at"] - own[0]["taken_at"]) / timedelta(days=1) for s in own]
            slope = None
            if days[-1] > 0:
                slope = statistics.linear_regression(days, [s["rows"] for s in own]).slope
            rows = own[-1]["rows"]
            found.append(
                {"environment": environment, "table_name": name, "rows": rows,
                 "bytes": whole[-1] if whole else None, "snapshots": len(own),
                 "first_snapshot_at": own[0]["taken_at"], "last_snapshot_at": own[-1]["taken_at"],
                 "rows_per_day": slope,
                 "rows_in_30d": None if slope is None else max(0.0, rows + 30 * slope)}
            )  # fmt: skip
    return found


def config_changes(tables: Tables) -> list[Row]:
    seen = [{**c, "kind": "connection", "config_key": c["conn_id"]} for c in tables["connections"]]
    seen += [
        {**v, "kind": "variable", "config_key": v["variable_key"]} for v in tables["variables"]
    ]
    names = ("environment", "kind", "config_key")
    found = []
    for key, own in groups(seen, *names).items():
        moments = {v["changed_at"] for v in own} | {v["gone_at"] for v in own if v["gone_at"]}
        found.append(
            {**dict(zip(names, key, strict=True)), "changes": len(moments) - 1,
             "first_seen_at": min(moments),
             "last_changed_at": max(moments) if len(moments) > 1 else None,
             "is_there": any(v["gone_at"] is None for v in own)}
        )  # fmt: skip
    return found


ASSETS: dict[str, Callable[[Tables], list[Row]]] = {
    function.__name__: function
    for function in (
        asset_freshness,
        asset_fan_out,
        unused_assets,
        import_errors_by_day,
        xcom_hogs,
        table_growth,
        config_changes,
    )
}
