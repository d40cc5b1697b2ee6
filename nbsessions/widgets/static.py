"""What a widget shows where no widget runs: plain HTML and plain text."""

from __future__ import annotations

from collections.abc import Sequence

from nbsessions.rendering import MUTED, RULE, escape

_CELL = f"padding:3px 12px 3px 0;text-align:left;border:none;border-bottom:{RULE};white-space:nowrap"


def html_table(columns: Sequence[str], rows: Sequence[Sequence[str]], summary: str) -> str:
    """Return a table with a line below it; everything in it is escaped.

    Examples
    --------
    >>> "&lt;b&gt;" in html_table(["Name"], [["<b>"]], "1 session")
    True
    """
    head = "".join(_cell("th", name) for name in columns)
    body = "".join(f"<tr>{''.join(_cell('td', text) for text in row)}</tr>\n" for row in rows)
    whole = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    table = f'<table style="border-collapse:collapse">{whole}</table>'
    return f'{table}<div style="{MUTED}">{escape(summary)}</div>'


def _cell(tag: str, text: str) -> str:
    return f'<{tag} style="{_CELL}">{escape(text)}</{tag}>'


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], summary: str) -> str:
    """Return the same as text.

    Examples
    --------
    >>> print(plain_table(["Name", "Turns"], [["plan", "2"]], "1 session"))
    Name  Turns
    plan  2
    1 session
    """
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    drawn = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([*(line.rstrip() for line in drawn), summary])
