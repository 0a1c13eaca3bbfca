"""What the report asks, section by section, as data: which mart, which columns, in which order.

A question whose mart is not there is not asked. Units follow from a column's name, as in the
marts: `_s` seconds, `_h` hours, `_d` days, `_at` and `day` times, `rate` and `share` shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ChartKind = Literal["lines", "stacked", "grid"]


@dataclass(frozen=True)
class Chart:
    """How rows are drawn; they stand in a table below, too.

    Attributes:
        kind: `lines`: one per series and environment; `stacked`: columns, summed over environments;
            `grid`: coloured cells, x by the first of `y`.
        x: the column of the horizontal axis.
        y: columns of values.
        by: a column that tells series apart.
        limit: a column that the first of `y` cannot exceed.
    """

    kind: ChartKind
    x: str
    y: tuple[str, ...]
    by: str | None = None
    limit: str | None = None


@dataclass(frozen=True)
class Question:
    """One table of the page.

    Attributes:
        mart: where its rows come from.
        title: what it shows, without its units.
        why: what one does with it.
        columns: those shown, in order.
        order: SQL, the most important row first, within an environment.
        where: SQL, which rows are worth showing.
        source: SQL in place of the mart itself, where rows are summed first.
        since: SQL, which rows of a mart that is made of the whole lake a report since a time shows,
            `{since}` for that time; None: all of them, or the mart itself is made of less.
        most: rows shown at most, shared by all environments; None: `each` of them per environment.
    """

    mart: str
    title: str
    why: str
    columns: tuple[str, ...]
    order: str
    where: str = "TRUE"
    source: str | None = None
    since: str | None = None
    most: int = 200
    each: int | None = None
    chart: Chart | None = None


@dataclass(frozen=True)
class Section:
    """A concern and what is asked about it."""

    key: str
    title: str
    lead: str
    questions: tuple[Question, ...]


def _columns(text: str) -> tuple[str, ...]:
    return ("environment", *text.split())


_DAYS = 180
_RECENT = f"date_diff('day', day, newest_day) < {_DAYS}"
_DAYS_SINCE = "day >= CAST({since} AS DATE)"

# Marts about now, about ever, or about a week beside the one before it: a report since a time has
# them made of the whole lake, and shows of their rows those that a question's `since` says.
WHOLE = frozenset(
    ("dag_week", "queue_wait", "slot_hours_by_dag", "failure_streaks", "time_to_recover",
     "stuck_runs", "zombies", "missed_runs", "stale_dags", "asset_freshness", "unused_assets",
     "import_errors_by_day", "duration_regressions")
)  # fmt: skip

RELIABILITY = Section(
    "reliability",
    "Reliability",
    "What fails, how often, how long, and what it takes along.",
    (
        Question(
            "success_by_dag_day",
            "Finished runs by day",
            "A day that stands out is worth a look at the clusters below.",
            _columns("day succeeded failed success_rate"),
            "day DESC",
            _RECENT,
            source="SELECT environment, day, max(max(day)) OVER (PARTITION BY environment) "
            "AS newest_day, sum(runs) AS runs, sum(succeeded) AS succeeded, "
            "sum(failed) AS failed, sum(succeeded) / sum(runs) AS success_rate "
            "FROM success_by_dag_day GROUP BY environment, day",
            each=_DAYS,
            chart=Chart("stacked", "day", ("succeeded", "failed")),
        ),
        Question(
            "lost_hours",
            "Tasks that lose the most time to failed tries",
            "The first rows are where a fix pays most.",
            _columns("dag_id task_id failed_tries lost_h last_failed_at"),
            "lost_h DESC, failed_tries DESC, dag_id, task_id",
        ),
        Question(
            "failure_clusters",
            "Many DAGs failing at once",
            "Failed tries close together over several DAGs have one cause: a host, a network. "
            "The widest of the last 30 days first.",
            _columns(
                "began_at ended_at failures times_usual dags tasks hosts pools hostname pool "
                "operator"
            ),
            "dags DESC, failures DESC, began_at DESC",
            "date_diff('day', began_at, newest_at) < 30",
            source="SELECT *, max(began_at) OVER (PARTITION BY environment) AS newest_at "
            "FROM failure_clusters",
        ),
        Question(
            "failure_streaks",
            "Runs that failed in a row",
            "A streak without a recovery is still failing.",
            _columns("dag_id failed_runs first_due_at last_due_at recovered_at recovery_s"),
            "recovered_at IS NULL DESC, failed_runs DESC, first_due_at DESC",
        ),
        Question(
            "time_to_recover",
            "Time to recover",
            "How long a DAG stays broken once it breaks.",
            _columns("dag_id streaks recovered open_streaks p50_s p90_s worst_s"),
            "worst_s DESC NULLS LAST, streaks DESC, dag_id",
        ),
        Question(
            "first_try_success",
            "Tasks that need their retries",
            "Retries hide these from the success rate of their runs.",
            _columns("dag_id task_id finished succeeded first_try first_try_rate"),
            "finished - first_try DESC, dag_id, task_id",
            "first_try < finished",
        ),
        Question(
            "success_by_task_day",
            "Tasks that failed most in their last seven days",
            "Which task to open first in a DAG that fails.",
            _columns("dag_id task_id finished failed success_rate last_day"),
            "failed DESC, dag_id, task_id",
            "failed > 0",
            source="SELECT environment, dag_id, task_id, sum(finished) AS finished, "
            "sum(failed) AS failed, sum(succeeded) / sum(finished) AS success_rate, "
            "max(day) AS last_day FROM (SELECT *, max(day) OVER (PARTITION BY environment) "
            "AS newest_day FROM success_by_task_day) AS s "
            "WHERE date_diff('day', day, newest_day) < 7 GROUP BY environment, dag_id, task_id",
        ),
        Question(
            "blast_radius",
            "What one failure takes along",
            "Tasks whose failure blocks many others deserve the most careful retries.",
            _columns("dag_id task_id failures runs_failed tasks_blocked blocked_per_failure"),
            "tasks_blocked DESC, failures DESC, dag_id, task_id",
        ),
        Question(
            "stuck_runs",
            "Runs that do not end",
            "Running far longer than usual, or with nothing left that could run.",
            _columns("dag_id run_id state started_at running_s usual_p95_s unfinished_tasks why"),
            "running_s DESC NULLS LAST",
        ),
        Question(
            "zombies",
            "Task instances whose process is silent",
            "Airflow believes that they run; nothing has been heard of them.",
            _columns("dag_id task_id run_id map_index state why started_at silent_s hostname"),
            "silent_s DESC NULLS LAST",
        ),
    ),
)

DURATION = Section(
    "duration",
    "Duration",
    "What got slower, since when, and what is unsteady.",
    (
        Question(
            "duration_regressions",
            "Tasks that became slower",
            "Medians before and after the change; the versions say which code brought it.",
            _columns(
                "dag_id task_id changed_at before_p50_s after_p50_s ratio effect_size before_n "
                "after_n version_before version_after"
            ),
            "score DESC, dag_id, task_id",
            since="changed_at >= {since}",
        ),
        Question(
            "run_duration_by_week",
            "Slowest DAGs by week",
            "The newest week of each DAG, its slowest runs first.",
            _columns("dag_id week runs p50_s p95_s longest_s"),
            "p95_s DESC, dag_id",
            source="SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY environment, dag_id "
            "ORDER BY week DESC) AS newest FROM run_duration_by_week) AS w WHERE newest = 1",
        ),
        Question(
            "task_duration_by_week",
            "Slowest tasks by week",
            "The newest week of each task, the slowest first.",
            _columns("dag_id task_id week tasks p50_s p95_s p99_s longest_s"),
            "p95_s DESC, dag_id, task_id",
            source="SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY environment, dag_id, "
            "task_id ORDER BY week DESC) AS newest FROM task_duration_by_week) AS w "
            "WHERE newest = 1",
        ),
        Question(
            "duration_variance",
            "Unsteady tasks",
            "A spread above 1 means that the mean says little: look for data volume or contention.",
            _columns("dag_id task_id tasks mean_s deviation_s spread"),
            "spread * mean_s DESC NULLS LAST, dag_id, task_id",
            "tasks >= 5 AND mean_s >= 1",
        ),
    ),
)

LATENCY = Section(
    "latency",
    "Latency",
    "How late work starts and lands, and what never came.",
    (
        Question(
            "queue_wait",
            "Queue wait by day",
            "The slowest pool's 95th percentile: rising means too few slots or workers.",
            _columns("day p50_s p95_s worst_s tasks"),
            "day DESC",
            _RECENT,
            source="SELECT environment, day, max(max(day)) OVER (PARTITION BY environment) "
            "AS newest_day, max(p50_s) AS p50_s, max(p95_s) AS p95_s, "
            "max(worst_s) AS worst_s, sum(tasks) AS tasks FROM queue_wait "
            "GROUP BY environment, day",
            since=_DAYS_SINCE,
            each=_DAYS,
            chart=Chart("lines", "day", ("p95_s",)),
        ),
        Question(
            "scheduling_delay",
            "Runs that start late",
            "From the time a run was due to its start, of DAGs with three such runs or more.",
            _columns("dag_id runs p50_s p90_s worst_s"),
            "p90_s DESC, dag_id",
            "runs >= 3",
        ),
        Question(
            "landing_time",
            "When results are there",
            "From the time a run was due to its end, beside what was promised.",
            _columns(
                "dag_id runs p50_s p90_s worst_s sla_s sla_late sla_misses deadlines deadline_late "
                "deadline_misses"
            ),
            "sla_late + deadline_late DESC NULLS LAST, p90_s DESC NULLS LAST, dag_id",
        ),
        Question(
            "missed_runs",
            "Runs that were due and never came",
            "By the DAG's own schedule; the newest first.",
            _columns("dag_id due_at why schedule"),
            "due_at DESC, dag_id",
            since="due_at >= {since}",
        ),
        Question(
            "catchup_backlog",
            "Catching up",
            "Days on which runs piled up behind their schedule.",
            _columns("dag_id day runs late_runs worst_late_s peak_backlog"),
            "peak_backlog DESC, day DESC, dag_id",
            "late_runs > 0",
        ),
    ),
)

CAPACITY = Section(
    "capacity",
    "Capacity",
    "How full the platform is, when, and whether its own processes keep up.",
    (
        Question(
            "concurrency_by_minute",
            "Most tasks at once, hour by hour",
            "Pool slots in use; a flat top is a limit that is reached.",
            _columns("hour_at peak_running peak_slots slot_limit limit_share"),
            "hour_at DESC",
            "date_diff('day', hour_at, newest_at) < 14",
            source="SELECT environment, date_trunc('hour', minute) AS hour_at, "
            "max(max(minute)) OVER (PARTITION BY environment) AS newest_at, "
            "max(peak_running) AS peak_running, max(peak_slots) AS peak_slots, "
            "max(slot_limit) AS slot_limit, max(limit_share) AS limit_share "
            "FROM concurrency_by_minute GROUP BY environment, date_trunc('hour', minute)",
            each=24 * 15,
            chart=Chart("lines", "hour_at", ("peak_slots",), limit="slot_limit"),
        ),
        Question(
            "busy_hours",
            "Busiest hours of the week",
            "Move what can move into the pale cells.",
            _columns("weekday hour tries slot_h share"),
            "weekday, hour",
            each=168,
            chart=Chart("grid", "hour", ("slot_h",), by="weekday"),
        ),
        Question(
            "pool_saturation",
            "How full the pools were in their last 30 days",
            "While no slot is free tasks wait; a peak far below the slots: fewer would do.",
            _columns("pool slots peak_slots days_full saturated_s utilisation slot_h fullest_day"),
            "saturated_s DESC NULLS LAST, utilisation DESC NULLS LAST, pool",
            source="SELECT environment, pool, max(slots) AS slots, max(peak_slots) AS peak_slots, "
            "sum(CASE WHEN saturated_s > 0 THEN 1 ELSE 0 END) AS days_full, "
            "sum(saturated_s) AS saturated_s, avg(utilisation) AS utilisation, "
            "sum(slot_h) AS slot_h, max(CASE WHEN place = 1 THEN day END) AS fullest_day FROM ("
            "SELECT *, row_number() OVER (PARTITION BY environment, pool ORDER BY saturated_s DESC "
            "NULLS LAST, peak_slots DESC, day DESC) AS place FROM ("
            "SELECT *, max(day) OVER (PARTITION BY environment) AS newest_day "
            "FROM pool_saturation) AS d WHERE date_diff('day', day, newest_day) < 30) AS p "
            "GROUP BY environment, pool",
        ),
        Question(
            "idle_windows",
            "Idle windows",
            "Nothing ran: room for maintenance, or for an environment that sleeps. "
            "The longest of the last 30 days first.",
            _columns("began_at ended_at idle_s"),
            "idle_s DESC, began_at DESC",
            "date_diff('day', began_at, newest_at) < 30",
            source="SELECT *, max(ended_at) OVER (PARTITION BY environment) AS newest_at "
            "FROM idle_windows",
        ),
        Question(
            "heartbeat_gaps",
            "Silent schedulers and triggerers",
            "While these were silent nothing new was started. One that did not end counts to the "
            "newest snapshot, or to Airflow's last sign of life where that is a week older.",
            _columns("job_type began_at ended_at gap_s"),
            "gap_s DESC",
        ),
    ),
)

WASTE = Section(
    "waste",
    "Waste",
    "Slot hours are what workers are paid for: a task holds pool slots while it runs.",
    (
        Question(
            "slot_hours_by_dag",
            "Slot hours by day",
            "The size of the bill, day by day.",
            _columns("day slot_h tries dags"),
            "day DESC",
            _RECENT,
            source="SELECT environment, day, max(max(day)) OVER (PARTITION BY environment) "
            "AS newest_day, sum(slot_h) AS slot_h, sum(tries) AS tries, "
            "count(DISTINCT dag_id) AS dags FROM slot_hours_by_dag GROUP BY environment, day",
            since=_DAYS_SINCE,
            each=_DAYS,
            chart=Chart("stacked", "day", ("slot_h",), by="environment"),
        ),
        Question(
            "slot_hours_by_dag",
            "Slot hours by DAG",
            "Who takes them.",
            _columns("dag_id owners slot_h share tries first_day last_day"),
            "slot_h DESC, dag_id",
            source="SELECT environment, dag_id, max(owners) AS owners, sum(slot_h) AS slot_h, "
            "sum(slot_h) / nullif(sum(sum(slot_h)) OVER (PARTITION BY environment), 0) AS share, "
            "sum(tries) AS tries, min(day) AS first_day, max(day) AS last_day "
            "FROM slot_hours_by_dag GROUP BY environment, dag_id",
            since=_DAYS_SINCE,
        ),
        Question(
            "slot_hours_by_owner",
            "Slot hours by owner",
            "Owners as Airflow has them.",
            _columns("owners slot_h share tries days"),
            "slot_h DESC, owners",
            source="SELECT environment, owners, sum(slot_h) AS slot_h, "
            "sum(slot_h) / nullif(sum(sum(slot_h)) OVER (PARTITION BY environment), 0) AS share, "
            "sum(tries) AS tries, count(*) AS days FROM slot_hours_by_owner "
            "GROUP BY environment, owners",
            since=_DAYS_SINCE,
        ),
        Question(
            "slot_hours_by_tag",
            "Slot hours by tag",
            "A DAG with two tags counts under both.",
            _columns("tag slot_h tries days"),
            "slot_h DESC, tag",
            source="SELECT environment, tag, sum(slot_h) AS slot_h, sum(tries) AS tries, "
            "count(*) AS days FROM slot_hours_by_tag GROUP BY environment, tag",
        ),
        Question(
            "retry_waste",
            "Slot hours that failed",
            "Tries that failed held their slots for nothing.",
            _columns("dag_id failed_slot_h all_slot_h waste retries"),
            "failed_slot_h DESC, dag_id",
            "failed_slot_h > 0",
        ),
        Question(
            "sensor_waste",
            "Slot hours spent waiting",
            "Sensors that hold a slot while they look.",
            _columns("dag_id task_id operator tries slot_h reschedules share"),
            "slot_h DESC, dag_id, task_id",
        ),
        Question(
            "deferrable_candidates",
            "Tasks that could wait without a slot",
            "Deferrable operators hand the waiting to the triggerer.",
            _columns("dag_id task_id operator tries slot_h p50_s why"),
            "slot_h DESC, dag_id, task_id",
        ),
    ),
)

ASSETS = Section(
    "assets",
    "Assets",
    "Whether data keeps coming, who makes it, and who needs it.",
    (
        Question(
            "asset_freshness",
            "Freshness",
            "Stale: older than its usual gap allows.",
            _columns("asset is_stale age_s usual_gap_s updates last_event_at"),
            "is_stale DESC, age_s DESC NULLS LAST, asset",
        ),
        Question(
            "asset_fan_out",
            "Producers and consumers",
            "An asset with many consumers is an interface: treat it as one.",
            _columns("asset producers consumers events triggered_runs runs_per_event"),
            "consumers DESC, events DESC, asset",
        ),
        Question(
            "unused_assets",
            "Assets that nobody uses",
            "Candidates for removal.",
            _columns("asset why last_event_at"),
            "last_event_at DESC NULLS LAST, asset",
        ),
    ),
)

HYGIENE = Section(
    "hygiene",
    "Hygiene",
    "What has piled up, broken quietly, or changed hands.",
    (
        Question(
            "import_errors_by_day",
            "Files that do not import",
            "A DAG in such a file does not run, and nothing fails.",
            _columns("day bundle file errors is_open first_seen_at last_raised_at"),
            "is_open DESC, day DESC, file",
            since="is_open OR last_raised_at >= {since}",
        ),
        Question(
            "stale_dags",
            "DAGs that are there and do not run",
            "Never run, or idle for long: pause on purpose, or delete.",
            _columns("dag_id is_paused schedule runs last_started_at idle_d"),
            "idle_d DESC NULLS FIRST, dag_id",
            "runs = 0 OR idle_d > 30",
        ),
        Question(
            "version_churn",
            "DAGs that change all the time",
            "A version every few minutes is code that differs on each parse: a date, for example.",
            _columns("dag_id versions versions_per_day span_d first_at last_at"),
            "versions DESC, dag_id",
            "versions > 1",
        ),
        Question(
            "table_growth",
            "Growth of the metadata database",
            "Where `airflow db clean` is due next.",
            _columns("table_name rows bytes rows_per_day rows_in_30d"),
            "bytes DESC NULLS LAST, table_name",
        ),
        Question(
            "xcom_hogs",
            "Large XComs",
            "Values of this size belong into a store, their address into the XCom.",
            _columns("dag_id task_id xcom_key xcoms bytes largest_bytes share last_written_at"),
            "bytes DESC NULLS LAST, dag_id, task_id",
        ),
        Question(
            "config_changes",
            "Connections and variables that changed",
            "Keys and times only; no value is read.",
            _columns("kind config_key is_there changes first_seen_at last_changed_at"),
            "last_changed_at DESC, config_key",
            "changes > 0",
        ),
        Question(
            "who_did_what",
            "Who did what",
            "Actions that people took, the newest first.",
            _columns("day owner event dag_id events last_at"),
            "day DESC, events DESC, owner, event, dag_id",
            "owner NOT IN ('', 'airflow', 'root') AND event NOT IN "
            "('running', 'success', 'failed', 'up_for_retry', 'skipped', 'cli_scheduler')",
        ),
    ),
)

SECTIONS = (RELIABILITY, DURATION, LATENCY, CAPACITY, WASTE, ASSETS, HYGIENE)
