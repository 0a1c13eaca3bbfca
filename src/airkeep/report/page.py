"""Figures -> one HTML file that needs nothing else: no network, no server, no other file.

A value of a database reaches the page as JSON in a block that is no script, with every `<`, `>`
and `&` escaped, and the screen as text: our scripts never make HTML of it. The page's policy lets
these scripts run, by their hashes, and nothing be loaded from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airkeep.report.dags import LISTS, Change, Dag
from airkeep.report.figures import Part, Source
from airkeep.report.overview import Overview
from airkeep.report.packed import Places, packed

_TEMPLATES = Path(__file__).parent / "templates"
_STATIC = Path(__file__).parent / "static"
SCRIPTS = ("values.js", "tables.js", "charts.js", "overview.js", "dag.js", "main.js")
_UNSAFE = re.compile("[<>&\u2028\u2029]")


@dataclass(frozen=True)
class Report:
    """All that a page shows.

    Attributes:
        at: when its newest snapshot was taken; None: the lake is empty.
        since: where it begins, if that was asked for.
        narrows: what of the lake does then, for people.
        narrowed: the marts that are made of no more.
        sources: every mart that a figure comes from.
        warnings: what makes its figures doubtful: snapshots that are damaged or were passed over.
    """

    made_by: str
    lake: str
    at: int | None
    since: int | None
    narrows: tuple[str, ...]
    narrowed: tuple[str, ...]
    overview: Overview
    changes: tuple[Change, ...]
    dags: tuple[Dag, ...]
    parts: tuple[Part, ...]
    sources: Mapping[str, Source]
    warnings: tuple[str, ...] = ()


def render(report: Report) -> str:
    """The whole page."""
    style = _read(_TEMPLATES / "page.css")
    charts = _read(_STATIC / "echarts.js")
    script = "\n".join(_read(_TEMPLATES / name) for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}\n}})();'
    values = {
        "policy": html.escape(policy(scripts=(charts, script), styles=(style,))),
        "made_by": html.escape(report.made_by),
        "style": style,
        "data": embedded(report),
        "charts": charts,
        "script": script,
    }
    template = _read(_TEMPLATES / "page.html")
    # One pass: what is put in is not looked at again.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], template)


def policy(*, scripts: tuple[str, ...], styles: tuple[str, ...]) -> str:
    """A Content-Security-Policy under which these run and nothing is loaded."""
    return (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def embedded(report: Report) -> str:
    """JSON that can stand inside a script element, whatever the values are.

    Lists that are long or many are packed by column; `texts` has their texts.
    """
    import msgspec

    document = msgspec.to_builtins(report)
    places: Places = {}
    for part in document["parts"]:
        for figure in part["figures"]:
            figure["rows"] = packed(figure["rows"], places)
    for dag in document["dags"]:
        for name in LISTS:
            dag[name] = packed(dag[name], places)
    text = msgspec.json.encode({"texts": list(places), **document}).decode()
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _hashes(texts: tuple[str, ...]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8")
