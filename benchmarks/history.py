"""The lake that questions are asked of: three environments, thirty snapshots, ten million tries.

One database stands for the three: it is exported under three names, in full once and then nine
times as an increment, each after a day of work (new runs and their tasks, retried ones, a few
that are gone). What an environment's database would answer, this one does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from airkeep.database.server import Server
from benchmarks import data
from benchmarks.contest import environment
from benchmarks.contestants import export_command
from benchmarks.data import CACHE, FILL_TIMEOUT_S, Source, connection_environment
from benchmarks.meter import measure

ENVIRONMENTS = ("prod", "staging", "dev")
INCREMENTS = 9
_SEED_SHARE = 4  # the seed is multiplied as often: filling by SQL takes five minutes a million

_DATES = (
    *("queued_at", "logical_date", "start_date", "end_date", "data_interval_start"),
    *("data_interval_end", "run_after", "last_scheduling_decision", "created_at", "updated_at"),
    *("queued_dttm", "scheduled_dttm", "last_heartbeat_at"),
)
_OWN = {
    "dag_run": {"id": "t.id + {n} * 10000000", "run_id": "t.run_id || '+{n}'"},
    "task_instance": {"id": "gen_random_uuid()", "run_id": "t.run_id || '+{n}'"},
    "task_instance_history": {
        "task_instance_id": "gen_random_uuid()", "run_id": "t.run_id || '+{n}'",
    },
}  # fmt: skip
_SEED = "CREATE TEMP TABLE seed_runs AS SELECT dag_id, run_id FROM dag_run WHERE id < 10000000"
_LAST_DAY = (
    f"{_SEED} AND run_after > (SELECT max(run_after) FROM dag_run WHERE id < 10000000) "
    "- interval '1 day'"
)


def long_history(server: Server, rows: int) -> Source:
    """An Airflow database with about `rows` task instances, over years."""
    name = f"history_{rows}_{data.fingerprint()}"
    if not data.is_ready(server, name):
        origin = data.whole(server, rows // _SEED_SHARE)
        began = data.say(f"making {name} (once; about two minutes per million task instances)")
        server.drop(name)
        server.create(name, template=origin.name)
        span = data.ask(
            server, name,
            "SELECT extract(epoch FROM max(run_after) - min(run_after))::bigint + 604800 "
            "FROM dag_run",
        )  # fmt: skip
        copies = [
            copy
            for n in range(1, _SEED_SHARE)
            for copy in _copies(server, name, n, f"- interval '{n * int(span)} s'")
        ]
        _run(server, name, [_SEED, *copies])
        data.finish(server, name, began)
    return data.describe(server, name, with_checksums=False)


def make_lake(server: Server, source: Source) -> Path:
    """Thirty snapshots; made once, and the database is as the last of them afterwards."""
    lake = CACHE / f"lake_{source.name}"
    ready = lake.with_suffix(".ready")
    if ready.exists():
        return lake
    began = data.say(f"exporting {source.name} thirty times")
    for number in range(INCREMENTS + 1):
        if number:
            _run(server, source.name, _day(server, source.name, number))
        for name in ENVIRONMENTS:
            command = export_command((), lake=str(lake))
            command[command.index("-e") + 1] = name
            log = CACHE / "last.log"
            found = measure(
                [*command, "--increment"],
                environment=environment(connection_environment(source.url)),
                log=log, limit_s=FILL_TIMEOUT_S,
            )  # fmt: skip
            if found["status"] != 0:
                raise RuntimeError(log.read_text(errors="replace")[-500:])
    ready.touch()
    data.say(f"  made in {monotonic() - began:.0f} s")
    return lake


def _copies(server: Server, name: str, number: int, shift: str) -> Iterator[str]:
    """The seed's runs with all that is theirs, at another time and under other names."""
    for table, own in _OWN.items():
        columns = data.columns(server, name, table)
        values = {c: f"t.{c} {shift}" for c in columns if c in _DATES}
        values |= {c: value.format(n=number) for c, value in own.items()}
        selected = ", ".join(values.get(c, f"t.{c}") for c in columns)
        yield (
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {selected} "
            f"FROM {table} t JOIN seed_runs USING (dag_id, run_id)"
        )


def _day(server: Server, name: str, number: int) -> list[str]:
    """A day of work: the newest day once more, tasks that were cleared, runs that were deleted."""
    return [
        _LAST_DAY,
        *_copies(server, name, 10 + number, f"+ interval '{number} days'"),
        "UPDATE task_instance SET state = 'success', try_number = try_number + 1, "
        "end_date = end_date + interval '1 hour', start_date = start_date + interval '1 hour' "
        "WHERE (dag_id, run_id) IN (SELECT dag_id, run_id FROM seed_runs) AND state = 'failed' "
        f"AND abs(hashtext(id::text)) % 9 = {number - 1}",
        f"DELETE FROM xcom WHERE abs(hashtext(run_id)) % 500 = {number}",
    ]


def _run(server: Server, name: str, statements: list[str]) -> None:
    server.run(
        "psql", "--quiet", "--set=ON_ERROR_STOP=1", *(f"--command={s}" for s in statements),
        database=name, timeout_s=FILL_TIMEOUT_S,
    )  # fmt: skip
