"""A script's lines: what stands in a quote begins nothing, whatever it looks like."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from airkeep.database.script import Kind, told
from airkeep.database.sql import ident, literal

pieces = st.sampled_from(
    ["\n", "'", '"', "\\", "$", "$$", "$a$", "--", "/*", "*/", "e", "E", " ", ";", "\\.", "\\\n",
     "\nCOPY t (a) FROM stdin;\n", "\nINSERT INTO t VALUES (1);\n", "\n\\connect b\n"]
)  # fmt: skip
texts = st.lists(pieces, max_size=8).map("".join)


def escaped(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def dollars(text: str) -> str:
    return f"$q${text}$q$"


def block(text: str) -> str:
    return f"/* {text.replace('/*', '').replace('*/', '').replace('/', '')} */"


quoted = st.tuples(texts, st.sampled_from([literal, ident, escaped, dollars, block])).map(
    lambda made: made[1](made[0])
)


@given(st.lists(st.lists(quoted, min_size=1, max_size=4), max_size=4))
def test_only_what_begins_outside_of_quotes_begins_a_statement(
    statements: list[list[str]],
) -> None:
    script, expected = "", []
    for parts in statements:
        text = f"SELECT {', '.join(parts)}; -- it's one\n"
        script += text + "COPY \"a b\" (c) FROM stdin;\nit's a 'row\n\\.\n"
        expected += [Kind.STATEMENT, *[Kind.INSIDE] * (text.count("\n") - 1)]
        expected += [Kind.STATEMENT, Kind.ROW, Kind.END_OF_ROWS]

    found = list(told(io.BytesIO(script.encode())))

    assert b"".join(line for _, line in found) == script.encode()
    assert [kind for kind, _ in found] == expected


@given(texts)
def test_backslashes_escape_where_the_script_says_so(text: str) -> None:
    value = text.replace("\\", "\\\\").replace("'", "\\'")
    script = f"SET standard_conforming_strings = off;\nSELECT '{value}';\nSELECT 1;\n"
    kinds = [kind for kind, _ in told(io.BytesIO(script.encode()))]
    inside = text.count("\n")
    assert kinds == [*[Kind.STATEMENT] * 2, *[Kind.INSIDE] * inside, Kind.STATEMENT]
