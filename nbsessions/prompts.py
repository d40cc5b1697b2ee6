"""What a cell sends: its text, with ``{{expression}}`` replaced by values of the notebook."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from nbsessions.exceptions import InvalidInput

MAX_ROWS = 200
"""Rows of a DataFrame that are sent; a last line says how many were left out."""


def render(cell: str, evaluate: Callable[[str], object]) -> str:
    """Return a cell's text with every ``{{expression}}`` replaced by its value.

    Single braces are left alone. A DataFrame becomes a Markdown table.

    Parameters
    ----------
    cell : str
    evaluate : callable
        Takes the source of a Python expression, and returns its value.

    Raises
    ------
    InvalidInput
        An expression is no Python, or fails: nothing shall be sent then.

    Examples
    --------
    >>> render("Sum {{1 + 1}}, dict {{ {'a': {'b': 1}} }}, {single}", eval)
    "Sum 2, dict {'a': {'b': 1}}, {single}"
    """
    parts: list[str] = []
    position = 0
    while (start := cell.find("{{", position)) >= 0:
        source, end = _expression(cell, start)
        parts += [cell[position:start], _value(source, evaluate)]
        position = end
    return "".join([*parts, cell[position:]])


def _expression(cell: str, start: int) -> tuple[str, int]:
    """Return the first expression after ``{{`` that is Python, up to one of the ``}}`` that follow."""
    end = start
    while (end := cell.find("}}", end + 1)) >= 0:
        # In `{{ {1: {2: 3}} }}` the expression ends at the last of several closing braces.
        source = cell[start + 2 : end].strip()
        if source and _is_expression(source):
            return source, end + 2
    shown = cell[start : start + 40].splitlines()[0]
    raise InvalidInput(
        f"{shown!r} is no Python expression in braces. Nothing was sent; --raw sends it as it is."
    )


def _is_expression(source: str) -> bool:
    try:
        ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: it is nested too deeply
        return False
    return True


def _value(source: str, evaluate: Callable[[str], object]) -> str:
    try:
        return _text(evaluate(source))
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InvalidInput(
            f"{{{{{source}}}}} failed: {reason}. Nothing was sent; --raw sends it as it is."
        ) from error


def _text(value: object) -> str:
    kind = type(value)
    if kind.__module__.partition(".")[0] == "pandas" and kind.__name__ in ("DataFrame", "Series"):
        return _table(value)
    return str(value)


def _table(value: Any) -> str:
    frame = value.to_frame() if hasattr(value, "to_frame") else value
    shown = frame.head(MAX_ROWS)
    names = [str(name or "") for name in shown.index.names] + [str(name) for name in shown.columns]
    lines = ["| " + " | ".join(map(_cell, names)) + " |", "|" + " --- |" * len(names)]
    for row in shown.itertuples(name=None):
        index = row[0] if isinstance(row[0], tuple) else (row[0],)
        lines.append("| " + " | ".join(_cell(str(cell)) for cell in (*index, *row[1:])) + " |")
    left_out = len(frame) - len(shown)
    return "\n".join([*lines, f"({left_out:,} more rows of {len(frame):,})"] if left_out else lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
