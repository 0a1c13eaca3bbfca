"""Where a statement ends: pure, for the shell's lines and scripts."""

from __future__ import annotations


def split(text: str) -> tuple[list[str], str]:
    """The statements that a `;` ends, without it, and what stands behind the last one.

    A `;` in quotes or in a comment ends nothing.
    """
    import sqlglot

    try:
        tokens = sqlglot.tokenize(text, dialect="duckdb")
    except sqlglot.errors.SqlglotError:
        return [], text  # a quote or a comment that is still open
    found, start = [], 0
    for token in tokens:
        if token.text == ";" and text[token.start] == ";":
            found.append(text[start : token.start].strip())
            start = token.end + 1
    is_more = bool(tokens) and tokens[-1].start >= start  # and not a comment alone
    return [one for one in found if one], text[start:].strip() if is_more else ""


def is_command(text: str) -> bool:
    """Whether the line is one of the shell's own: `.tables`, `\\d`, `exit` as elsewhere."""
    word = text.strip().rstrip("; ").lower()
    return word in ("exit", "quit") or word.startswith((".", "\\"))


def is_whole(text: str) -> bool:
    """Whether a line can be acted on: nothing, a command, or statements that are all ended."""
    return not text.strip() or is_command(text) or not split(text)[1]
