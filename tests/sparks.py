"""Sparks for the tests: one in this process, and programs run by others, of another version.

On tiny tables Spark spends its time on compiling code of its own that runs once. `QUICK` has it
interpret its plans instead: what it answers is the same, five times as fast.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from servers import PROJECT

QUICK = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.shuffle.partitions": "1",
}
_HERE = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
}
_TIMEOUT_S = 1_500
SPARK_4 = PROJECT / ".cache" / "spark4"


def quick_session(folder: Path) -> Any:
    """A Spark in this process, with the settings of a lake's; the folder is for its warehouse."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]")
    warehouse = {"spark.sql.warehouse.dir": str(folder / "spark-warehouse")}
    for name, value in (_HERE | QUICK | warehouse).items():
        builder = builder.config(name, value)
    return builder.config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1").getOrCreate()


def libraries_of_spark_3(folder: Path) -> Path:
    """A folder with our own PySpark and nothing else of ours."""
    folder.mkdir()
    for name in ("pyspark", "py4j"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        (folder / name).symlink_to(Path(spec.origin).parent)
    return folder


def submit(
    script: Path, *arguments: str, libraries: Path, settings: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a script as a cluster does: by a Python that has PySpark beside its own library.

    Its time zone is not UTC, and its Spark's neither.
    """
    python = str(Path(sys.base_prefix) / "bin" / "python3")
    keep = ("PATH", "HOME", "JAVA_HOME")
    conf = [f"--conf {n}={v}" for n, v in (_HERE | (settings or {})).items()]
    return subprocess.run(
        [python, str(script), *arguments],
        env={
            **{name: os.environ[name] for name in keep if name in os.environ},
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(libraries),
            "PYSPARK_PYTHON": python,
            "PYSPARK_SUBMIT_ARGS": f"--master local[2] {' '.join(conf)} pyspark-shell",
            "SPARK_LOCAL_IP": "127.0.0.1",
            "TZ": "America/New_York",
        },
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )


_ASK = """\
import json, sys
from datetime import date, datetime
from decimal import Decimal
from pyspark.sql import SparkSession

def as_json(value):
    return float(value) if isinstance(value, Decimal) else {"time": value.isoformat()}

spark = SparkSession.builder.getOrCreate()
for name, value in json.loads(sys.argv[3]).items():
    spark.conf.set(name, value)
READ = {"timestamp_ntz": datetime.fromisoformat, "date": date.fromisoformat}
answers = {}
for name, asked in json.load(open(sys.argv[1])).items():
    for table, (types, rows) in asked["tables"].items():
        schema = ", ".join(f"{n} {t}" for n, t in types.items())
        read = [READ.get(t, lambda v: v) for t in types.values()]
        typed = [[None if v is None else r(v) for r, v in zip(read, row)] for row in rows]
        frame = spark.createDataFrame(typed, schema)
        casts = {n: "TIMESTAMP" if t == "timestamp_ntz" else t for n, t in types.items()}
        frame = frame.selectExpr(*(f"CAST({n} AS {t}) AS {n}" for n, t in casts.items()))
        frame.createOrReplaceTempView(table)
    found = spark.sql(asked["sql"])
    kinds = {f.name: f.dataType.simpleString() for f in found.schema.fields}
    plain = found.selectExpr(
        *(f"CAST({n} AS TIMESTAMP_NTZ) AS {n}" if k == "timestamp" else n for n, k in kinds.items())
    )
    answers[name] = [row.asDict() for row in plain.collect()]
with open(sys.argv[2], "w") as file:
    json.dump([spark.version, answers], file, default=as_json)
"""


def asked_elsewhere(
    questions: dict[str, Any], folder: Path, *, libraries: Path, session: dict[str, str]
) -> tuple[str, dict[str, Any]]:
    """What another Spark answers, and its version.

    Args:
        questions: by name `sql`, and `tables`: by name their Spark types and rows as JSON has them.
    """
    script, asked, answered = (folder / name for name in ("ask.py", "asked.json", "answered.json"))
    script.write_text(_ASK, encoding="utf-8")
    asked.write_text(json.dumps(questions, default=lambda v: v.isoformat()), encoding="utf-8")
    places = (str(asked), str(answered), json.dumps(session))
    done = submit(script, *places, libraries=libraries)
    assert done.returncode == 0, done.stdout + done.stderr
    version, answers = json.loads(
        answered.read_text(encoding="utf-8"),
        object_hook=lambda o: _time(o["time"]) if set(o) == {"time"} else o,
    )
    return version, answers


def _time(text: str) -> Any:
    from datetime import date, datetime

    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
