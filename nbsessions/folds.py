"""Tool calls, and other things of which one line is seen until it is clicked."""

from __future__ import annotations

import json
import re
from typing import Any

from nbsessions.rendering import MONO, MUTED, code_html, escape, indented_json
from nbsessions.text import one_line, strip_controls

_LONG = 4_000
"""Characters of arguments or of a result that are shown; the store has the rest."""
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that are drawn as nothing, though Python calls them printable."""


def fold(summary: str, body: str) -> str:
    """Return HTML of which only the summary is seen until it is clicked; both are HTML already.

    Examples
    --------
    >>> fold("Thinking", "<p>Hm.</p>").startswith("<details ")
    True
    """
    return (
        f'<details style="margin:2px 0;font-size:.95em;{MUTED}">'
        '<summary style="cursor:pointer;white-space:nowrap;overflow:hidden;text-overflow:ellipsis">'
        f'{summary}</summary>\n<div style="margin:4px 0 8px 16px">{body}</div></details>\n'
    )


def tool_html(name: str, arguments: str, result: str | None, *, running: bool = False) -> str:
    """Return a tool call as HTML, folded; `arguments` is JSON as the model wrote it.

    Examples
    --------
    >>> "(a=1) → 3" in tool_html("add", '{"a": 1}', "3")
    True
    """
    summary = f'<span style="{MONO}"><strong>{escape(one_line(name, 80))}</strong>'
    summary += f"({escape(arguments_line(arguments))})"
    body = labelled("Arguments", arguments) if arguments.strip() not in ("", "{}") else ""
    if result is not None:
        summary += f" → {escape(one_line(result, 60) or '(nothing)')}"
        body += labelled("Result", result)
    return fold(summary + (" …</span>" if running else "</span>"), body)


def labelled(label: str, text: str) -> str:
    """Return a label and a block of text as HTML; JSON is indented, a long text cut in the middle.

    Examples
    --------
    >>> "1,000 characters are not shown" in labelled("Result", "x" * 5_000)
    True
    """
    indented = indented_json(text)
    language = "json" if indented else ""
    head, left_out, tail = _cut_middle(strip_controls(indented or text))
    blocks = code_html(head, language, wrap=True)
    if left_out:
        note = f'<div style="font-size:.9em">{_left_out(left_out)}</div>'
        blocks += note + code_html(tail, language, wrap=True)
    return f'<div style="font-size:.9em">{label}</div>{blocks}'


def tool_plain(name: str, arguments: str, result: str | None) -> str:
    """Return a tool call as plain text; `arguments` is JSON as the model wrote it.

    Examples
    --------
    >>> tool_plain("add", '{"a": 1, "b": 2}', "3")
    '▸ add(a=1, b=2) → 3'
    """
    line = f"▸ {one_line(name, 80)}({arguments_line(arguments)})"
    if result is None:
        return line
    head, left_out, tail = _cut_middle(strip_controls(result))
    shown = f"{head}\n{_left_out(left_out)}\n{tail}" if left_out else head
    return f"{line} →{chr(10) if chr(10) in shown else ' '}{shown}"


def _left_out(count: int) -> str:
    return f"… {count:,} characters are not shown; the store has them all …"


def _cut_middle(text: str) -> tuple[str, int, str]:
    if len(text) <= _LONG:
        return text, 0, ""
    head, tail = text[: _LONG * 2 // 3], text[-_LONG // 3 :]
    # Whole lines where there are lines: colours go wrong from the middle of a string.
    if "\n" in head[-200:]:
        head = head[: head.rindex("\n")]
    if "\n" in tail[:200]:
        tail = tail[tail.index("\n") + 1 :]
    return head, len(text) - len(head) - len(tail), tail


def arguments_line(text: str) -> str:
    """Return a call's arguments, JSON as the model wrote it, as they stand between its brackets.

    Examples
    --------
    >>> arguments_line('{"a": 1, "b": "x"}')
    'a=1, b="x"'
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return one_line(text, 60)
    if not isinstance(values, dict):
        return one_line(text, 60)
    pairs = [f"{name}={one_line(json.dumps(v, ensure_ascii=False), 30)}" for name, v in values.items()]
    return one_line(", ".join(pairs), 60)


def exact(text: str) -> str:
    """Return what a tool is to be called with so that nothing of it is hidden: JSON is indented.

    What cannot be seen, or would turn around what can, stands there as JSON writes it.

    Examples
    --------
    >>> print(exact('{"path": "/tmp/\u202etxt.exe"}'))
    {
      "path": "/tmp/\\u202etxt.exe"
    }
    """
    shown = indented_json(text) or text
    return "".join(c if _is_seen(c) else json.dumps(c)[1:-1] for c in shown)


def _is_seen(character: str) -> bool:
    return character == "\n" or (character.isprintable() and not _BLANK.match(character))


def content_text(content: Any) -> str:
    """Return what a tool was given or gave back as text: JSON, unless it is text already.

    Examples
    --------
    >>> content_text("é"), content_text({"a": "é"})
    ('é', '{"a": "é"}')
    """
    if isinstance(content, str):
        return content
    return json.dumps(content, ensure_ascii=False, default=str)
