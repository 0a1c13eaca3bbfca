"""Write src/airkeep/tables/revisions.tsv from the collected alembic revisions.

    uv run python tools/make_revisions.py [../shared/data/airflow-revisions.json]

Nothing runs this in a build: the file is committed, and a test compares the two while
../shared lies beside the project. The releases are what PyPI lists (yanked ones left out;
1.7.x was never on PyPI under this name): add new ones here, by hand.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "airflow-revisions.json"
TARGET = ROOT / "src" / "airkeep" / "tables" / "revisions.tsv"

# Patch releases per minor, the last of each: 1.10.15 stands for 1.10.0 ... 1.10.15. Gaps (a yanked
# 2.x or 3.x patch) do no harm: only the last release before the next revision is ever named.
LAST_PATCH = """
1.8.2 1.9.0 1.10.15 2.0.2 2.1.4 2.2.5 2.3.4 2.4.3 2.5.3 2.6.3 2.7.3 2.8.4 2.9.3 2.10.5 2.11.2
3.0.6 3.1.8 3.2.2 3.3.2
"""
# Airflow 2.10 and later start their chain at this stand-in for 2.6.2's own head, which older
# ones know: a database that was downgraded to 2.6.2 from above holds it. "=" marks the same thing.
SQUASHED, HEAD_OF_2_6_2 = "4bc4d934e2bc", "c804e5c76e3e"


def rows(revisions: dict[str, dict[str, str | None]]) -> list[str]:
    """One line a revision, in Airflow's own order: revision, version, parents."""

    def order(item: tuple[str, dict[str, str | None]]) -> tuple[list[int], str]:
        version, file = str(item[1]["airflow"]), str(item[1]["file"])
        return [int(part) for part in version.split(".")], file

    lines = []
    for revision, about in sorted(revisions.items(), key=order):
        parents = ",".join(re.findall(r"[0-9a-g]{9,}", about["down"] or ""))
        parents = parents.replace(SQUASHED, HEAD_OF_2_6_2)
        if revision == SQUASHED:
            parents = f"={HEAD_OF_2_6_2}"
        lines.append("\t".join([revision, str(about["airflow"]), parents]))
    return lines


def text(revisions: dict[str, dict[str, str | None]]) -> str:
    """The whole file."""
    head = "# made by tools/make_revisions.py: last patches; then revision, version, parents"
    return "\n".join([head, " ".join(LAST_PATCH.split()), *rows(revisions)]) + "\n"


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE
    TARGET.write_text(text(json.loads(source.read_text())), encoding="utf-8")
    print(f"{TARGET}: {len(TARGET.read_text().splitlines()) - 2} revisions")
