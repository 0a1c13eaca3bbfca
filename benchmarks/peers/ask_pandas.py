"""The five questions by pandas over the lake's Parquet files, as a notebook asks them.

FILES is a JSON document: per table and environment the files of its chain, oldest first, and those
with deleted keys. Only the columns that are needed are read.
"""

import json
import sys
from pathlib import Path

import pandas as pd

out, files = sys.argv[1:]
LAYERS = json.loads(Path(files).read_text())


def table(name: str, columns: list[str], key: str) -> pd.DataFrame:
    """The newest state: later files win, deleted keys go."""
    found = []
    for environment, layers in LAYERS[name].items():
        parts = []
        for number, layer in enumerate(layers):
            for path in layer["files"]:
                part = pd.read_parquet(path, columns=list(dict.fromkeys([*columns, key])),
                                       partitioning=None)  # fmt: skip
                parts.append(part.assign(layer=number))
        rows = pd.concat(parts).sort_values("layer", kind="stable")
        rows = rows.drop_duplicates(key, keep="last")
        for number, layer in enumerate(layers):
            for path in layer["deleted"]:
                gone = pd.read_parquet(path, partitioning=None).assign(deleted=number)
                rows = rows.merge(gone, how="left", on=key)
                rows = rows[~(rows.deleted > rows.layer)].drop(columns="deleted")
        for text in ("dag_id", "task_id", "run_id", "pool", "state"):
            if text in rows:
                rows[text] = rows[text].astype("category")
        found.append(rows.drop(columns="layer").assign(environment=environment))
    return pd.concat(found, ignore_index=True)


def day(times: pd.Series) -> pd.Series:
    return times.dt.tz_localize(None).dt.floor("D")


def save(frame: pd.DataFrame, name: str) -> None:
    frame.to_parquet(f"{out}/{name}.parquet")


def seconds(later: pd.Series, earlier: pd.Series) -> pd.Series:
    return (later - earlier).dt.total_seconds()


runs = table("dag_run", ["dag_id", "state", "run_after"], "id")
runs = runs[runs.state.isin(["success", "failed"])]
runs = runs.assign(day=day(runs.run_after), good=(runs.state == "success").astype(int))
days = runs.groupby(["environment", "dag_id", "day"], observed=True).good.agg(["size", "sum"])
last = days.groupby(level=[0, 1], observed=True).rolling(7, min_periods=1).sum()
save(days.assign(rate=days["sum"] / days["size"], rate_7d=(last["sum"] / last["size"]).to_numpy()),
     "success_by_dag_day")  # fmt: skip
del runs

columns = ["dag_id", "task_id", "state", "start_date", "end_date", "queued_dttm", "pool",
           "pool_slots"]  # fmt: skip
tasks = table("task_instance", columns, "id")
tasks["duration_s"] = seconds(tasks.end_date, tasks.start_date)
good = tasks[(tasks.state == "success") & (tasks.duration_s >= 0)]
start = good.start_date.dt.tz_localize(None)
week = start.dt.floor("D") - pd.to_timedelta(start.dt.weekday, unit="D")
weeks = good.groupby(["environment", "dag_id", "task_id", week.rename("week")], observed=True)
shares = weeks.duration_s.quantile([0.5, 0.95, 0.99], interpolation="higher")
save(shares.unstack().assign(tasks=weeks.size(), longest_s=weeks.duration_s.max()),
     "task_duration_by_week")  # fmt: skip
tasks["queued_s"] = seconds(tasks.start_date, tasks.queued_dttm)
waited = tasks[tasks.queued_s >= 0]
pools = waited.groupby(["environment", "pool", day(waited.start_date).rename("day")], observed=True)
save(pools.queued_s.quantile([0.5, 0.95], interpolation="higher").unstack()
     .assign(tasks=pools.size(), worst_s=pools.queued_s.max()), "queue_wait")  # fmt: skip

older = table("task_instance_history", columns, "task_instance_id")
older["duration_s"] = seconds(older.end_date, older.start_date)
tries = pd.concat([tasks, older], ignore_index=True)
del tasks, older, good, waited
failed = tries[tries.state.isin(["failed", "up_for_retry"]) & tries.start_date.notna()]
lost = failed.groupby(["environment", "dag_id", "task_id"], observed=True)
save(lost.agg(tries=("state", "size"), lost_s=("duration_s", "sum"), last=("end_date", "max")),
     "lost_hours")  # fmt: skip
dags = table("dag", ["dag_id", "owners"], "dag_id")
done = tries[tries.duration_s >= 0]
done = done.assign(slot_s=done.duration_s * done.pool_slots, day=day(done.start_date))
slots = done.groupby(["environment", "dag_id", "day"], observed=True).slot_s.agg(["size", "sum"])
save(slots.reset_index().merge(dags, on=["environment", "dag_id"]), "slot_hours_by_dag")
